"""The steps that a document goes through, in order: each rule of `--filters`, `--decontaminate`, `--scrub`. All is tallied."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from megatron_ext.corpus.cleaning.flags import FILTERS, sources_of
from megatron_ext.corpus.cleaning.tally import Sample, StepTally, Tally
from megatron_ext.corpus.decontamination.flags import REASONS as CONTAMINATED
from megatron_ext.corpus.documents import REASONS, Document, Reject
from megatron_ext.corpus.matching.flags import WAYS

READ, DECONTAMINATE, SCRUB = "read", "decontaminate", "scrub"
LENGTHS = ("characters", "bytes")
_HELD = 512  # documents whose numbers wait to be counted at once


class Dropped(NamedTuple):
    """Why a document is not kept, for the file of rejects."""

    step: str
    reason: str
    detail: str


class _Rule(NamedTuple):
    """Attributes: sources: whose documents it looks at; None: all."""

    name: str
    filter: Any
    sources: frozenset[str] | None


class Cleaner:
    """Takes documents one by one; `tally` is what became of those since `begin`, once `finish` was called.

    Args:
        c: the flat configuration.
    """

    def __init__(self, c: SimpleNamespace):
        sources = sources_of(c)
        self._rules = [_Rule(name, FILTERS.load(name).Filter(c), sources.get(name)) for name in c.filters]
        self._decontaminator = self._scrubber = None
        if c.decontaminate:
            from megatron_ext.corpus.decontamination.decontaminator import Decontaminator

            self._decontaminator = Decontaminator(c)
        if c.scrub:
            from megatron_ext.corpus.sensitive.scrub import Scrubber

            self._scrubber = Scrubber(c)
        self._c = c
        self.begin()

    def begin(self) -> None:
        self.tally = empty_tally(self._c)
        self._held: list[list[Sequence[float]]] = [[] for _ in self.tally.steps]
        self._held_after: list[list[Sequence[float]]] = [[] for _ in self.tally.steps]

    def reject(self, id: str, source: str, reject: Reject) -> Dropped:
        """A record that is no document, counted."""
        reading = self.tally.steps[0]
        reading.documents += 1
        few = reading.few(reject.reason)
        sample = Sample.of(SimpleNamespace(id=id, source=source, text=""), reject.detail) if few.wants(id) else None
        reading.drop(reject.reason, 0, sample)
        return Dropped(READ, reject.reason, reject.detail)

    def __call__(self, document: Document) -> Dropped | None:
        """Put a document through the steps, which may edit it; why it is dropped, or None."""
        size = whole = document.size()
        reading, source = self.tally.steps[0], self.tally.sources.setdefault(document.source, [0] * 4)
        reading.documents += 1
        reading.bytes += size
        source[0] += 1
        source[1] += size
        rows: list[Sequence[float]] = [(len(document.text), size)]
        self._held[0].append(rows[0])
        dropped = None
        for number, rule in enumerate(self._rules, 1):
            if rule.sources is not None and document.source not in rule.sources:
                rows.append(())
                continue
            dropped, size = self._through(self.tally.steps[number], rule, document, size, rows)
            if dropped is not None:
                break
        else:
            if self._decontaminator is not None:
                dropped, size = self._decontaminate(self.tally.steps[len(self._rules) + 1], document, size)
            if self._scrubber is not None and dropped is None:
                size = self._scrub(self.tally.steps[-1], document, size)
        self._language(document, whole, size, dropped is None)
        if dropped is None:
            self._keep(document, size, source, rows)
        if len(self._held[0]) >= _HELD:
            self.finish()
        return dropped

    def _through(self, step: StepTally, rule: _Rule, document: Document, size: int, rows: list) -> tuple[Dropped | None, int]:
        """One rule; the size of the text after it."""
        start = time.perf_counter()
        verdict = rule.filter(document)
        step.documents += 1
        step.bytes += size
        rows.append(verdict.numbers)
        self._held[len(rows) - 1].append(verdict.numbers)
        if verdict.reason is not None:
            few = step.few(verdict.reason)
            sample = Sample.of(document, verdict.detail) if few.wants(document.id) else None
            step.drop(verdict.reason, size, sample)
        elif verdict.text is not None:
            size = self._edit(step, document, verdict.text, size)
        step.seconds += time.perf_counter() - start
        dropped = None if verdict.reason is None else Dropped(rule.name, verdict.reason, verdict.detail)
        return dropped, size

    def _decontaminate(self, step: StepTally, document: Document, size: int) -> tuple[Dropped | None, int]:
        """The size of the text after it, where it stays."""
        start = time.perf_counter()
        step.documents += 1
        step.bytes += size
        found = self._decontaminator(document.text)
        step.found.update(found.tests)
        dropped = None
        if found.detail:
            [reason] = CONTAMINATED
            dropped = Dropped(step.name, reason, found.detail)
            step.drop(reason, size, Sample.of(document, found.detail) if step.few(reason).wants(document.id) else None)
        elif found.text is not None:
            size = self._edit(step, document, found.text, size)
        step.seconds += time.perf_counter() - start
        return dropped, size

    def _scrub(self, step: StepTally, document: Document, size: int) -> int:
        start = time.perf_counter()
        step.documents += 1
        step.bytes += size
        text, found = self._scrubber(document.text)
        step.found.update(found)
        if text is not None:
            size = self._edit(step, document, text, size)
        step.seconds += time.perf_counter() - start
        return size

    def _edit(self, step: StepTally, document: Document, text: str, size: int) -> int:
        document.text = text
        after = document.size()
        step.edited += 1
        step.removed += size - after
        return after

    def _language(self, document: Document, whole: int, size: int, kept: bool) -> None:
        language = document.values.get("language")
        if isinstance(language, str):
            counts = self.tally.languages.setdefault(language, [0] * 4)
            counts[0] += 1
            counts[1] += whole
            if kept:
                counts[2] += 1
                counts[3] += size

    def _keep(self, document: Document, size: int, source: list[int], rows: list[Sequence[float]]) -> None:
        source[2] += 1
        source[3] += size
        self.tally.kept[0] += 1
        self.tally.kept[1] += size
        if self.tally.keeps.wants(document.id):
            self.tally.keeps.add(Sample.of(document))
        rows[0] = (len(document.text), size)
        for held, row in zip(self._held_after, rows):
            held.append(row)

    def finish(self) -> None:
        """Count the numbers that wait."""
        for step, before, after in zip(self.tally.steps, self._held, self._held_after):
            step.count(before, step.before)
            step.count(after, step.after)
            before.clear()
            after.clear()


def reasons(names: Sequence[str]) -> dict[str, str]:
    """Why these rules, ways to find duplicates, and reading itself drop documents, and how a person reads it."""
    modules = [rooms.load(name) for name in names for rooms in (FILTERS, WAYS) if name in rooms.names()]
    return {**REASONS, **CONTAMINATED, **{reason: told for module in modules for reason, told in module.REASONS.items()}}


def empty_tally(c: SimpleNamespace) -> Tally:
    """A tally of no document, of the steps of a configuration."""
    rules = [StepTally(name, tuple(FILTERS.load(name).NUMBERS)) for name in c.filters]
    further = [StepTally(name) for name, asked in ((DECONTAMINATE, c.decontaminate), (SCRUB, c.scrub)) if asked]
    return Tally([StepTally(READ, LENGTHS), *rules, *further])
