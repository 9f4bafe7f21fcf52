#!/usr/bin/env python3
"""Continue texts with a trained model.

python tools/generate.py --load RUN --prompt "The history of" --max-new-tokens 50 --temperature 0.8
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError, report
from megatron_ext.inference.flags import GenerationFlags


def main(argv: Sequence[str]) -> int:
    try:
        flags = read([GenerationFlags], argv, "generate.py", "Continue texts with a trained model, on one process.").generation
    except ConfigurationError as error:
        report(error, "generate.py")
        return 2
    try:
        _generate(flags)
    except UserError as error:
        report(error, "generate.py")
        return 1
    return 0


def _generate(flags) -> None:
    from megatron_ext.inference.generate import generate
    from megatron_ext.training.trained import trained_model

    with trained_model(flags.load, flags.device) as trained:
        for number, prompt in enumerate(flags.prompt):
            if number:
                print()
            print(prompt, end="", flush=True)
            ids, added, shown = trained.tokenizer.encode(prompt), [], ""
            known = len(trained.tokenizer.decode(ids))
            for token in generate(trained.model, ids, flags, trained.tokenizer.eod, trained.window, trained.device):
                added.append(token)
                text = trained.tokenizer.decode(ids + added)[known:]
                if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # a character of several tokens is not whole yet
                    print(text[len(shown) :], end="", flush=True)
                    shown = text
            print()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
