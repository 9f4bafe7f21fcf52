"""Flags of what a document must be to be kept, and of what is changed in it."""

from __future__ import annotations

from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry

FILTERS = Registry("megatron_ext.corpus.filters")


@flag_group("cleaning", "What is kept")
class CleaningFlags:
    filters: tuple[str, ...] = flag((), "rules that a document must pass, in this order", choices=FILTERS, front=True)
    filters_for: tuple[str, ...] = flag(
        (), "rules that look at documents of some sources alone, as RULE=SOURCE or RULE=SOURCE+SOURCE (default: all look at all)"
    )

    @staticmethod
    def check(c):
        for given in c.filters_for:
            rule, equals, sources = given.partition("=")
            if not equals or not all(sources.split("+")):
                yield Problem("--filters-for", given, "is no RULE=SOURCE", "write code=code, language=web+books …")
            elif rule not in c.filters:
                yield Problem("--filters-for", given, f"is of a rule that --filters does not name: {rule}", "name it there")
            elif [each.partition("=")[0] for each in c.filters_for].count(rule) > 1:
                yield Problem("--filters-for", given, f"is not all that is said of {rule}", f"join its sources: {rule}=A+B")
                break
        for name in c.filters:
            if c.filters.count(name) > 1:
                yield Problem("--filters", name, "is given twice", "name each rule once")
                break


def sources_of(c: Any) -> dict[str, frozenset[str]]:
    """Of the rules that look at documents of some sources alone, which those are."""
    given = (each.partition("=") for each in c.filters_for)
    return {rule: frozenset(sources.split("+")) for rule, _, sources in given}


def groups() -> list[type]:
    """The groups of flags of everything that looks at documents, each rule's own last."""
    from megatron_ext.corpus.decontamination.flags import DecontaminationFlags
    from megatron_ext.corpus.sensitive.flags import SensitiveFlags

    return [CleaningFlags, DecontaminationFlags, SensitiveFlags, *(FILTERS.load(name).Flags for name in FILTERS)]
