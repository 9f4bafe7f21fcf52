"""Flags of what a document must be to be kept, and of what is changed in it."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry

FILTERS = Registry("megatron_ext.corpus.filters")


@flag_group("cleaning", "What is kept")
class CleaningFlags:
    filters: tuple[str, ...] = flag((), "rules that a document must pass, in this order", choices=FILTERS, front=True)

    @staticmethod
    def check(c):
        for name in c.filters:
            if c.filters.count(name) > 1:
                yield Problem("--filters", name, "is given twice", "name each rule once")
                break


def groups() -> list[type]:
    """The groups of flags of everything that looks at documents, each rule's own last."""
    from megatron_ext.corpus.decontamination.flags import DecontaminationFlags
    from megatron_ext.corpus.sensitive.flags import SensitiveFlags

    return [CleaningFlags, DecontaminationFlags, SensitiveFlags, *(FILTERS.load(name).Flags for name in FILTERS)]
