"""The last stage of a way of `dedup/`: a shard's documents without those, or those pieces, that are there twice."""

from __future__ import annotations

import collections
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from megatron_ext.corpus.cleaning.steps import Dropped
from megatron_ext.corpus.cleaning.tally import EXCERPT, SAMPLES, Sample, StepTally, Tally
from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.engine.columns import Columns
from megatron_ext.corpus.engine.keys import digest
from megatron_ext.corpus.engine.parts import Parts, Rejects, record_of
from megatron_ext.corpus.engine.stages import Job, Stage
from megatron_ext.corpus.matching.before import Before
from megatron_ext.corpus.matching.stages import Doomed, Finding, Names

COPIES = "copies of a document"


class Cutting(Stage):
    """Args:
    found: the stage that says what goes.
    reason: why a document is dropped, because it is `like` another or because too little is left of it.
    """

    def __init__(self, before: Before, found: Finding, parts: Parts, reason: str, like: str = "the same as"):
        self.before, self.found, self.parts, self.folder = before, found, parts, before.folder
        self.reason, self.like, self.name = reason, like, before.way
        self.rejects = Parts(before.folder / "rejects" / self.name, before.c.output_compression)
        own = before.stage.jobs
        last = parts.folder == self.folder  # else its files lie elsewhere
        key = digest(self.name, before.values, [job.key for job in found.jobs], last)
        self.jobs = [Job(self.name, job.number, digest(key, job.key), job.size, job.where) for job in own]

    def files(self, number: int) -> list[pathlib.Path]:
        return [self.parts.path(number), self.rejects.path(number), *self.found.besides]

    def worker(self) -> _Cutting:
        return _Cutting(self)

    def tally(self) -> Tally:
        step = StepTally(self.name)
        sizes: collections.Counter[float] = collections.Counter()
        for job in self.found.jobs:
            for size, clusters in (self.found.manifest(job.number) or {}).get("sizes", {}).items():
                sizes[float(size)] += clusters
        if sizes:
            step.set_numbers({COPIES: sizes})
        return Tally([step])


class Showing(Stage):
    """One job, which looks up the copies that stay of the duplicates to read, for the receipt.

    Args: similarity: of two texts, by the flat configuration; None: they are the same.
    """

    def __init__(self, cutting: Cutting, similarity: Callable[[Any, str, str], float] | None = None):
        self.cutting, self.folder, self.name = cutting, cutting.folder, f"{cutting.name}.pairs"
        self.similarity = similarity
        key = digest(self.name, [job.key for job in cutting.jobs])
        self.jobs = [Job(self.name, 0, key, 0, "pairs to read")]

    def files(self, number: int) -> list[pathlib.Path]:
        return []

    def worker(self) -> Callable[[int], dict[str, Any]]:
        return self._do

    def _do(self, number: int) -> dict[str, Any]:
        tally = self.cutting.tally()
        for job in self.cutting.jobs:
            tally.update(Tally.from_dict(self.cutting.done(job.number)["tally"]))
        alike, samples, pairs = self.similarity, _samples(tally), {}
        wanted = {tuple(sample.twin) for sample in samples} | {tuple(sample.own) for sample in samples if alike}
        texts = self._texts(wanted)
        for sample in samples:
            other = texts[tuple(sample.twin)]
            share = alike(self.cutting.before.c, texts[tuple(sample.own)], other) if alike else None
            pairs["{} {}".format(*sample.own)] = [other[:EXCERPT], share]
        return {"text": 0, "documents": 0, "pairs": pairs}

    def _texts(self, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], str]:
        found = {}
        for shard in sorted({shard for shard, _ in wanted}):
            here = {index for of, index in wanted if of == shard}
            found |= {(shard, index): document.text for index, document in self.cutting.before.some(shard, here)}
        return found

    def complete(self, tally: Tally) -> None:
        pairs = (self.manifest(0) or {}).get("pairs", {})
        for sample in _samples(tally):
            sample.other, alike = pairs.get("{} {}".format(*sample.own), ("", None))
            if alike is not None:
                sample.detail += f" ({alike:.2f})"


def _samples(tally: Tally) -> list[Sample]:
    return [sample for few in tally.steps[-1].samples.values() for sample in few if sample.twin is not None]


class Pair(NamedTuple):
    """Of a document that goes: shard and index of the one that stays, where that is known."""

    twin: tuple[int, int] | None
    detail: str


class _Cutting:
    def __init__(self, stage: Cutting):
        self._stage, self._before = stage, stage.before
        self._places = stage.found.signing.places()

    def __call__(self, shard: int) -> dict[str, Any]:
        start = time.perf_counter()
        tally = Tally([StepTally(self._stage.name)])
        doomed = Doomed(self._stage.found, self._places, shard)
        with self._stage.parts.writer(shard) as kept, self._stage.rejects.writer(shard) as rejected:
            rejects = Rejects(rejected, self._before.c)
            if "begin" in doomed.columns:
                self._cut(shard, tally, kept, rejects, doomed)
            else:
                self._drop(shard, tally, kept, rejects, self._pairs(doomed))
            for lines in (kept, rejected):
                lines.publish()
        step = tally.steps[0]
        step.seconds = time.perf_counter() - start
        return {"text": step.bytes, "documents": step.documents, "tally": tally.as_dict()}

    def _pairs(self, doomed: Doomed) -> Mapping[int, Pair]:
        if "winner" not in doomed.columns:
            return {index: Pair(None, f"{self._stage.like} the filter") for index in doomed.index.tolist()}
        names, winners = Names(self._stage.found.signing, self._places), doomed.columns["winner"]
        ids, where = names.ids(winners), names.where(winners)
        rows = zip(doomed.index.tolist(), winners.tolist())
        return {index: Pair(where[winner], f"{self._stage.like} {ids[winner]}") for index, winner in rows}

    def _drop(self, shard: int, tally: Tally, kept: Any, rejects: Rejects, pairs: Mapping[int, Pair]) -> None:
        """What stays goes out as it came in, and is not looked into, as signing did so and told all that is counted."""
        signing, parts = self._stage.found.signing, self._before.parts
        columns, step, reason = signing.columns(shard), tally.steps[0], self._stage.reason
        stays = np.ones(columns.rows("bytes"), bool)
        stays[list(pairs)] = False
        _count_all(tally, signing.done(shard), columns, stays)
        shown = _with_least(columns["id_hash"], stays)
        for index, line in enumerate(parts.lines(shard)):
            pair = pairs.get(index)
            if pair is None:
                kept.pass_on(line)
                if index in shown and tally.keeps.wants((document := parts.document(line)).id):
                    tally.keeps.add(Sample.of(document))
                continue
            document = parts.document(line)
            wanted = step.few(reason).wants(document.id)
            sample = Sample.of(document, pair.detail, (shard, index), pair.twin) if wanted else None
            step.drop(reason, document.size(), sample)
            dropped = Dropped(step.name, reason, pair.detail)
            rejects.write(document.id, document.source, dropped, document.text, record_of(line))

    def _cut(self, shard: int, tally: Tally, kept: Any, rejects: Rejects, doomed: Doomed) -> None:
        step, rows = tally.steps[0], doomed.rows()
        for index, (line, document) in enumerate(self._before.read(shard)):
            size = after = document.size()
            dropped = None
            if index in rows:
                spans = [(int(doomed.columns["begin"][row]), int(doomed.columns["end"][row])) for row in rows[index]]
                text = without(document.text, spans)
                dropped = self._too_short(text, spans)
                if dropped is None:
                    document.text = text
                    after = document.size()
                    step.edited += 1
                    step.removed += size - after
            _count(tally, document, size, after, dropped is None)
            if dropped is None and document.edited:
                record = record_of(line)
                kept.put(document, record, record.payload)
            elif dropped is None:
                kept.pass_on(line)
            else:
                few = step.few(dropped.reason)
                step.drop(dropped.reason, size, Sample.of(document, dropped.detail) if few.wants(document.id) else None)
                rejects.write(document.id, document.source, dropped, document.text, record_of(line))

    def _too_short(self, text: str, spans: Sequence[tuple[int, int]]) -> Dropped | None:
        left, least = len(text.strip()), self._before.c.dedup_min_left
        if left >= max(least, 1):
            return None
        taken = sum(end - begin for begin, end in spans)
        return Dropped(
            self._stage.name, self._stage.reason, f"{left} characters left, at least {least}; {taken} bytes were there before"
        )


def without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without spans of its UTF-8, which begin and end between characters and do not overlap."""
    data, kept, place = text.encode(), [], 0
    for begin, end in sorted(spans):
        kept.append(data[place:begin])
        place = max(place, end)
    return b"".join([*kept, data[place:]]).decode()


def _count_all(tally: Tally, told: Mapping[str, Any], columns: Columns, stays: np.ndarray) -> None:
    """Count a shard's documents in and those that stay out, by what signing wrote of them."""
    step, size = tally.steps[0], columns["bytes"]
    step.documents, step.bytes = len(size), int(size.sum())
    tally.kept = [int(np.count_nonzero(stays)), int(size[stays].sum())]
    for name, counts in (("source", tally.sources), ("language", tally.languages)):
        names, number = told[f"{name}s"], columns[name]
        there = number >= 0
        rows = [
            np.bincount(number[chosen], weights[chosen], len(names)).astype(int).tolist()
            for chosen in (there, there & stays)
            for weights in (np.ones(len(size)), size)
        ]
        counts.update(zip(names, map(list, zip(*rows))))
    step.sources = {name: [documents, documents - kept] for name, (documents, _, kept, _) in tally.sources.items()}


def _with_least(hashes: np.ndarray, of: np.ndarray) -> set[int]:
    """Among the documents `of` (a mask) those with the SAMPLES smallest hashes."""
    index = np.flatnonzero(of)
    if len(index) > SAMPLES:
        index = index[hashes[index] <= np.partition(hashes[index], SAMPLES - 1)[SAMPLES - 1]]
    return set(index.tolist())


def _count(tally: Tally, document: Document, size: int, after: int, stays: bool) -> None:
    """Count a document in and, where it stays, out."""
    step = tally.steps[0]
    step.documents += 1
    step.bytes += size
    share = step.sources.setdefault(document.source, [0, 0])
    share[0] += 1
    share[1] += not stays
    names = [(tally.sources, document.source)]
    if isinstance(document.values.get("language"), str):
        names.append((tally.languages, document.values["language"]))
    for counts, name in names:
        found = counts.setdefault(name, [0] * 4)
        found[0] += 1
        found[1] += size
        if stays:
            found[2] += 1
            found[3] += after
    if stays:
        tally.kept[0] += 1
        tally.kept[1] += after
        if tally.keeps.wants(document.id):
            tally.keeps.add(Sample.of(document))
