#!/usr/bin/env python3
"""Write docs/architectures.md: each concept of the models' registries, its paper, and what tests compare it with.

python tools/architectures_page.py
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys
from collections.abc import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.flags import Flag, flags_of
from megatron_ext.arguments.registry import Registry
from megatron_ext.models.flags import ModelFlags
from tests.comparisons import Comparison, comparisons, registries_of_models

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "architectures.md"
INTRODUCTION = """\
# Architectures

A concept is a file, and its name is the flag's value. The tables are made by `python tools/architectures_page.py` from the
files' first lines and from the tests that compare them with what others have written (transformers, at the version in
`constraints-cpu.txt`) or with the paper's formula; a test fails where an entry has no paper or no comparison.

Differences are the largest ones between elements, in fp32 (activations and norms: fp64): measured for whole models' logits
(`tests/parity/measured.json`; gradients agree to 1e-4 of their norms), for all else what the test allows."""
PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def shapes() -> Iterator[tuple[Flag, str]]:
    """The other flags of norms, residuals, positions and attention, each with its file."""
    for base in ModelFlags.__bases__:
        own = {field.name for field in dataclasses.fields(base)}
        file = base.__module__.replace(".", "/") + ".py"
        for flag in flags_of(ModelFlags):
            if flag.name in own and not isinstance(flag.choices, Registry):
                yield flag, file


def concept(docstring: str) -> str:
    """The first sentence, without papers and flags."""
    text = " ".join(docstring.split("\n\n")[0].split())
    text = re.sub(r" ?\([^()]*(arXiv|no paper)[^()]*\)", "", text)
    text = re.split(r"(?<=[^ .])[.:;]? `--", text)[0]
    return re.split(r"\.(?= [A-Z])|\.$", text)[0]


def papers(docstring: str) -> str:
    """Links; or what the file says where there is none: `(no paper: …)`."""
    if without := re.search(r"\(no (paper: [^()]+)\)", docstring):
        return "no " + without.group(1)
    return ", ".join(f"[{number}](https://arxiv.org/abs/{number})" for number in dict.fromkeys(PAPER.findall(docstring)))


def compared(found: list[Comparison]) -> tuple[str, str]:
    """`(with what, differences)`, whole models first and together."""
    others, differences = [], []
    for whose in dict.fromkeys(each.what for each in found if each.model):
        of_whole = [each for each in found if each.model and each.what == whose]
        others.append(f"{whose}: " + ", ".join(dict.fromkeys(each.model for each in of_whole)))
        differences.append(max((each.within for each in of_whole), key=float).replace("e-0", "e-"))
    rest = list(dict.fromkeys(each for each in found if not each.model))
    others += [each.what for each in rest]
    differences += [f"≤ {each.within}" for each in rest]
    return "<br>".join(others), "<br>".join(differences)


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(*lines: tuple[str, ...]) -> str:
    return "\n".join([row(*lines[0]), "|" + "---|" * len(lines[0]), *(row(*line) for line in lines[1:])])


def page() -> str:
    known, parts = comparisons(), [INTRODUCTION]
    for flag in registries_of_models():
        lines = [("concept", "value", "file", "paper", "compared with", "difference")]
        for name in flag.choices.names():
            module = flag.choices.load(name)
            file = f"{module.__name__.replace('.', '/')}.py"
            what = concept(module.__doc__), f"`{name}`", f"[{name}.py](../{file})", papers(module.__doc__)
            lines.append((*what, *compared(known.get((flag.name, name), []))))
        parts += [f"## `{flag.option}`: {flag.help}", table(*lines)]
    lines = [("flag", "what it does", "file", "compared with", "difference")]
    for flag, file in shapes():
        name = f"`{flag.option}`"
        where = f"[{pathlib.Path(file).name}](../{file})"
        lines.append((name, flag.help, where, *compared(known.get((flag.name, True), []))))
    parts += ["## Flags beside them: where they are not as by default", table(*lines)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
