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
from megatron_ext.data.flags import DataFlags

PROGRAM = "prepare_cache.py"
ABOUT = "Draws the order of data sets of a million documents and more, so that a run finds it. Data flags are those of the run."


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
    kept = sum(data.train.prepare(epoch) for epoch in range(prepare.epochs))
    kept += sum(each.samples.prepare(0) for each in (*data.valid, *data.test))
    seconds = time.monotonic() - started
    if kept:
        print(f"{kept} order(s) are in the cache, after {seconds:.1f} s")
    else:
        print("nothing is kept: data sets of fewer than a million documents are drawn in a tenth of a second")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
