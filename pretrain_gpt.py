#!/usr/bin/env python3
r"""Train a language model: parse → plan → build → train.

    python pretrain_gpt.py --preset tiny --mock-data
    torchrun --nproc-per-node 4 pretrain_gpt.py --preset tiny --mock-data \
        --tensor-model-parallel-size 2 --pipeline-model-parallel-size 2

`--help` shows the flags that matter most.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from megatron_ext.arguments.problems import ConfigurationError, UserError, report
from megatron_ext.backend import distributed
from megatron_ext.reliability.preemption import STATUS, begin, leave
from megatron_ext.training.configuration import preemption_of, read_configuration


def main(argv: Sequence[str]) -> int:
    try:
        launch = distributed.launch_environment()
        config = read_configuration(argv, launch.world_size)
    except (ConfigurationError, UserError) as error:
        report(error, "pretrain_gpt.py")
        return 2
    if launch.rank == 0:
        print(*config.notes, sep="\n", end="\n" * bool(config.notes), flush=True)
    preemption = preemption_of(config, speak=launch.local_rank == 0)
    # Only now torch and megatron-core are imported: --help and a wrong flag answer at once.
    try:
        with preemption.listening():
            from megatron_ext.training.layout import processes

            with processes(launch, config) as device:
                from megatron_ext.training.build import build
                from megatron_ext.training.loop import train

                run = build(config, device, preemption)
                begin()
                with run.loader:
                    state = train(run)
    except UserError as error:
        report(error, "pretrain_gpt.py")
        return 1
    return STATUS if state.stopped_by_signal else 0


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
