#!/usr/bin/env python3
"""Hugging Face checkpoints in and out: a folder of safetensors ↔ a run, whatever layout it was trained on.

    python tools/convert_checkpoint.py --from-hf DIR --to RUN      # then: pretrain_gpt.py --load RUN …
    python tools/convert_checkpoint.py --from RUN --to-hf DIR      # then: AutoModelForCausalLM.from_pretrained(DIR)

One process, no GPU; tensors go through one by one, files of them at most one at a time. Then both sides are run on the same
tokens, and their largest difference is printed; above 1e-4 the status is not 0. docs/huggingface.md lists the families.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import exit_status
from megatron_ext.checkpoint.conversion.flags import ConversionFlags

PROGRAM = "convert_checkpoint.py"
ABOUT = "Turn a Hugging Face folder into a run, or a run into a Hugging Face folder."


def main(argv: Sequence[str]) -> int:
    return exit_status(lambda: _convert(argv), PROGRAM)


def _convert(argv: Sequence[str]) -> None:
    flags = read([ConversionFlags], argv, PROGRAM, ABOUT).conversion
    from megatron_ext.training.conversion import from_huggingface, to_huggingface

    (from_huggingface if flags.from_hf is not None else to_huggingface)(flags)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
