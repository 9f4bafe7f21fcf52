#!/usr/bin/env python3
"""Bits per byte of held-out documents under a trained model, by source, beside gzip -9 on the same text.

python tools/evaluate.py --load RUN --documents heldout.jsonl
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError, report
from megatron_ext.evaluation.flags import EvaluationFlags


def main(argv: Sequence[str]) -> int:
    try:
        flags = read(
            [EvaluationFlags], argv, "evaluate.py", "Bits per byte of held-out documents under a trained model."
        ).evaluation
    except ConfigurationError as error:
        report(error, "evaluate.py")
        return 2
    try:
        _evaluate(flags)
    except UserError as error:
        report(error, "evaluate.py")
        return 1
    return 0


def _evaluate(flags) -> None:
    from rich.console import Console
    from rich.table import Table

    from megatron_ext.evaluation.bits_per_byte import score
    from megatron_ext.evaluation.documents import by_source
    from megatron_ext.training.trained import trained_model

    groups = by_source(flags.documents, flags.text_key, flags.source_key, flags.max_documents)
    table = Table("source", "documents", "kB", "bytes/token", "loss (nats/token)", "bits/byte", "gzip -9 bits/byte")
    with trained_model(flags.load, flags.device) as trained:
        for source, texts in groups.items():
            found = score(trained.model, trained.tokenizer, texts, trained.window, flags.batch_size, trained.device)
            table.add_row(
                source,
                str(found.documents),
                f"{found.size / 1000:.0f}",
                f"{found.size / found.tokens:.2f}",
                f"{found.nats / found.tokens:.3f}",
                f"{found.bits_per_byte:.3f}",
                f"{found.gzip_bits_per_byte:.3f}",
            )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
