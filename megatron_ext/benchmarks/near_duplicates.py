"""How fast texts are signed and deduplicated, beside the peers on the same texts, and in how much memory many documents are.

Rates are MB of UTF-8 in a second of CPU time, the best of three rounds. `--peers` names folders that pip filled with
`--target`; each peer that is there runs in a process of its own. Whole near-dedup goes from files to files: clean_corpus.py
--dedup minhash with one worker, beside the four steps of datatrove.

The many documents are made up: 24 words that no other document has. Of each ten, the last is the first again but for its last
word (similarity 19/21); of each hundred, one is a line that is the same everywhere. They go through the same command, with as
many workers as are asked for. Times of stages are those of all their jobs together, by the clock.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from megatron_ext.arguments.problems import UserError
from megatron_ext.benchmarks.corpus_text import size_of, texts
from megatron_ext.corpus.matching.signatures import MinHash, bands_and_rows, meet

PERMUTATIONS, THRESHOLD = 128, 0.7
BANDS, ROWS = bands_and_rows(THRESHOLD, PERMUTATIONS)
_SHARD = 200_000


def run(flags) -> Iterator[tuple[str, str]]:
    """`(what, how much)`, line by line."""
    if "signatures" in flags.rows or "whole" in flags.rows:
        found = [each.text for each in texts(flags.input, flags.megabytes)]
        yield "texts", f"{len(found):,}, {size_of(found) / 1e6:.1f} MB" + (" of this Python" if flags.input is None else "")
    if "signatures" in flags.rows:
        yield from _speed(found, flags.peers)
    if "whole" in flags.rows:
        with _compiled(flags.folder):
            yield from _whole(found, flags.peers, flags.folder)
    if "many" in flags.rows:
        yield from _many(flags.folder, flags.documents, flags.memory, flags.workers)


def _speed(some: Sequence[str], folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    size, ours = size_of(some), None
    for name in ("ours", *PEERS):
        seconds = _in_a_fresh_process(_seconds, name, some, folders)
        if isinstance(seconds, str):
            yield name, seconds
            continue
        ours = ours or seconds
        yield name, f"{size / seconds / 1e6:,.1f} MB/s" + (f", ours {seconds / ours:,.1f} ×" if name != "ours" else "")


def _in_a_fresh_process(work: Callable, *given):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def _seconds(name: str, texts: Sequence[str], folders: Sequence[str], rounds: int = 3) -> float | str:
    sys.path += [os.path.abspath(folder) for folder in folders]
    try:
        sign = _ours() if name == "ours" else PEERS[name]()
    except ImportError as error:
        return f"is not there ({error})"
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        sign(texts)
        taken.append(time.process_time() - start)
    return min(taken)


def _ours():
    sign = MinHash(PERMUTATIONS)
    sign.sign(["warm é", "三国"])
    return sign.sign


def _ngrams(text: str, n: int = 5) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[at : at + n]) for at in range(max(1, len(words) - n + 1))]


def _gaoya():
    from gaoya.minhash import MinHashStringIndex

    settings = dict(hash_size=32, num_hashes=PERMUTATIONS, num_bands=BANDS, band_size=ROWS, jaccard_threshold=THRESHOLD)

    def sign(texts):
        index = MinHashStringIndex(**settings, analyzer="word", lowercase=True, ngram_range=(5, 5))
        for number, text in enumerate(texts):
            index.insert_document(number, text)

    return sign


def _rensa():
    from rensa import RMinHash

    def sign(texts):
        for text in texts:
            signature = RMinHash(num_perm=PERMUTATIONS, seed=1)
            signature.update(_ngrams(text))
            signature.digest()

    return sign


def _datasketch():
    from datasketch import MinHash as Theirs

    def sign(texts):
        for text in texts:
            Theirs(PERMUTATIONS).update_batch([ngram.encode() for ngram in _ngrams(text)])

    return sign


def _datatrove():
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.utils.hashing import HashConfig

    sha1 = HashConfig(hash_fc="sha1")  # its xxhash takes str, which xxhash 4 refuses
    config = MinhashConfig(n_grams=5, num_buckets=16, hashes_per_bucket=PERMUTATIONS // 16, hash_config=sha1)
    signer = MinhashDedupSignature(tempfile.gettempdir(), config=config)
    signer.get_shingles("it needs its tokenizer for English here")

    def sign(texts):
        for text in texts:
            shingles = signer.get_shingles(text)
            if shingles.size:  # as its own step does
                signer.get_signature(shingles)

    return sign


PEERS = {"gaoya": _gaoya, "rensa": _rensa, "datasketch": _datasketch, "datatrove": _datatrove}


def made_up(number: int) -> str:
    """The text of a document of the many."""
    if number % 100 == 50:
        return "This page needs a browser that runs scripts: please turn them on and load the page again."
    tens, last = divmod(number, 10)
    base = tens * 10 if last == 9 else number
    words = [f"{base:x}{letter}" for letter in "abcdefghijklmnopqrstuvwx"]
    return " ".join(words[:-1]) + f" {number:x}z"


def expected(documents: int) -> float:
    """How many of the made-up documents are copies that are found, on average."""
    lines = len(range(50, documents, 100))
    pairs = len(range(9, documents, 10)) - len(range(50, documents - 9, 100))  # of the others, the first is the line
    return max(lines - 1, 0) + pairs * float(meet(19 / 21, BANDS, ROWS))


def _many(parent: str, documents: int, memory: float, workers: int) -> list[tuple[str, str]]:
    with _folder(parent) as folder:
        size = _write(folder / "in", map(made_up, range(documents)))
        measured = _measured(_deduplicate, folder, workers, "--dedup-memory", str(memory))
        receipt = json.loads((folder / "out" / "receipt.json").read_text())
        copies = receipt["steps"][1]["dropped"]["near_duplicate"][0]
        seconds = {stage.name: _seconds_of(stage) for stage in (folder / "out" / "manifests").iterdir()}
        said = [("documents", f"{documents:,}, {size / 1e6:,.0f} MB; {BANDS} bands of {ROWS} rows")]
        said += [(name, f"{taken:,.1f} s") for name, taken in sorted(seconds.items())]
        said += [("all", f"{measured.wall:,.1f} s, {measured.cpu:,.1f} s of CPU time, {workers} workers")]
        said += [("between the stages", f"{_size(folder / 'out' / 'work') / 1e9:.2f} GB on disk")]
        said += [("copies", f"{copies:,}, of {expected(documents):,.0f} that theory expects")]
        return [*said, ("peak memory", f"{measured.peak / 1e9:.2f} GB, of the largest process")]


@contextlib.contextmanager
def _folder(parent: str) -> Iterator[pathlib.Path]:
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="near_duplicates_", dir=parent) as folder:
        yield pathlib.Path(folder)


def _write(folder: pathlib.Path, texts: Iterable[str]) -> int:
    """Texts as files of JSON lines; their bytes."""
    folder.mkdir()
    texts, size = iter(texts), 0
    for number in itertools.count():
        some = list(itertools.islice(texts, _SHARD))
        if not some:
            return size
        size += sum(len(text.encode()) for text in some)
        lines = (json.dumps({"id": f"{number}-{place}", "text": text}) + "\n" for place, text in enumerate(some))
        (folder / f"{number:05d}.jsonl").write_text("".join(lines))


def _deduplicate(folder: pathlib.Path, workers: int, *flags: str) -> None:
    tool = pathlib.Path(__file__).resolve().parents[2] / "tools" / "clean_corpus.py"
    command = [sys.executable, str(tool), "--input", str(folder / "in" / "*.jsonl"), "--output", str(folder / "out")]
    command += ["--dedup", "minhash", "--workers", str(workers), "--keep-work", "--log-interval", "0", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"clean_corpus.py ended with status {done.returncode}:\n{done.stderr}")


def _theirs(folder: pathlib.Path, folders: Sequence[str]) -> None:
    """datatrove's four steps, in a process of their own, as its examples have them."""
    _in_a_fresh_process(_quietly, folder, folders)


def _quietly(folder: pathlib.Path, folders: Sequence[str]) -> None:
    sys.path += [os.path.abspath(folder) for folder in folders]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # it logs all that it does
        _datatrove_steps(folder)


def _datatrove_steps(folder: pathlib.Path) -> None:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    sha1 = HashConfig(hash_fc="sha1")  # its xxhash takes str, which xxhash 4 refuses
    config = MinhashConfig(n_grams=5, num_buckets=16, hashes_per_bucket=PERMUTATIONS // 16, hash_config=sha1)
    source, (signs, buckets, ids, out) = JsonlReader(str(folder / "in")), (str(folder / name) for name in "sbio")
    for number, pipeline in enumerate(
        (
            [source, MinhashDedupSignature(signs, config=config)],
            [MinhashDedupBuckets(signs, buckets, config=config)],
            [MinhashDedupCluster(buckets, ids, config=config)],
            [source, MinhashDedupFilter(ids), JsonlWriter(out)],
        )
    ):
        tasks = config.num_buckets if number == 1 else 1
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(folder / f"log{number}")).run()


class Measured(NamedTuple):
    """Seconds by the clock, of CPU time; bytes of memory of the largest of all processes that were begun."""

    wall: float
    cpu: float
    peak: int


def _measured(work: Callable, *given) -> Measured:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    work(*given)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(time.monotonic() - start, cpu, after.ru_maxrss * 1024)


def _whole(texts: Sequence[str], peers: Sequence[str], parent: str) -> Iterator[tuple[str, str]]:
    """From files to files in one process at a time, its start included; and again without what it takes to start."""
    found: dict[str, list[Measured]] = {}
    ways = {"ours": (_deduplicate, 1), "ours, no check": (_deduplicate, 1, "--no-minhash-check"), "datatrove's": (_theirs, peers)}
    for name, (work, *given) in ways.items():
        taken = []
        for some in (texts[:1], texts[:1], texts)[name == "ours, no check" :]:  # the first time there is no bytecode yet
            with _folder(parent) as folder:
                _write(folder / "in", some)
                try:
                    taken.append(_measured(work, folder, *given))
                except ImportError as error:
                    yield "whole near-dedup", f"datatrove is not there ({error})"
                    return
        found[name] = taken
        start, whole = taken[-2:]
        yield f"whole near-dedup, {name}", f"{whole.cpu:,.1f} s of CPU time ({start.cpu:,.1f} to start), {whole.wall:,.1f} s"
    start, whole = found.pop("datatrove's")[-2:]
    for name, (*_, our_start, ours) in found.items():
        rest = (whole.cpu - start.cpu) / max(ours.cpu - our_start.cpu, 1e-3)
        yield f"{name}, faster", f"{whole.cpu / ours.cpu:,.1f} ×, without starting {rest:,.0f} ×"


@contextlib.contextmanager
def _compiled(parent: str) -> Iterator[None]:
    """Processes that are started meanwhile find bytecode, as that of installed packages is, whatever this environment says."""
    before = {name: os.environ.get(name) for name in ("PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with _folder(parent) as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder.resolve())
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _seconds_of(stage: pathlib.Path) -> float:
    return sum(json.loads(path.read_bytes())["seconds"] for path in stage.iterdir())


def _size(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
