"""How fast text is cleaned: rules, languages, personal data, the engine around them, and the peers on the same texts.

A row is a function of the bench that yields `(what, how much)`; `--rows` names them. Rates are MB of UTF-8 in a second of CPU
time, which a busy machine spoils less than the clock; what is compared is measured in turns, and the best round counts. A peer
runs in a process of its own (`corpus_peers.py`), on the first `--peer-megabytes` of the texts; ours is measured on these, too.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from megatron_ext.arguments.config import Config, read
from megatron_ext.arguments.problems import UserError
from megatron_ext.benchmarks import corpus_peers as peers
from megatron_ext.benchmarks.corpus_text import Text, size_of, texts, write
from megatron_ext.benchmarks.launch import Ran, launch
from megatron_ext.benchmarks.rows import Rows, measured


def run(flags) -> Rows:
    """`(what, how much)`, line by line."""
    yield from measured("corpus", flags, Bench, ROWS)


class Bench:
    """The texts, all and few of them, and how things are measured on them."""

    def __init__(self, flags, folder: pathlib.Path):
        self.rounds, self.folder = flags.rounds, folder
        self.texts = texts(flags.input, flags.megabytes)
        self.all = [each.text for each in self.texts]
        self.size = size_of(self.all)
        few = texts(flags.input, min(flags.peer_megabytes, flags.megabytes))
        self.few, self.few_file = [each.text for each in few], folder / "few.jsonl"
        write(self.few_file, few)
        beside = [pathlib.Path(sys.prefix, name) for name in ("datatrove", "presidio")]
        self.folders = [*map(os.path.abspath, flags.peers), *(str(path) for path in beside if path.is_dir())]

    def about(self, flags) -> Rows:
        yield "text", f"{len(self.texts):,} documents, {self.size / 1e6:.1f} MB: {flags.input or 'of this Python'}"

    def seconds(self, some: Sequence[Any], *works: Callable[[Sequence[Any]], object], at_once: int = 64) -> list[float]:
        """CPU seconds of each of `works` on some texts, so many at once; of each piece the best round, in turns."""
        total = [0.0] * len(works)
        for start in range(0, len(some), at_once):
            piece = some[start : start + at_once]
            rounds = [[_cpu(work, piece) for work in works] for _ in range(self.rounds)]
            total = [sofar + min(taken) for sofar, taken in zip(total, zip(*rounds))]
        return total

    def peer(self, name: str, ours: Callable[[Sequence[str]], object]) -> tuple[str, str]:
        """A peer's row: its rate, and how many times as fast ours is on the same texts."""
        found = peers.seconds(name, str(self.few_file), self.rounds, self.folders)
        if isinstance(found, str):
            return f"… {name}", found
        (best,), size = self.seconds(self.few, ours), size_of(self.few)
        return f"… {name}", f"{mb(size, found)}; ours on the same {size / 1e6:.1f} MB {mb(size, best)}, {found / best:.1f} ×"


def _cpu(work: Callable[[Any], object], what: Any) -> float:
    start = time.process_time()
    work(what)
    return time.process_time() - start


def mb(size: float, seconds: float) -> str:
    rate = size / max(seconds, 1e-9) / 1e6
    return f"{rate:,.2f} MB/s" if rate < 10 else f"{rate:,.0f} MB/s"


def configuration(*argv: str) -> Config:
    """The configuration of tools/clean_corpus.py for these flags."""
    from megatron_ext.corpus.engine.flags import groups

    return read(groups(), argv, "benchmark.py corpus", "")


def rule_settings(*names: str) -> SimpleNamespace:
    """The defaults of these rules' flags."""
    from megatron_ext.corpus.cleaning.flags import FILTERS

    return SimpleNamespace(**{name: value for rule in names for name, value in vars(FILTERS.load(rule).Flags()).items()})


# --- The rows ---------------------------------------------------------------------------------------------------------


def rules(bench: Bench) -> Rows:
    """Gopher's quality and repetition rules and C4's, each asked about every text: of all, and by source."""
    from megatron_ext.corpus.documents import Document
    from megatron_ext.corpus.filters import c4, gopher_quality, gopher_repetition

    c = rule_settings("gopher_quality", "gopher_repetition", "c4")
    each = [module.Filter(c) for module in (gopher_quality, gopher_repetition, c4)]

    def ours(some: Sequence[str]) -> None:
        for text in some:
            document = Document("", "", {"text": text})
            for rule in each:
                rule(document)

    yield "Gopher quality, repetition and C4", mb(bench.size, *bench.seconds(bench.all, ours))
    sources = Counter(one.source for one in bench.texts)
    for source in sorted(sources) if 1 < len(sources) <= 5 else ():
        some = [one.text for one in bench.texts if one.source == source]
        yield f"… of {source}", mb(size_of(some), *bench.seconds(some, ours))
    yield bench.peer("datatrove_rules", ours)


def each_rule(bench: Bench) -> Rows:
    """Every rule that needs nothing fetched, alone and on every text as a document; those of words with two and 3,000 of them."""
    from megatron_ext.corpus.cleaning.flags import FILTERS
    from megatron_ext.corpus.documents import Document

    settings = vars(rule_settings(*FILTERS.names()))
    wordy = {"keywords, 2 words": ("lorem", "ipsum"), "keywords, 3,000 words": tuple(f"x{number}q" for number in range(3000))}
    asked = [(name, name, {}) for name in FILTERS.names() if name not in ("classifier", "keywords", "perplexity", "url")]
    asked += [(what, "keywords", {"keywords": words}) for what, words in wordy.items()]
    asked.append(("perplexity, order 5", "perplexity", {"perplexity_models": (_perplexity_model(bench),)}))
    for what, name, given in asked:
        try:
            rule = FILTERS.load(name).Filter(SimpleNamespace(**{**settings, **given}))
        except (ImportError, UserError) as error:
            yield what, f"left out: {error}"
            continue
        work = lambda some, rule=rule: [rule(Document("", "", {"text": text})) for text in some]
        yield what, mb(bench.size, *bench.seconds(bench.all, work))


def _perplexity_model(bench: Bench) -> str:
    """Of the first of the texts."""
    from megatron_ext.corpus.flags import InputFlags
    from megatron_ext.corpus.ngrams.flags import TrainNgramFlags
    from megatron_ext.corpus.ngrams.train import train

    model = bench.folder / "model.arpa"
    list(train(InputFlags(input=(str(bench.few_file),)), TrainNgramFlags(output=str(model), held_out_every=5)))
    return str(model)


def language(bench: Bench) -> Rows:
    """The filter and bare fastText on the same pieces of 1,000 characters."""
    import fasttext

    from megatron_ext.corpus.documents import Document
    from megatron_ext.corpus.filters.language import Filter, default_model

    if not os.path.isfile(default_model()):
        raise UserError(f"{default_model()} is not there; run `bash examples/setup_environment.sh data`")
    pieces = [text[start : start + 1000] for text in bench.few for start in range(0, len(text), 1000)]
    both = [(piece.replace("\n", " "), Document("", "", {"text": piece})) for piece in pieces]
    predict, keeps = fasttext.load_model(default_model()).predict, Filter(rule_settings("language"))

    def bare(some: Sequence[Any]) -> None:
        for line, _ in some:
            predict(line)

    def ours(some: Sequence[Any]) -> None:
        for _, document in some:
            keeps(document)

    (slow, found), size = bench.seconds(both, bare, ours), size_of(pieces)
    yield "language", f"{mb(size, found)}; bare fastText on the same {mb(size, slow)}, {slow / found:.2f} ×"


def personal_data(bench: Bench) -> Rows:
    """All kinds found, checked and masked."""
    from megatron_ext.corpus.sensitive.candidates import FORMS
    from megatron_ext.corpus.sensitive.flags import SensitiveFlags
    from megatron_ext.corpus.sensitive.scrub import Scrubber

    scrub = Scrubber(SimpleNamespace(**{**vars(SensitiveFlags()), "scrub": FORMS}))

    def ours(some: Sequence[str]) -> None:
        for text in some:
            scrub(text)

    yield "personal data, all kinds, masked", mb(bench.size, *bench.seconds(bench.all, ours))
    yield bench.peer("regex_patterns", ours)
    yield bench.peer("presidio", ours)


def engine(bench: Bench) -> Rows:
    """JSONL in, JSONL out, no rule: what everything around the rules costs, MB of the file."""
    import orjson
    import zstandard

    path, packed = bench.folder / "engine.jsonl", bench.folder / "engine.jsonl.zst"
    size = write(path, bench.texts)
    packed.write_bytes(zstandard.ZstdCompressor(level=3).compress(path.read_bytes()))

    def bare(_: Any) -> None:
        with open(path, "rb") as file, open(bench.folder / "bare.jsonl", "wb") as out:
            for line in file:
                out.write(orjson.dumps(orjson.loads(line)) + b"\n")

    works = [_jobs(bench, *which) for which in ((path, "none"), (path, "zstd"), (packed, "none"), (packed, "zstd"))]
    plain, written, read, both, loop = bench.seconds([None], *works, bare)
    yield "JSONL to JSONL", f"{mb(size, plain)}; a bare loop of orjson {mb(size, loop)}, {loop / plain:.2f} ×"
    yield "… to zstd, from zstd, from and to zstd", f"{mb(size, written)}, {mb(size, read)}, {mb(size, both)}"
    found = peers.seconds("datatrove_jsonl", str(path), bench.rounds, bench.folders)
    yield "… datatrove_jsonl", found if isinstance(found, str) else f"{mb(size, found)}; ours {found / plain:.1f} ×"


def _jobs(bench: Bench, path: pathlib.Path, compression: str) -> Callable[[Any], None]:
    """The work of one worker on one file."""
    from megatron_ext.corpus.engine.plan import Plan
    from megatron_ext.corpus.engine.stages import Runner

    output = bench.folder / "out"
    plan = Plan(configuration("--input", str(path), "--output", str(output), "--output-compression", compression))
    runner = Runner(plan.stages)

    def work(_: Any) -> None:
        for stage in plan.stages.values():
            for job in stage.jobs:
                runner(job)
        shutil.rmtree(output)

    return work


_MUCH = 2.4e8  # bytes that two workers share: the start is to be little beside it
RECIPE = ("--filters", "gopher_quality", "gopher_repetition", "c4", "--scrub", "email", "phone_number", "ip_address")


def workers(bench: Bench) -> Rows:
    """The whole command with one worker and with two, by the clock, less what starting it takes. What the machine has to give is
    told by two commands with a worker each, side by side: on a busy machine less than twice one's work."""
    path, nothing = bench.folder / "workers.jsonl", bench.folder / "nothing.jsonl"
    size = write(path, bench.texts, times=max(1, round(_MUCH / bench.size)))
    write(nothing, bench.texts[:2])
    argv = ("--shard-size", str(size / 16e6), "--workers")
    works: dict[str, Callable[[], Ran]] = {
        "nothing": lambda: command(bench, nothing, *argv, "1"),
        "one": lambda: command(bench, path, *argv, "1"),
        "two": lambda: command(bench, path, *argv, "2"),
        "beside": lambda: _side_by_side(bench, path, *argv, "1"),
    }
    best: dict[str, Ran] = {}
    for _ in range(bench.rounds):
        for name, work in works.items():
            ran = work()
            best[name] = Ran(*map(min, ran, best.get(name, ran)))
    start, one, two, beside = (best[name].wall for name in works)
    ours, machines = (one - start) / (two - start), 2 * (one - start) / (beside - start)
    yield "the whole command, one worker", f"{one:.1f} s for {size / 1e6:.0f} MB, {start:.1f} s of it to start"
    yield (
        "… two workers",
        f"{two:.1f} s, {ours:.2f} × one after the start; {best['two'].cpu / best['one'].cpu:.2f} × the CPU time",
    )
    yield "… two commands of one worker at once", f"{machines:.2f} × one: two workers give {ours / machines:.2f} of that"


def _side_by_side(bench: Bench, path: pathlib.Path, *argv: str) -> Ran:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return max(pool.map(lambda output: command(bench, path, *argv, output=output), ("left", "right")))


def memory(bench: Bench) -> Rows:
    """The largest process of the whole command."""
    path = bench.folder / "memory.jsonl"
    once = min(bench.size, int(2e7))
    some = texts_of(bench, once)
    peaks = []
    for times in (1, 10):
        size = write(path, some, times)
        peaks.append(command(bench, path, "--workers", "2", "--shard-size", "8").memory)
        yield f"peak memory, {size / 1e6:.0f} MB of input", f"{peaks[-1] / 1e6:.0f} MB in the largest process"
    yield "… ten times the input", f"{peaks[1] / peaks[0]:.2f} × the memory"


def texts_of(bench: Bench, size: int) -> list[Text]:
    found, total = [], 0
    for each in bench.texts:
        total += len(each.text.encode())
        if total > size and found:
            break
        found.append(each)
    return found


def command(bench: Bench, path: pathlib.Path, *argv: str, output: str = "cleaned") -> Ran:
    """`tools/clean_corpus.py` on a file, with the rules of RECIPE."""
    folder = bench.folder / output
    tool = pathlib.Path(__file__).resolve().parents[2] / "tools" / "clean_corpus.py"
    words = [sys.executable, str(tool), "--input", str(path), "--output", str(folder), "--log-interval", "0", *RECIPE, *argv]
    try:
        return launch(words, "clean_corpus.py")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# benchmarks/flags.py names them too, in this order.
ROWS = {row.__name__: row for row in (rules, each_rule, language, personal_data, engine, workers, memory)}
