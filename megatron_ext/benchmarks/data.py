"""How soon the first batch is there, in how much memory, and how far the loader is ahead of training.

The large data set has a real `.idx` and a sparse `.bin`; it is read by fresh processes, first without a cache and with the
index not in the system's memory (cold), then again (cached). So is a blend of a hundred pairs that hold as many documents
together. The loader's rate is measured on the large one and on a small one with real content, beside the rate at which the
preset `tiny` trains here.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import pathlib
import shutil
import tempfile
import time
from typing import Any

import numpy as np

from megatron_ext.data.indexed_writer import HEADER, MAGIC, VERSION

_CHUNK = 2**22
_PAIRS, _WINDOW = 100, 1024  # of the blend; so many samples hold some of every pair
GPU_RATE = 12_000  # tokens a second at which one GPU trains a model of 7 billion parameters


def run(flags) -> list[tuple[str, str]]:
    """`(what, how much)`, line by line."""
    folder = pathlib.Path(flags.folder)
    folder.mkdir(parents=True)
    try:
        return list(_measure(flags, folder))
    finally:
        shutil.rmtree(folder)


def _measure(flags, folder: pathlib.Path):
    large, small = str(folder / "large"), str(folder / "small")
    tokens = make_pair(large, flags.documents, flags.tokens_per_document, real=False)
    make_pair(small, 200_000, flags.tokens_per_document, real=True)
    size = os.path.getsize(large + ".idx") / 1e9
    yield "large data set", f"{flags.documents:,} documents, {tokens:,} tokens, .idx {size:.2f} GB"
    for state, found in _cold_and_cached([large], 1, flags.num_workers):
        yield f"first batch, {state}", _in_words(found)
    yield from _measure_blend(flags, folder / "blend")
    training = _fresh_process(_tiny_training_rate)
    yield "training, preset tiny", f"{training:,.0f} tokens/s"
    for name, prefix in (("large", large), ("small, real content", small)):
        for seq_length, micro_batch_size, against, rate in ((64, 4, "tiny", training), (4096, 1, "a GPU, 7B", GPU_RATE)):
            found = _fresh_process(
                functools.partial(_loader_rate, prefix, seq_length, micro_batch_size, flags.num_workers, flags.seconds)
            )
            yield f"loader, {name}, length {seq_length}", f"{found:,.0f} tokens/s, {found / rate:,.0f} × {against} ({rate:,.0f})"


def _measure_blend(flags, folder: pathlib.Path):
    """All of a window is read: a blend's first batch alone would draw the orders of only some of its pairs."""
    folder.mkdir()
    prefixes = [str(folder / f"pair{number}") for number in range(_PAIRS)]
    documents = -(-flags.documents // _PAIRS)
    for number, prefix in enumerate(prefixes):
        make_pair(prefix, documents, flags.tokens_per_document, real=False, seed=number)
    for state, found in _cold_and_cached(prefixes, _WINDOW // 4, flags.num_workers):
        yield f"{_PAIRS} pairs of {documents:,}, {state}", f"first {_WINDOW:,} samples {_in_words(found)}"
    shutil.rmtree(folder)  # before the loaders are measured: its pages are in their way


def _cold_and_cached(prefixes: list[str], batches: int, workers: int):
    """`(state, what was found)`: in a process that draws all orders, then in one that finds them."""
    for prefix in prefixes:
        _forget(prefix + ".idx")
    for state in ("cold", "cached"):
        yield state, _fresh_process(functools.partial(_first_batches, prefixes, batches, workers))


def _in_words(found: dict[str, float]) -> str:
    return f"{found['data']:.1f} s, with start and imports {found['all']:.1f} s; peak memory {found['memory'] / 1e9:.2f} GB"


def make_pair(prefix: str, documents: int, mean: int, real: bool, seed: int = 0) -> int:
    """Write a pair of random lengths in little memory; its tokens are random where `real`, else a hole in the file."""
    draw = np.random.default_rng(seed)
    code, size = 8, 2  # uint16
    with open(prefix + ".idx", "wb") as idx, open(prefix + ".bin", "wb") as bin_:
        idx.write(MAGIC + VERSION.to_bytes(8, "little") + bytes([code]))
        idx.write(documents.to_bytes(8, "little") + (documents + 1).to_bytes(8, "little"))
        offset = 0
        for begin in range(0, documents, _CHUNK):
            count = min(_CHUNK, documents - begin)
            lengths = draw.integers(1, 2 * mean, count, dtype=np.int32)
            ends = offset + size * np.cumsum(lengths, dtype=np.int64)
            os.pwrite(idx.fileno(), lengths.data, HEADER + 4 * begin)
            os.pwrite(idx.fileno(), (ends - size * lengths).data, HEADER + 4 * documents + 8 * begin)
            if real:
                bin_.write(draw.integers(0, 32_000, int(lengths.sum()), dtype=np.uint16).data)
            offset = int(ends[-1])
        for begin in range(0, documents + 1, _CHUNK):
            numbers = np.arange(begin, min(begin + _CHUNK, documents + 1), dtype=np.int64)
            os.pwrite(idx.fileno(), numbers.data, HEADER + 12 * documents + 8 * begin)
        bin_.truncate(offset)
    return offset // size


def _forget(path: str) -> None:
    """Put a file out of the system's memory, so that it is read from the disk again."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _fresh_process(measure) -> Any:
    """What `measure(start)` answers in a new process that was started at `start`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, measure, time.monotonic()))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def _answer(pipe, measure, start: float) -> None:
    pipe.send(measure(start))


def _samples(prefixes: list[str], seq_length: int):
    from megatron_ext.data.build import build
    from megatron_ext.data.flags import DataFlags

    return build(DataFlags(data_path=tuple(prefixes)), seq_length, seed=1234, evaluates=False).train


def _first_batches(prefixes: list[str], count: int, workers: int, start: float) -> dict[str, float]:
    from megatron_ext.data.loader import Loader

    began = time.monotonic()
    with Loader(workers, 4, 0, 1) as loader:
        for _ in loader.batches(_samples(prefixes, 4096), 0, count):
            pass
        now = time.monotonic()
    return {"data": now - began, "all": now - start, "memory": _peak_memory()}


def _peak_memory() -> int:
    """Bytes; of this process alone, where getrusage begins with its parent's."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def _loader_rate(prefix: str, seq_length: int, micro_batch_size: int, workers: int, seconds: float, start: float) -> float:
    from megatron_ext.data.loader import Loader

    samples = _samples([prefix], seq_length)
    with Loader(workers, micro_batch_size, 0, 1) as loader:
        batches = loader.batches(samples, 0, 2**62)
        next(batches)
        count, began = 0, time.monotonic()
        while time.monotonic() - began < seconds:
            next(batches)
            count += 1
        return count * micro_batch_size * seq_length / (time.monotonic() - began)


def _tiny_training_rate(start: float) -> float:
    from megatron_ext.backend.distributed import launch_environment
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    with tempfile.TemporaryDirectory() as folder:
        argv = ["--preset", "tiny", "--mock-data", "--train-iters", "150", "--log-interval", "50", "--device", "cpu"]
        config = read_configuration([*argv, "--save", folder], 1)
        with processes(launch_environment({}), config) as device:
            from megatron_ext.training.build import build
            from megatron_ext.training.loop import train

            run = build(config, device)
            with run.loader:
                train(run)
        last = (pathlib.Path(folder) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        return json.loads(last)["tokens_per_second"]
