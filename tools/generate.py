#!/usr/bin/env python3
r"""Continue texts with a trained model, on one process or on any layout.

    python tools/generate.py --load RUN --prompt "The history of" --max-new-tokens 50 --temperature 0.8
    torchrun --nproc-per-node 4 tools/generate.py --load RUN --prompts-file prompts.jsonl --output texts.jsonl \
        --tensor-model-parallel-size 2 --pipeline-model-parallel-size 2
"""

from __future__ import annotations

import pathlib
import signal
import sys
import time
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import exit_status
from megatron_ext.backend.distributed import first_alone, first_for_all, launch_environment
from megatron_ext.inference.flags import GenerationFlags
from megatron_ext.training.flags import TrainedFlags

PROGRAM = "generate.py"
ABOUT = "Continue texts with a trained model, on one process or, under torchrun or srun, on any layout."


def main(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a process that waits for another in native code would not hear Ctrl-C
    return exit_status(lambda: _generate(argv), PROGRAM)


def _generate(argv: Sequence[str]) -> None:
    launch = launch_environment()
    config = read([TrainedFlags, GenerationFlags], argv, PROGRAM, ABOUT, launch.world_size)
    from megatron_ext.inference.generate import generate
    from megatron_ext.inference.output import JsonLines, Terminal, told
    from megatron_ext.inference.prompts import infilling, read_prompts, requests
    from megatron_ext.training.trained import joined, open_run

    flags = config.generation
    with joined(config.run, launch) as device:
        prompts = [] if flags.infill else first_for_all(lambda: read_prompts(flags))
        trained = open_run(config.run, device)
        if flags.infill:
            asked = infilling(flags, trained.config, trained.tokenizer, trained.window)
        else:
            asked = requests(prompts, trained.tokenizer, flags, trained.window)
        sink = first_alone(lambda: JsonLines(flags.output) if flags.output else Terminal())
        started, tokens, texts = time.perf_counter(), 0, 0
        for result, piece in generate(trained, asked, flags):
            if sink is not None:
                sink.add(result, piece)
                if result.finish_reason is not None:
                    tokens, texts = tokens + len(result.ids), texts + 1
        if sink is not None:
            sink.close()
            told(tokens, texts, time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
