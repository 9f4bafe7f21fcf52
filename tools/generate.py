#!/usr/bin/env python3
r"""Ask a trained model: continue texts, fill in a middle or masks, text to text; on one process or on any layout.

    python tools/generate.py --load RUN --prompt "The history of" --max-new-tokens 50 --temperature 0.8
    torchrun --nproc-per-node 4 tools/generate.py --load RUN --prompts-file prompts.jsonl --output texts.jsonl \
        --tensor-model-parallel-size 2 --pipeline-model-parallel-size 2
    python tools/generate.py --load RUN --infill "def add(a, b):" "return total"
    python tools/generate.py --load T5 --sequence-to-sequence --prompt "translate English to German: The house is wonderful."
    python tools/generate.py --load BERT --fill-mask "Paris is the [MASK] of France."
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
ABOUT = (
    "Ask a trained model, on one process or, under torchrun or srun, on any layout: texts are continued, middles and masks "
    "filled in, in the form in which the run's objective has learnt it (docs/objectives.md)."
)


def main(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a process that waits for another in native code would not hear Ctrl-C
    return exit_status(lambda: _generate(argv), PROGRAM)


def _generate(argv: Sequence[str]) -> None:
    launch = launch_environment()
    config = read([TrainedFlags, GenerationFlags], argv, PROGRAM, ABOUT, launch.world_size)
    from megatron_ext.inference.fill_mask import refuse_growth
    from megatron_ext.inference.output import JsonLines, Terminal
    from megatron_ext.inference.prompts import read_prompts, requests
    from megatron_ext.training.trained import joined, open_run

    flags = config.generation
    with joined(config.run, launch) as device:
        prompts = first_for_all(lambda: read_prompts(flags))
        trained = open_run(config.run, device)
        asked = requests(prompts, flags, trained.config, trained.tokenizer, trained.window)
        grows = trained.config.model.architecture != "encoder"
        if not grows:
            refuse_growth(flags)
        sink = first_alone(lambda: JsonLines(flags.output) if flags.output else Terminal())
        (_grow if grows else _fill)(trained, asked, flags, sink)
        if sink is not None:
            sink.close()


def _grow(trained, asked, flags, sink) -> None:
    from megatron_ext.inference.generate import generate
    from megatron_ext.inference.output import told

    started, tokens, texts = time.perf_counter(), 0, 0
    for result, piece in generate(trained, asked, flags):
        if sink is not None:
            sink.add(result, piece)
            if result.finish_reason is not None:
                tokens, texts = tokens + len(result.ids), texts + 1
    if sink is not None:
        told(tokens, texts, time.perf_counter() - started)


def _fill(trained, asked, flags, sink) -> None:
    from megatron_ext.inference.fill_mask import SHOWN, fill

    mask = trained.tokenizer.control_tokens[trained.config.objective.mask_token]
    for found in fill(trained, asked, mask, flags.num_samples or SHOWN, flags.batch_size):
        if sink is not None:
            sink.add_filled(found, trained.tokenizer.decode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
