#!/usr/bin/env python3
"""Bits per byte of held-out documents under a trained model, by source, beside gzip -9 on the same text.

python tools/evaluate.py --load RUN --documents heldout.jsonl
torchrun --nproc-per-node 2 tools/evaluate.py --load RUN --documents heldout.jsonl --tensor-model-parallel-size 2
"""

from __future__ import annotations

import json
import pathlib
import signal
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import exit_status
from megatron_ext.backend.distributed import first_for_all, launch_environment
from megatron_ext.evaluation.flags import EvaluationFlags
from megatron_ext.training.flags import TrainedFlags

PROGRAM = "evaluate.py"
ABOUT = "Bits per byte of held-out documents under a trained model."


def main(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a process that waits for another in native code would not hear Ctrl-C
    return exit_status(lambda: _evaluate(argv), PROGRAM)


def _evaluate(argv: Sequence[str]) -> None:
    launch = launch_environment()
    config = read([TrainedFlags, EvaluationFlags], argv, PROGRAM, ABOUT, launch.world_size)
    from rich.console import Console
    from rich.table import Table

    from megatron_ext.corpus.whole_file import write_whole
    from megatron_ext.evaluation.bits_per_byte import score
    from megatron_ext.evaluation.documents import by_source
    from megatron_ext.training.trained import joined, open_run

    flags, figures = config.evaluation, {}
    table = Table("source", "documents", "kB", "bytes/token", "loss (nats/token)", "bits/byte", "gzip -9 bits/byte")
    with joined(config.run, launch) as device:
        groups = first_for_all(lambda: by_source(flags.documents, flags.text_key, flags.source_key, flags.max_documents))
        trained = open_run(config.run, device)
        for source, texts in groups.items():
            found = score(trained.model, trained.tokenizer, texts, trained.window, flags.batch_size, device)
            figures[source] = found.figures()
            table.add_row(
                source,
                str(found.documents),
                f"{found.size / 1000:.0f}",
                f"{found.size / found.tokens:.2f}",
                f"{found.nats / found.tokens:.3f}",
                f"{found.bits_per_byte:.3f}",
                f"{found.gzip_bits_per_byte:.3f}",
            )
    if launch.rank == 0:
        Console().print(table)
        if flags.json is not None:
            content = {"load": config.run.load, "sources": figures}
            write_whole(flags.json, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
