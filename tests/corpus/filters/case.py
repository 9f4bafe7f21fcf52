"""Asking a filter as the engine does: flags as they are typed, one document, one verdict."""

from __future__ import annotations

import functools
import pathlib
import sysconfig
from types import ModuleType, SimpleNamespace
from typing import Any

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.filters import Verdict

CHINESE = (
    "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。"
    "汉朝自高祖斩白蛇而起义，一统天下，后来光武中兴，传至献帝，遂分为三国。推其致乱之由，殆始于桓、灵二帝。\n"
) * 4
"""The opening of the Romance of the Three Kingdoms (public domain)."""


def make(module: ModuleType, *argv: Any) -> Any:
    """The filter of these flags; ConfigurationError and UserError as a person would get them."""
    return module.Filter(SimpleNamespace(**read([module.Flags], list(map(str, argv)), "filters", "").flat()))


def judge(module: ModuleType, text: str, *argv: Any, **values: Any) -> Verdict:
    verdict = make(module, *argv)(Document("a.jsonl:1", "web", {"text": text, **values}))
    assert verdict.reason is None or (verdict.reason in module.REASONS and verdict.detail)
    assert len(verdict.numbers) <= len(module.NUMBERS)
    return verdict


def problems(module: ModuleType, *argv: Any) -> list[str]:
    """What is wrong with the flags, a sentence each."""
    try:
        read([module.Flags], list(map(str, argv)), "filters", "")
    except ConfigurationError as error:
        return list(map(str, error.problems))
    return []


@functools.cache
def licence() -> str:
    """English prose that every Python brings: docstrings of a long module."""
    return pathlib.Path(sysconfig.get_path("stdlib"), "argparse.py").read_text(encoding="utf-8").split('"""')[1]
