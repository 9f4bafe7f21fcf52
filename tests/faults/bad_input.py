"""The programs themselves, called in a worker of the pool as a user calls them: `(exit status, what stood on stderr)`."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import multiprocessing
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def call(launch, program: str, argv: list[str]) -> tuple[int, str]:
    """Run `pretrain_gpt.py` or a tool with `argv`, as the rank that `launch` is."""
    multiprocessing.current_process()._config["daemon"] = False  # tools have workers of their own
    spec = importlib.util.spec_from_file_location("program_under_test", ROOT / program)
    module = importlib.util.module_from_spec(spec)
    environ = dict(os.environ)
    if launch.world_size > 1:
        os.environ.update(
            RANK=str(launch.rank), WORLD_SIZE=str(launch.world_size), LOCAL_RANK=str(launch.rank),
            LOCAL_WORLD_SIZE=str(launch.world_size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(launch.master_port),
        )  # fmt: skip
    said = io.StringIO()
    try:
        spec.loader.exec_module(module)
        with contextlib.redirect_stderr(said):
            status = module.main(argv)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    finally:
        os.environ.clear()
        os.environ.update(environ)
    return status, said.getvalue()


def tree(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file below a folder and its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
