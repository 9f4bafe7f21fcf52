"""A document without the tests that it holds, or none: what `--decontaminate` makes of each."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.decontamination import test_sets
from megatron_ext.corpus.decontamination.flags import INSTALLED
from megatron_ext.corpus.decontamination.ngrams import Index, remedy


class Found(NamedTuple):
    """Attributes:
    detail: why the document goes; "": it stays.
    text: what it becomes; None: it is as it was. tests: passages by test set.
    """

    detail: str
    text: str | None
    tests: collections.Counter[str]


class Decontaminator:
    """Args: c: the flat configuration. UserError: a test set cannot be read, or there is nothing to look for."""

    def __init__(self, c: Any):
        self._c = c
        self._index = Index(n=c.decontaminate_ngram, least=c.decontaminate_min_words)
        for path in c.decontaminate:
            items = (
                test_sets.read(path, c.decontaminate_fields)
                if path != INSTALLED
                else test_sets.installed(folder=c.decontaminate_packages)
            )
            before = len(self._index)
            for item in items:
                self._index.add(item)
            if len(self._index) == before:
                raise UserError(f"--decontaminate {path}: all its texts are too short, mostly numbers, or were there before")

    def __call__(self, text: str) -> Found:
        hits = self._index.scan(text)
        tests = collections.Counter(hit.test_set for hit in hits)
        if not hits:
            return Found("", None, tests)
        left = remedy(text, hits, self._c.decontaminate_action, self._c.decontaminate_margin, self._c.decontaminate_min_left)
        first = f"{hits[0].id} of {hits[0].test_set} at character {hits[0].begin}"
        more = f", and {len(hits) - 1} more" if len(hits) > 1 else ""
        return Found("" if left else first + more, left, tests)
