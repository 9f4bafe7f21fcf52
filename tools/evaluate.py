#!/usr/bin/env python3
"""Held-out documents under a trained model, by source: bits per byte, beside gzip -9 on the same text, of a model of whole texts;
of one that has learnt another objective that one's own loss, beside the entropy of its labels' frequencies.

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
ABOUT = "Bits per byte of held-out documents under a trained model, or the loss of what else it has learnt to predict."
OF_WHOLE_TEXTS = ("causal_lm", "fill_in_middle")  # others never predict a document from its first token on, seeing none after


def main(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a process that waits for another in native code would not hear Ctrl-C
    return exit_status(lambda: _evaluate(argv), PROGRAM)


def _evaluate(argv: Sequence[str]) -> None:
    launch = launch_environment()
    config = read([TrainedFlags, EvaluationFlags], argv, PROGRAM, ABOUT, launch.world_size)
    from rich.console import Console
    from rich.table import Table

    from megatron_ext.corpus.whole_file import write_whole
    from megatron_ext.evaluation import bits_per_byte, objective_loss
    from megatron_ext.evaluation.documents import by_source
    from megatron_ext.training.trained import joined, open_run

    flags, figures, tables = config.evaluation, {}, {}
    with joined(config.run, launch) as device:
        groups = first_for_all(lambda: by_source(flags.documents, flags.text_key, flags.source_key, flags.max_documents))
        trained = open_run(config.run, device)
        objective = trained.config.objective.objective
        for source, texts in groups.items():
            found = []
            if objective in OF_WHOLE_TEXTS:
                settings = trained.window, flags.batch_size, device, objective == "causal_lm"
                found.append(bits_per_byte.score(trained.model, trained.tokenizer, texts, *settings))
            if objective != "causal_lm":
                found.append(objective_loss.score(trained, texts, flags.batch_size, flags.seed))
            figures[source] = {name: value for each in found for name, value in each.figures().items()}
            for each in found:  # a table of each kind: beside one another they are wider than a terminal, which cuts figures off
                table = tables.setdefault(each.COLUMNS, Table("source", "documents", *each.COLUMNS))
                table.add_row(source, str(len(texts)), *each.row())
    if launch.rank == 0:
        Console().print(*tables.values())
        if flags.json is not None:
            content = {"load": config.run.load, "objective": objective, "sources": figures}
            write_whole(flags.json, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
