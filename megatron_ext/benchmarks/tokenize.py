"""How fast text becomes tokens on disk, beside Megatron-LM's way and datatrove's, with the same tokenizer on the same text.

    speed     JSON lines to .bin/.idx, the whole command with one worker, less what it takes to start: all text, and each source
    encoding  text to ids alone, in this process: C++, tiktoken, tokenizers one at a time and in batches
    workers   the command with two workers and with one, by the clock; beside two commands at once, which is what the machine has
    memory    the largest process, on ten times the input

Rates are MB of UTF-8 in a second of CPU time, all processes together, the best of the rounds. The tokenizer is a byte-level
BPE, as tools/train_tokenizer.py writes it: learned from the text, or given.
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

from megatron_ext.arguments.problems import UserError
from megatron_ext.benchmarks.corpus_text import Text, size_of, texts, write
from megatron_ext.benchmarks.launch import Ran, launch
from megatron_ext.benchmarks.rows import Rows, measured
from megatron_ext.benchmarks.tokenize_peers import PEERS
from megatron_ext.tokenizers.flags import ALGORITHMS, TrainTokenizerFlags

ROOT = pathlib.Path(__file__).resolve().parents[2]
_START, _LONG = 5e5, 6e7  # bytes of text: what counts as the start, and what ours is measured on at least
_MUCH = 2.4e8  # bytes that two workers share: the start is to be little beside it


def run(flags) -> Rows:
    """`(what, how much)`, line by line."""
    yield from measured("tokenize", flags, Bench, ROWS)


class Bench:
    """The texts, the tokenizer, and the commands that are measured."""

    def __init__(self, flags, folder: pathlib.Path):
        self.rounds, self.folder = flags.rounds, folder
        self.texts = texts(flags.input, flags.megabytes)
        beside = pathlib.Path(sys.prefix, "datatrove")
        self.folders = [*map(os.path.abspath, flags.peers), *([str(beside)] if beside.is_dir() else [])]
        self.tokenizer = flags.tokenizer_model or self._learned(flags.vocab_size)

    def about(self, flags) -> Rows:
        size = size_of([each.text for each in self.texts])
        yield "text", f"{len(self.texts):,} documents, {size / 1e6:.1f} MB: {flags.input or 'of this Python'}"
        yield "tokenizer", self.tokenizer if flags.tokenizer_model else f"{flags.vocab_size:,} entries, learned from it"

    def _learned(self, vocab_size: int) -> str:
        where = self.folder / "tokenizer"
        where.mkdir()
        learning = TrainTokenizerFlags(vocab_size=vocab_size, output=str(where))
        for name, content in ALGORITHMS.load("byte_level_bpe").train([each.text for each in self.texts], learning).items():
            (where / name).write_bytes(content)
        return str(where)

    def ours(self, path: pathlib.Path, workers: int = 1, output: str = "ours") -> Ran:
        """tools/preprocess_data.py."""
        words = [sys.executable, str(ROOT / "tools" / "preprocess_data.py"), "--input", str(path), "--append-eod"]
        words += ["--output-prefix", str(self.folder / output), "--tokenizer-model", self.tokenizer]
        return launch([*words, "--workers", str(workers), "--log-interval", "0"], "preprocess_data.py")

    def peer(self, name: str, path: pathlib.Path) -> Ran:
        output = str(self.folder / name)
        words = [sys.executable, "-m", "megatron_ext.benchmarks.tokenize_peers", name, str(path), output, self.tokenizer, "1"]
        there = {"PYTHONPATH": os.pathsep.join((str(ROOT), *self.folders)), "TOKENIZERS_PARALLELISM": "false"}
        try:
            return launch(words, name, there)
        finally:
            for made in (output, output + "_log"):
                shutil.rmtree(made, ignore_errors=True)

    def best(self, work: Callable[[], Ran]) -> Ran:
        return Ran(*map(min, zip(*(work() for _ in range(self.rounds)))))

    def sources(self) -> dict[str, list[Text]]:
        """Texts by source, where there are several and not too many."""
        found = sorted(Counter(each.source for each in self.texts))
        return {one: [each for each in self.texts if each.source == one] for one in found} if 1 < len(found) <= 5 else {}


def mb(size: float, seconds: float) -> str:
    rate = size / max(seconds, 1e-9) / 1e6
    return f"{rate:,.1f} MB/s" if rate < 10 else f"{rate:,.0f} MB/s"


# --- The rows ---------------------------------------------------------------------------------------------------------


def speed(bench: Bench) -> Rows:
    """From files to files, beside the peers: what all of the text takes beyond its first half megabyte.

    Ours gets the text several times over, so that it takes more than a moment: a corpus has its words many times, too.
    """
    missing: dict[str, str] = {}
    for source, some in {"all": bench.texts, **bench.sources()}.items():
        ours = _seconds_a_megabyte(bench, some, bench.ours, _LONG)
        yield f"{source}, ours", mb(1, ours)
        for name in PEERS:
            if name not in missing:
                try:
                    theirs = _seconds_a_megabyte(bench, some, lambda path, name=name: bench.peer(name, path), 0)
                    yield f"… {name}", f"{mb(1, theirs)}, ours {theirs / ours:.1f} ×"
                except UserError as error:
                    missing[name] = f"left out: {error}"
                    yield f"… {name}", missing[name]
        if source == "all" and not missing:
            yield from _same(bench)


def _seconds_a_megabyte(bench: Bench, some: list[Text], work: Callable[[pathlib.Path], Ran], least: float) -> float:
    """CPU seconds a byte of text beyond the start, of at least so many bytes of text."""
    first, size = some[:1], size_of([each.text for each in some])
    while len(first) < len(some) and size_of([each.text for each in first]) < _START:
        first = some[: 2 * len(first)]
    times = max(1, round(least / size))
    paths = bench.folder / "start.jsonl", bench.folder / "speed.jsonl"
    write(paths[0], first)
    write(paths[1], some, times)
    seconds = [bench.best(lambda path=path: work(path)).cpu for path in paths]
    return max(seconds[1] - seconds[0], 1e-3) / max(times * size - size_of([each.text for each in first]), 1)


def _same(bench: Bench) -> Rows:
    """Whether ours and Megatron-LM's way write the same of the text."""
    write(bench.folder / "same.jsonl", bench.texts)
    bench.ours(bench.folder / "same.jsonl")
    bench.peer("megatron_lm", bench.folder / "same.jsonl")
    files = [[bench.folder / f"{name}.{end}" for end in ("bin", "idx")] for name in ("ours_text_document", "megatron_lm")]
    same = all(one.read_bytes() == other.read_bytes() for one, other in zip(*files))
    yield "… the same bytes", "of .bin and .idx" if same else "no: its tokenizer takes the names of control tokens for them"


def encoding(bench: Bench) -> Rows:
    """Text to ids, and nothing else."""
    from megatron_ext.tokenizers.build import build
    from megatron_ext.tokenizers.flags import TokenizerFlags

    flags = TokenizerFlags(tokenizer_type="huggingface", tokenizer_model=bench.tokenizer)
    quick, slow = build(flags), build(flags)
    if quick._fast is None:
        raise UserError("the tokenizer has no quick way")
    slow.take_the_slow_way()
    ways = {
        "C++": quick.encode_flat,
        "tiktoken": lambda some: [quick._fast.encode_as_tiktoken(text) for text in some],
        "tokenizers": lambda some: [slow.encode(text) for text in some],
        "tokenizers in batches": slow.encode_batch,
    }
    for source, some in {"all": bench.texts, **bench.sources()}.items():
        content = [each.text for each in some]
        size, found = size_of(content), {}
        for name, way in ways.items():
            found[name] = min(_cpu(way, content) for _ in range(bench.rounds))
        figures = ", ".join(f"{name} {mb(size, seconds)}" for name, seconds in found.items())
        yield f"encoding {source}", figures


def _cpu(work: Callable[[Sequence[str]], object], some: Sequence[str], at_once: int = 256) -> float:
    start = time.process_time()
    for first in range(0, len(some), at_once):
        work(some[first : first + at_once])
    return time.process_time() - start


def workers(bench: Bench) -> Rows:
    """Two workers and one. On a busy machine two commands at once do less than twice one's work: two workers can do no more."""
    path, one = bench.folder / "workers.jsonl", bench.folder / "one.jsonl"
    size = write(path, bench.texts, times=max(1, round(_MUCH / size_of([each.text for each in bench.texts]))))
    write(one, bench.texts[:1])
    works: dict[str, Callable[[], Ran]] = {
        "start": lambda: bench.ours(one),
        "start of two": lambda: bench.ours(one, workers=2),
        "one": lambda: bench.ours(path),
        "two": lambda: bench.ours(path, workers=2),
        "beside": lambda: _side_by_side(bench, path),
    }
    best: dict[str, Ran] = {}
    for _ in range(bench.rounds):  # in turns, since a busy machine is not as busy all the time
        for name, work in works.items():
            ran = work()
            best[name] = Ran(*map(min, ran, best.get(name, ran)))
    start, start_of_two, alone, two, beside = (best[name].wall for name in works)
    ours, machines = (alone - start) / (two - start_of_two), 2 * (alone - start) / (beside - start)
    cpu = (best["two"].cpu - best["start of two"].cpu) / (best["one"].cpu - best["start"].cpu)
    yield "one worker", f"{alone:.1f} s by the clock for {size / 1e6:.0f} MB of JSON, {start:.1f} s of it to start"
    yield "… two workers", f"{two:.1f} s, {ours:.2f} × one after the start; {cpu:.2f} × the CPU time"
    yield "… two commands of one worker at once", f"{machines:.2f} × one: two workers give {ours / machines:.2f} of that"


def _side_by_side(bench: Bench, path: pathlib.Path) -> Ran:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return max(pool.map(lambda output: bench.ours(path, output=output), ("left", "right")))


def memory(bench: Bench) -> Rows:
    """The largest process of the whole command."""
    some, peaks = list(bench.texts), []
    while len(some) > 1 and size_of([each.text for each in some]) > 1e7:
        some = some[: len(some) * 9 // 10]
    for times in (1, 10):
        path = bench.folder / "memory.jsonl"
        size = write(path, some, times)
        peaks.append(bench.ours(path, workers=2).memory)
        yield f"peak memory, {size / 1e6:.0f} MB of input", f"{peaks[-1] / 1e6:.0f} MB in the largest process"
    yield "… ten times the input", f"{peaks[1] / peaks[0]:.2f} × the memory"


# benchmarks/flags.py names them too, in this order.
ROWS = {row.__name__: row for row in (speed, encoding, workers, memory)}
