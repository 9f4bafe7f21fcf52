#!/usr/bin/env python3
"""Write docs/presets.md: each published model with its shape, its size beside the published one, and how it was trained.

python tools/presets_page.py
"""

from __future__ import annotations

import pathlib
import re
import sys
from types import ModuleType

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import PRESETS, Config
from megatron_ext.models.architecture_flags import lengths
from megatron_ext.planner.parameters import count
from megatron_ext.training.configuration import read_configuration
from tests.models.presets.published import PUBLISHED

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "presets.md"
INTRODUCTION = """\
# Presets

`--preset llama-7b` gives the flags that a published model was pre-trained with; any flag given besides overrides its own. This
page is made by `python tools/presets_page.py` from `megatron_ext/models/presets/`, one file a family. Tests build each model on
the meta device (`tests/models/presets/`): it has as many parameters as written here, within 1 % of what the paper says, and
exactly those of the released weights or code. What was not published is empty here, and left to our defaults in a run.

    torchrun --nproc-per-node 8 pretrain_gpt.py --preset llama3-8b --data-path data/corpus_text_document \\
        --tokenizer-model tokenizer --bf16 --zero-stage 1 --tensor-model-parallel-size 2 --sequence-parallel"""
COLUMNS = ("`--preset`", "layers", "width", "heads", "vocabulary", "parameters", "published", "tokens", "batch, tokens",
           "learning rate", "warm-up, updates")  # fmt: skip


def configuration(name: str) -> Config:
    length = [] if "train_tokens" in PRESETS.entry(name) else ["--train-iters", "1000000"]
    vocabulary = str(PUBLISHED[name].vocab_size)
    argv = ["--preset", name, "--mock-data", "--tokenizer-type", "null", "--vocab-size", vocabulary]
    return read_configuration([*argv, *length], 1)


def short(number: float) -> str:
    """`6.738 B`, `125 M`: four figures."""
    size, unit = next(each for each in ((1e12, "T"), (1e9, "B"), (1e6, "M")) if number >= each[0] or each[1] == "M")
    return f"{number / size:.4g} {unit}"


def rate(value: float) -> str:
    """`1.85e-4`."""
    return re.sub(r"\.?0*e-0?", "e-", f"{value:e}") if value else "0"


def row(name: str) -> tuple[str, ...]:
    config, given, published = configuration(name), PRESETS.entry(name), PUBLISHED[name]
    model, batch = config.model, config.training.global_batch_size * sum(lengths(config.model))
    parameters = count(model, published.vocab_size)
    passed = f" ({short(parameters.active)} a token)" if parameters.active != parameters.total else ""
    end = f" → {rate(config.optimizer.min_lr)}" if "lr_decay_style" in given else ""
    groups = "" if model.num_query_groups == model.num_attention_heads else f" / {model.num_query_groups}"
    return (
        f"`{name.replace('_', '-')}`",
        str(model.num_layers),
        f"{model.hidden_size:,}",
        f"{model.num_attention_heads}{groups}",
        f"{published.vocab_size:,}",
        f"{parameters.total:,}{passed}",
        f"{short(published.parameters)} ({published.source})",
        short(given["train_tokens"]) if "train_tokens" in given else "",
        short(batch) if "global_batch_size" in given else "",
        rate(given["lr"]) + end if "lr" in given else "",
        f"{given['lr_warmup_iters']:,}" if "lr_warmup_iters" in given else "",
    )


def section(family: ModuleType) -> str:
    stem = family.__name__.rpartition(".")[2]
    text = family.__doc__.strip()
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *(row(name) for name in family.PRESETS)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"## [{stem}.py](../megatron_ext/models/presets/{stem}.py)\n\n{text}\n\n{table}"


def page() -> str:
    families = [family for family in PRESETS.families() if PUBLISHED.keys() & family.PRESETS.keys()]
    return "\n\n".join([INTRODUCTION, *map(section, families)]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
