"""What a run shows may fail to be written: the run goes on, says so once, and tries again. And a run.yaml that is whole."""

from __future__ import annotations

import contextlib
import io
import json
import math

import pytest

from tests.layouts.training_case import train_case
from tests.monitor.test_files import files_no_larger_than

RUN = (
    "--preset tiny --num-layers 2 --mock-data --vocab-size 200 --seq-length 16 --global-batch-size 4 --micro-batch-size 2 "
    "--train-iters 30 --exit-interval 20"
).split()


def filling_up(launch, folder: str) -> list[str]:
    """A run to update 20, whose files grow to 5,000 bytes, and on to its end without a limit; what stood on stderr."""
    from megatron_ext.checkpoint.store import Store

    said, save = io.StringIO(), Store.save
    argv = [*RUN, "--tensorboard-dir", f"{folder}/board"]
    with contextlib.redirect_stderr(said):
        with contextlib.ExitStack() as full, pytest.MonkeyPatch.context() as patch:
            full.enter_context(files_no_larger_than(5000))
            patch.setattr(Store, "save", lambda *given: (full.close(), save(*given)))  # there is room again for the checkpoint
            train_case(launch, argv, folder)
        train_case(launch, argv, folder)
    return said.getvalue().splitlines()


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_full_disk_ends_no_run(world_size, pool, tmp_path):
    said = pool.run(filling_up, world_size, str(tmp_path))
    assert sorted(said[0]) == [
        f"warning: --tensorboard-dir {tmp_path}/board: cannot be written (File too large); the run goes on, and tries again at "
        "the next record",
        f"warning: {tmp_path}/metrics.jsonl: cannot be written (File too large); the run goes on, and tries again at the next "
        "record",
    ]
    assert said[1:] == [[]] * (world_size - 1)
    found = [json.loads(line)["iteration"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert (
        found == sorted(set(found)) and set(range(1, 31)) - set(found) < set(range(5, 21)) and found[-10:] == list(range(21, 31))
    )

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "board"))
    board.Reload()
    steps = [event.step for event in board.Scalars("loss")]
    assert steps == sorted(set(steps)) and steps[-10:] == list(range(21, 31)) and 5 < len(steps) < 30


class Broken(io.StringIO):
    def flush(self):
        raise BrokenPipeError(32, "Broken pipe")


def talking_to_nobody(launch, folder: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(Broken()), contextlib.redirect_stderr(said):
        train_case(launch, RUN, folder)
    return said.getvalue()


def test_a_closed_terminal_ends_no_run(pool, tmp_path):
    (said,) = pool.run(talking_to_nobody, 1, str(tmp_path))
    assert said == "warning: stdout: cannot be written (Broken pipe); the run goes on, and tries again at the next record\n"
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 20 and (tmp_path / "iter_0000020").is_dir()


def test_run_yaml_is_whole_or_the_old_one(pool, tmp_path):
    """Written in place, a full disk would leave half of it, and the run could not be given again with --config."""
    (tmp_path / "run.yaml").write_text("seed: 1\n")
    with pytest.raises(AssertionError, match="run.yaml: cannot be written"):
        pool.run(without_room, 1, str(tmp_path))
    assert (tmp_path / "run.yaml").read_text() == "seed: 1\n"


def without_room(launch, folder: str) -> None:
    with files_no_larger_than(1000):
        train_case(launch, RUN, folder)


def test_nan_reaches_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from megatron_ext.monitor.tensorboard import TensorBoard
    from tests.monitor.test_console import record

    sink = TensorBoard(str(tmp_path), 0)
    sink.write(record(loss=math.nan))
    sink.close()
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert math.isnan(board.Scalars("loss")[0].value)
