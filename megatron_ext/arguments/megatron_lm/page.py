"""The table as text: docs/megatron_lm.md (written by tools/megatron_lm_page.py) and `--help megatron`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from megatron_ext.arguments.flags import flags_of
from megatron_ext.arguments.megatron_lm.defaults import DEFAULTS
from megatron_ext.arguments.megatron_lm.rows import OURS, REFUSED, TAKEN, TRANSLATED, Row
from megatron_ext.arguments.megatron_lm.table import SECTIONS
from megatron_ext.arguments.megatron_lm.values import VALUES

WIDTH = 126
INTRODUCTION = """\
# Megatron-LM's scripts

A script that starts Megatron-LM's `pretrain_gpt.py` starts this one, with the same flags. Each of Megatron-LM's flags is one of

- **the same here**: nothing to do;
- **translated**: it means another flag here;
- **taken without effect**: it is so here already, or it changes speed or display alone. The run lists these at its start;
- **refused**: it is not there, and would change what is trained or written. The error says what to use instead.

Nothing that changes results is passed over in silence. `--num_layers` is read as `--num-layers`. Of a flag given twice the last
counts; two flags that contradict each other (`--swiglu --activation gelu`) are refused.

This page is made from `megatron_ext/arguments/megatron_lm/table.py` by `python tools/megatron_lm_page.py`; a test compares them.
`--help megatron` shows what is translated."""
DEFAULTS_TEXT = """\
## Whose defaults

A script relies on Megatron-LM's defaults for all that it does not say. So if the command line has a flag, or a kind of
tokenizer, that only Megatron-LM has (translated or taken below, or `--vocab-file` and `--merge-file`), Megatron-LM's defaults
hold instead of ours, below preset, YAML and flags in rank. The run says so at its start. `--megatron-defaults` asks for them,
`--no-megatron-defaults` for ours."""
HABITS_TEXT = """\
With them come habits of Megatron-LM's: the MLP of a gated activation is 8/3 × hidden, *down* to a multiple of 64 (ours: up);
`gelu` has its tanh form where it is taken together with the bias (`--activation gelu_tanh`), and is exact with
`--no-bias-gelu-fusion` or `--disable-bias-linear`; `--group-query-attention` alone means one group; the experts' tensor
parallelism is the layers'; `--sequence-parallel` on one tensor-parallel process and `--tiktoken-pattern` for another kind of
tokenizer are left out, and the run says so; and where nobody gave `--eval-interval`, there is no evaluation without validation
data or in a run shorter than the interval."""
DIFFERENCES = """\
## What stays different

- Weights, order of the data and dropout follow from `--seed` by other rules, which do not depend on the layout.
- Update 1 has the learning rate of step 1 of the warm-up; Megatron-LM's first update has that of step 0.
- The vocabulary is padded to a multiple of `--make-vocab-size-divisible-by`, not of that times the tensor-parallel size, and
  padded entries never get probability. So a checkpoint fits every layout, and the loss does not depend on the padding.
- `--train-samples` and `--train-iters` count alike, but samples are rounded up to whole updates.
- An update whose gradient is not finite is skipped; Megatron-LM ends the run, or applies it.
- Validation data is evaluated at the interval alone, not once more at the end of the run; test data is, once.
- A special token's name in a text (`<|endoftext|>`) is text; no begin or end tokens are added to documents, but for
  `--append-eod`. `NullTokenizer --vocab-size N` has N ids, the last of which ends a document (core up to 0.16: N + 1).
- Mixture of experts: the load-balancing loss is that of each sequence, and the router computes in fp32."""


def page(groups: Sequence[type]) -> str:
    """docs/megatron_lm.md; `groups` are the groups of flags of a training run."""
    parts = [INTRODUCTION, DEFAULTS_TEXT, _defaults_table(groups), HABITS_TEXT, DIFFERENCES, _values()]
    return "\n\n".join([*parts, *(_section(part.title, part.rows) for part in SECTIONS)]) + "\n"


def summary(width: int) -> list[str]:
    """The lines of `--help megatron`: what is translated, and how many flags there are of the other kinds."""
    every = [row for part in SECTIONS for row in part.rows]
    lines = ["Megatron-LM's flags with another name here:"]
    for row in every:
        if row.fate == TRANSLATED:
            lines.append(f"  {row.usage:<38}{row.meaning or row.why}")
    count = {fate: sum(row.fate == fate for row in every) for fate in (OURS, TAKEN, REFUSED)}
    rest = (
        f"{count[OURS]} more are the same here, {count[TAKEN]} are taken without effect, since it is so here already or changes "
        f"speed and display alone, and {count[REFUSED]} are refused with what to use instead: docs/megatron_lm.md lists them all."
    )
    return [*lines, "", *textwrap.wrap(rest, width), ""]


def _defaults_table(groups: Sequence[type]) -> str:
    ours = {flag.name: flag.default for group in groups for flag in flags_of(group)}
    lines = ["| flag | Megatron-LM's default | ours |", "|---|---|---|"]
    for name, default in DEFAULTS.items():
        if name in ours:
            lines.append(f"| `--{name.replace('_', '-')}` | {_shown(default)} | {_shown(ours[name])} |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return "none" if value is None else str(value).lower()


def _values() -> str:
    lines = ["## Values", "", "| flag | value | here |", "|---|---|---|"]
    words = {TAKEN: "taken without effect: ", REFUSED: "refused: "}
    for value in VALUES:
        meaning = "; ".join(filter(None, (f"`{value.ours}`" if value.ours else "", words.get(value.fate, "") + value.why)))
        lines.append(f"| `--{value.field.replace('_', '-')}` | `{value.spelling}` | {meaning} |")
    return "\n".join(lines)


def _section(title: str, rows: Sequence[Row]) -> str:
    same = [row for row in rows if row.fate == OURS]
    other = [row for row in rows if row.fate == TRANSLATED or row.only]
    parts = [f"## {title}"]
    if same:
        parts.append(_wrapped("The same here: ", (f"`{row.option}`" for row in same)))
    if other:
        lines = ["| flag | here |", "|---|---|"]
        lines += [f"| `{row.usage}` | {_fate(row)} |" for row in other]
        parts.append("\n".join(lines))
    for fate, head in ((TAKEN, "Taken without effect:"), (REFUSED, "Refused:")):
        reasons: dict[str, list[str]] = {}
        for row in rows:
            if row.fate == fate and not row.only:
                reasons.setdefault(row.why, []).append(f"`{row.option}`")
        if reasons:
            parts.append(head)
            parts.append("\n".join(_item(_wrapped("", options, f": {why}")) for why, options in reasons.items()))
    return "\n\n".join(parts)


def _item(text: str) -> str:
    return "- " + text.replace("\n", "\n  ")


def _fate(row: Row) -> str:
    meaning = f"`{row.meaning}`" if row.becomes else row.why
    if row.fate == TAKEN:
        meaning = f"without effect: {row.why}"
    if row.only:
        words = ", ".join(f"`{word}`" for word in row.only)
        meaning = f"{words}: {meaning}; else refused: {row.otherwise}"
    return meaning


def _wrapped(head: str, words: Iterable[str], tail: str = "") -> str:
    return textwrap.fill(head + ", ".join(words) + tail, WIDTH, break_on_hyphens=False, break_long_words=False)
