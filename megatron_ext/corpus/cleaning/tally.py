"""What became of documents, counted as they go: by step and reason, with distributions and a few documents to read.

Tallies of shards add up to the run's, whatever the order: counts are sums, distributions are counts of rounded values, and
of the documents to read those are kept whose id has the smallest hash.
"""

from __future__ import annotations

import collections
import dataclasses
import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xxhash

SAMPLES = 20
"""Documents to read, of each reason and of those that are kept."""

EXCERPT = 1200
"""Characters of a document to read."""


class Distribution:
    """How often values occur, rounded to two significant digits: small, whatever the values, and two of them add up."""

    def __init__(self, counts: Mapping[float, int] | None = None):
        self.counts: collections.Counter[float] = collections.Counter(counts or {})

    def add(self, values: np.ndarray) -> None:
        values = values[np.isfinite(values)]
        values[np.abs(values) < 1e-300] = 0.0  # the unit of its second digit would be no number
        magnitude = np.floor(np.log10(np.abs(values), out=np.zeros_like(values), where=values != 0))
        unit = 10.0 ** (magnitude - 1)
        rounded, counts = np.unique(np.round(values / unit) * unit, return_counts=True)
        for value, count in zip(rounded.tolist(), counts.tolist()):
            self.counts[float(f"{value:.1e}")] += count

    def update(self, other: Distribution) -> None:
        self.counts.update(other.counts)

    def as_list(self) -> list[list[float]]:
        return [[value, self.counts[value]] for value in sorted(self.counts)]


@dataclasses.dataclass(order=True)
class Sample:
    """A document to read.

    Attributes:
        rank: the hash of its id, by which samples are chosen.
        own, twin: of a duplicate, shard and index of itself and of the copy that stays; other: that one's text.
    """

    rank: int
    id: str
    source: str
    detail: str
    text: str
    own: Sequence[int] | None = dataclasses.field(default=None, compare=False)
    twin: Sequence[int] | None = dataclasses.field(default=None, compare=False)
    other: str = dataclasses.field(default="", compare=False)

    @classmethod
    def of(cls, document: Any, detail: str = "", own: Sequence[int] | None = None, twin: Sequence[int] | None = None) -> Sample:
        return cls(hash_of(document.id), document.id, document.source, detail, document.text[:EXCERPT], own, twin)


def hash_of(id: str) -> int:
    return xxhash.xxh3_64_intdigest(id.encode("utf-8", "surrogatepass"))


class Few:
    """The SAMPLES documents with the smallest ranks."""

    def __init__(self, samples: Iterable[Sample] = ()):
        self._heap = [(-sample.rank, sample) for sample in samples]
        heapq.heapify(self._heap)

    def wants(self, id: str) -> bool:
        return len(self._heap) < SAMPLES or hash_of(id) < -self._heap[0][0]

    def add(self, sample: Sample) -> None:
        heapq.heappush(self._heap, (-sample.rank, sample))
        if len(self._heap) > SAMPLES:
            heapq.heappop(self._heap)

    def update(self, other: Few) -> None:
        for sample in other:
            self.add(sample)

    def __iter__(self):
        return iter(sorted(sample for _, sample in self._heap))


class StepTally:
    """One step's: a rule, the scrubbing of personal data, or reading itself.

    Attributes:
        documents, bytes: that came to it, bytes of text in UTF-8.
        dropped: reason → [documents, bytes]; samples: reason → documents to read.
        edited: documents whose text it changed; removed: bytes that this took out.
        found: what it counts besides (kinds of personal data).
        sources: of a step that looks for duplicates, name → [documents that came to it, dropped].
        before, after: name of a number → its distribution in what came to the step, and in what all rules keep: duplicates are
            looked for later, and are among it.
    """

    def __init__(self, name: str, numbers: Sequence[str] = ()):
        self.name, self.numbers = name, tuple(numbers)
        self.documents = self.bytes = self.edited = self.removed = 0
        self.seconds = 0.0
        self.dropped: dict[str, list[int]] = {}
        self.samples: dict[str, Few] = {}
        self.found: collections.Counter[str] = collections.Counter()
        self.sources: dict[str, list[int]] = {}
        self.before = {number: Distribution() for number in numbers}
        self.after = {number: Distribution() for number in numbers}

    def drop(self, reason: str, size: int, sample: Sample | None) -> None:
        count = self.dropped.setdefault(reason, [0, 0])
        count[0] += 1
        count[1] += size
        if sample is not None:
            self.few(reason).add(sample)

    def few(self, reason: str) -> Few:
        return self.samples.setdefault(reason, Few())

    def count(self, rows: Sequence[Sequence[float]], which: dict[str, Distribution]) -> None:
        """Add rows of numbers, each as long as it got, to distributions."""
        for number, column in zip(self.numbers, itertools.zip_longest(*rows, fillvalue=float("nan"))):
            which[number].add(np.array(column, float))

    def set_numbers(self, counts: Mapping[str, Mapping[float, int]]) -> None:
        """What is counted of the whole corpus at once, and not document by document."""
        self.numbers = tuple(counts)
        self.before = {number: Distribution(found) for number, found in counts.items()}
        self.after = {number: Distribution() for number in counts}

    def update(self, other: StepTally) -> None:
        for name in ("documents", "bytes", "edited", "removed", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, (documents, size) in other.dropped.items():
            count = self.dropped.setdefault(reason, [0, 0])
            count[0], count[1] = count[0] + documents, count[1] + size
        for reason, few in other.samples.items():
            self.few(reason).update(few)
        self.found.update(other.found)
        for source, counts in other.sources.items():
            self.sources[source] = [a + b for a, b in zip(self.sources.get(source, [0, 0]), counts)]
        for mine, theirs in ((self.before, other.before), (self.after, other.after)):
            for number, distribution in theirs.items():
                mine.setdefault(number, Distribution()).update(distribution)

    def as_dict(self) -> dict[str, Any]:
        names = ("name", "numbers", "documents", "bytes", "edited", "removed", "seconds", "dropped", "sources")
        return {name: getattr(self, name) for name in names} | {
            "found": dict(self.found),
            "samples": {reason: [dataclasses.asdict(each) for each in few] for reason, few in self.samples.items()},
            "before": {number: found.as_list() for number, found in self.before.items()},
            "after": {number: found.as_list() for number, found in self.after.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StepTally:
        made = cls(values["name"], values["numbers"])
        for name in ("documents", "bytes", "edited", "removed", "seconds", "dropped", "sources"):
            setattr(made, name, values[name])
        made.found.update(values["found"])
        made.samples = {reason: Few(Sample(**each) for each in few) for reason, few in values["samples"].items()}
        made.before = {number: Distribution(dict(map(tuple, found))) for number, found in values["before"].items()}
        made.after = {number: Distribution(dict(map(tuple, found))) for number, found in values["after"].items()}
        return made


class Tally:
    """All steps', and what is kept.

    Attributes:
        kept: documents and bytes of text; keeps: some of them, to read.
        sources, languages: name → [documents read, bytes read, documents kept, bytes kept].
    """

    def __init__(self, steps: Iterable[StepTally]):
        self.steps = list(steps)
        self.kept = [0, 0]
        self.keeps = Few()
        self.sources: dict[str, list[int]] = {}
        self.languages: dict[str, list[int]] = {}

    def update(self, other: Tally) -> None:
        for mine, theirs in zip(self.steps, other.steps, strict=True):
            mine.update(theirs)
        self.kept = [mine + theirs for mine, theirs in zip(self.kept, other.kept)]
        self.keeps.update(other.keeps)
        for mine, theirs in ((self.sources, other.sources), (self.languages, other.languages)):
            for name, counts in theirs.items():
                mine[name] = [a + b for a, b in zip(mine.get(name, [0] * 4), counts)]

    def then(self, later: Tally) -> None:
        """Add what a later stage made of what was kept."""
        self.steps += later.steps
        self.kept, self.keeps = later.kept, later.keeps
        for mine, theirs in ((self.sources, later.sources), (self.languages, later.languages)):
            for name, counts in mine.items():
                counts[2:] = theirs.get(name, [0] * 4)[2:]

    def as_dict(self) -> dict[str, Any]:
        return {
            "kept": self.kept,
            "sources": self.sources,
            "languages": self.languages,
            "keeps": [dataclasses.asdict(each) for each in self.keeps],
            "steps": [step.as_dict() for step in self.steps],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tally:
        made = cls(StepTally.from_dict(step) for step in values["steps"])
        made.kept, made.sources, made.languages = list(values["kept"]), values["sources"], values["languages"]
        made.keeps = Few(Sample(**each) for each in values["keeps"])
        return made
