"""How long a checkpoint holds training up, written at once and in the background, and how long loading one takes.

A real run of the given preset on this process: its weights and moments (12 bytes a parameter) are written and read.
"""

from __future__ import annotations

import pathlib
import shutil
import tempfile
import time

from megatron_ext.backend.distributed import Launch


def run(flags) -> list[tuple[str, str]]:
    """`(what, how much)`, line by line."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="benchmark_checkpoint_", dir=flags.folder))
    try:
        return list(_measure(flags, folder))
    finally:
        shutil.rmtree(folder)


def _measure(flags, folder: pathlib.Path):
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    argv = f"--preset {flags.preset} --mock-data --seq-length 64 --train-iters 9 --device cpu --save {folder}".split()
    for name in ("at once", "in the background"):
        config = read_configuration([*argv, *(["--async-save"] if name != "at once" else [])], 1)
        with processes(Launch(), config) as device:
            from megatron_ext.training.build import build
            from megatron_ext.training.state import TrainState

            run = build(config, device)
            state = TrainState(run.sharding, iteration=1 if name == "at once" else 2)
            size = 4 * sum(tensor.numel() for piece in run.sharding.pieces() for tensor in piece.tensors.values()) / 1e9
            began = time.perf_counter()
            run.store.save(state, run.record, {})
            held_up = time.perf_counter() - began
            run.store.finish()
            whole = time.perf_counter() - began
            yield f"saving {size:.2f} GB {name}", f"training waits {held_up:.2f} s, on disk after {whole:.2f} s"
            if name == "in the background":
                began = time.perf_counter()
                run.restore()
                yield "verifying and loading", f"{time.perf_counter() - began:.2f} s"
