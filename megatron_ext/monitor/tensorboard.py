"""TensorBoard: each number of a record as a scalar over iterations. `--tensorboard-dir FOLDER`"""

from __future__ import annotations

from megatron_ext.monitor.metrics import Record


class TensorBoard:
    def __init__(self, folder: str, iteration: int):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder, purge_step=iteration + 1)

    def write(self, record: Record) -> None:
        for name, value in record.as_dict().items():
            for tag, number in _scalars(name, value):
                self._writer.add_scalar(tag, number, record.iteration)

    def close(self) -> None:
        self._writer.close()


def _scalars(name: str, value) -> list[tuple[str, float]]:
    """`eval_sets` of wiki becomes `eval_loss/wiki` and `eval_bits_per_byte/wiki`; the iteration is the axis, no scalar."""
    if isinstance(value, dict):
        what = name.removesuffix("sets")
        return [(f"{what}{measure}/{each}", number) for each, found in value.items() for measure, number in found.items()]
    return [] if name == "iteration" else [(name, value)]
