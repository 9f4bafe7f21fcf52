"""TensorBoard: each number of a record as a scalar over iterations. `--tensorboard-dir FOLDER`"""

from __future__ import annotations

from megatron_ext.monitor.metrics import Record


class TensorBoard:
    def __init__(self, folder: str, iteration: int):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder, purge_step=iteration + 1)

    def write(self, record: Record) -> None:
        for name, value in record.as_dict().items():
            if name != "iteration":
                self._writer.add_scalar(name, value, record.iteration)

    def close(self) -> None:
        self._writer.close()
