"""TensorBoard: each number of a record as a scalar over iterations. `--tensorboard-dir FOLDER`

A record is one event, written at once by TensorBoard's own classes. torch's SummaryWriter leaves the writing to a thread that a
full disk ends for good, with a traceback.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import socket
import time

from megatron_ext.monitor.files import AppendedFile
from megatron_ext.monitor.metrics import Record

_FILES = itertools.count()  # two runs of one process within a second


class TensorBoard:
    """A file of events of its own in the folder. TensorBoard drops what earlier ones hold after `iteration`."""

    def __init__(self, folder: str, iteration: int):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.name, self._event, self._summary = f"--tensorboard-dir {folder}", Event, Summary
        os.makedirs(folder, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_FILES)}"
        self._writer = RecordWriter(AppendedFile(pathlib.Path(folder) / name))
        self._add(file_version="brain.Event:2")
        self._add(step=iteration + 1, session_log=SessionLog(status=SessionLog.START))

    def _add(self, **fields) -> None:
        self._writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())

    def write(self, record: Record) -> None:
        scalars = [pair for name, value in record.as_dict().items() for pair in _scalars(name, value)]
        values = [self._summary.Value(tag=tag, simple_value=number) for tag, number in scalars]
        self._add(step=record.iteration, summary=self._summary(value=values))

    replace_last = write  # the newer one of the same iteration is shown

    def close(self) -> None:
        self._writer.close()


def _scalars(name: str, value) -> list[tuple[str, float]]:
    """`eval_sets` of wiki becomes `eval_loss/wiki` and `eval_bits_per_byte/wiki`; the iteration is the axis, no scalar.

    Of a layer's loads the largest, `expert_load_max/7`: a chart for each of thousands of experts helps nobody.
    """
    if name == "expert_load":
        return [(f"expert_load_max/{layer}", max(loads)) for layer, loads in value.items()]
    if isinstance(value, dict):
        what = name.removesuffix("sets")
        return [(f"{what}{measure}/{each}", number) for each, found in value.items() for measure, number in found.items()]
    return [] if name == "iteration" else [(name, value)]
