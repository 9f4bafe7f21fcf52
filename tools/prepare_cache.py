#!/usr/bin/env python3
"""Draw the order of large data sets ahead of a run, on each disk that its nodes will read.

python tools/prepare_cache.py --data-path 0.7 data/web 0.3 data/code --seed 1234 --epochs 2

Give the data flags, and the seed, of the run itself. Training draws what is not there, so this only saves the start a minute.
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import UserError, exit_status
from megatron_ext.data.cache import LEAST
from megatron_ext.data.flags import DataFlags

PROGRAM = "prepare_cache.py"
ABOUT = f"Draws the order of data sets of {LEAST:,} documents and more, so that a run finds it. Data flags are those of the run."


@flag_group("prepare", "What is drawn")
class PrepareFlags:
    seed: int = flag(1234, "the run's seed", least=0, most=2**62, front=True)
    epochs: int = flag(1, "passes through the training data to draw", least=1, front=True)


def main(argv: Sequence[str]) -> int:
    return exit_status(lambda: _prepare(read([DataFlags, PrepareFlags], argv, PROGRAM, ABOUT)), PROGRAM)


def _prepare(config) -> None:
    from megatron_ext.data.build import build

    flags, prepare = config.data, config.prepare
    if flags.mock_data:
        raise UserError("--mock-data: has no order to draw")
    started = time.monotonic()
    # Orders do not depend on the length of samples: 1 asks for no more data than there is. What --split gives to validation
    # is drawn in a moment.
    data = build(flags, seq_length=1, seed=prepare.seed, evaluates=bool(flags.valid_data_path))
    orders: dict[str, bool] = {}
    for epoch in range(prepare.epochs):
        orders |= data.train.prepare(epoch)
    for each in (*data.valid, *data.test):
        orders |= each.samples.prepare(0)
    missing = [path for path, there in orders.items() if not there]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(orders)} order(s) could not be written, among them {missing[0]}; make room for them there, "
            "or name another folder with --data-cache-path, here and in the run"
        )
    if orders:
        print(f"{len(orders)} order(s) are in the cache, after {time.monotonic() - started:.1f} s")
    else:
        print(f"nothing is kept: data sets of fewer than {LEAST:,} documents are drawn in milliseconds")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
