"""The stages of deduplication: sign each shard's documents; find, slice by slice of all signs, what is there twice; cut it out.

    WAY.sign   a job a shard: what is known of each document, as columns           map
    WAY.…      jobs that look at a slice of all shards' columns: what goes          shuffle, reduce
    WAY        a job a shard: documents without what goes                           map

What goes is told by place (`places.py`), sorted: whole documents, with `winner`, the place of the copy that stays, where that is
known; or `begin` and `end`, the bytes of the text that are cut out. `starts` says where each rank's documents of each shard begin
among the rows.
"""

from __future__ import annotations

import math
import pathlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import xxhash

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.engine.columns import Columns, write_columns
from megatron_ext.corpus.engine.keys import digest
from megatron_ext.corpus.engine.stages import Job, Stage
from megatron_ext.corpus.matching.before import Before
from megatron_ext.corpus.matching.places import Places, Ranks

BATCH = 4 * 2**20
"""Characters of text that are signed at once."""

MOST_SLICES = 100_000
"""Each one is a file, and reads some of every shard's."""

Signer = Callable[[Sequence[str]], dict[str, np.ndarray]]
"""From texts to columns, whose rows are those of one text behind those of the other. It may have `whole`, from the columns of a
whole shard to those that are written."""


class Signing(Stage):
    """Args: signer: made once in each process from the flat configuration."""

    def __init__(self, before: Before, signer: Callable[[Any], Signer]):
        self.before, self.folder, self.signer = before, before.folder, signer
        self.name = f"{before.way}.sign"
        self._told: dict[str, np.ndarray] = {}
        self._places: Places | None = None
        shards = range(before.shards)
        self.jobs = [Job(self.name, n, before.key(self.name, n), before.size(n), before.where(n)) for n in shards]

    def path(self, number: int) -> pathlib.Path:
        return self.before.work / "sign" / f"{number:05d}.safetensors"

    def files(self, number: int) -> list[pathlib.Path]:
        return [self.path(number)]

    def worker(self) -> _Signing:
        return _Signing(self)

    def columns(self, shard: int) -> Columns:
        return Columns(self.path(shard))

    def places(self) -> Places:
        """Of all documents, once all shards are signed."""
        if self._places is None:
            self._places = Places(self.told("counts"))
        return self._places

    def indices(self, shard: int, places: np.ndarray) -> np.ndarray:
        """Which documents of a shard, in its order, are at these places."""
        of_all = self.places()
        numbers = of_all.numbers(shard, places)
        if np.count_nonzero(of_all.counts[shard]) < 2:
            return numbers
        return np.argsort(self.columns(shard)["ranks"], kind="stable")[numbers]

    def told(self, name: str) -> np.ndarray:
        """What all shards' manifests say of it, [shards, ranks]; read once in a process."""
        if name not in self._told:
            self._told[name] = np.array([self.done(number)[name] for number in range(len(self.jobs))], np.int64)
        return self._told[name]


class _Signing:
    def __init__(self, stage: Signing):
        self._stage, self._signer = stage, stage.signer(stage.before.c)
        self._ranks = Ranks(stage.before.c.dedup_priority)

    def __call__(self, shard: int) -> dict[str, Any]:
        before, known = self._stage.before, Known()
        found = [self._signer(texts) for texts in _batches(known.through(before.read(shard)))] or [self._signer([])]
        columns = {name: np.concatenate([each[name] for each in found]) for name in found[0]} | known.columns()
        ranks = [0 if before.is_seen(shard) else self._ranks(source) for source in known.sources]
        columns["ranks"] = np.array(ranks, np.uint16)[columns["source"]]
        if hasattr(self._signer, "whole"):
            columns = self._signer.whole(columns)
        write_columns(self._stage.path(shard), columns)
        manifest = {"text": int(columns["bytes"].sum()), "documents": 0 if before.is_seen(shard) else len(columns["ranks"])}
        manifest |= {"sources": list(known.sources), "languages": list(known.languages)}
        manifest["counts"] = np.bincount(columns["ranks"], minlength=self._ranks.count).tolist()
        by_rank = np.bincount(columns["ranks"], columns["bytes"].astype(float), self._ranks.count)
        return manifest | {"bytes": by_rank.astype(int).tolist()}


class Known:
    """What is known of a shard's documents whatever the way: who goes by it is counted and named without being read again."""

    def __init__(self):
        self.sources: dict[str, int] = {}
        self.languages: dict[str, int] = {}
        self._ids: list[bytes] = []
        self._sizes, self._sources, self._languages = array("q"), array("q"), array("q")

    def through(self, documents: Iterable[tuple[Any, Document]]) -> Iterator[str]:
        """Their texts."""
        for _, document in documents:
            language = document.values.get("language")
            spoken = self.languages.setdefault(language, len(self.languages)) if isinstance(language, str) else -1
            self._languages.append(spoken)
            self._sources.append(self.sources.setdefault(document.source, len(self.sources)))
            self._sizes.append(document.size())
            self._ids.append(document.id.encode("utf-8", "surrogatepass"))
            yield document.text

    def columns(self) -> dict[str, np.ndarray]:
        """By document: `bytes`, of its UTF-8; `source` and `language`, numbers of those; `id_hash`; `ids`, all one behind the
        other, and `id_ends`, where each ends."""
        return {
            "bytes": np.array(self._sizes, np.int64),
            "source": np.array(self._sources, np.int64),
            "language": np.array(self._languages, np.int64),
            "id_hash": np.array([xxhash.xxh3_64_intdigest(id) for id in self._ids], np.uint64),
            "ids": np.frombuffer(b"".join(self._ids), np.uint8),
            "id_ends": np.cumsum([len(id) for id in self._ids], dtype=np.uint64),
        }


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    held, size = [], 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= BATCH:
            yield held
            held, size = [], 0
    if held:
        yield held


class Finding(Stage):
    """Jobs that look at what an earlier stage left, a slice of it each.

    Args:
        name: behind the way's.
        needs: the stage before.
        slices: how many jobs; None: one a shard, and of its documents alone.
        find: called with `(stage, slice)`; columns, and what the manifest is to hold besides (`sizes`: how many clusters have how
            many copies). It must be picklable.
        how: what else the results depend on.
        besides: files that `find` leaves in the run's folder, for good.
    """

    def __init__(
        self,
        before: Before,
        signing: Signing,
        name: str,
        needs: Stage,
        slices: int | None,
        find: Callable,
        besides: Sequence[str] = (),
        how: object = None,
    ):
        self.besides = [before.folder / each for each in besides]
        self.before, self.signing, self.needs, self.folder, self.find = before, signing, needs, before.folder, find
        self.of_shards, slices = slices is None, slices or before.shards
        self.name, self._leaf = f"{before.way}.{name}", name
        key = digest(self.name, before.values, slices, how, [job.key for job in needs.jobs])
        size = sum(job.size for job in needs.jobs)
        self.jobs = [Job(self.name, n, f"{key}-{n}", size // slices, f"slice {n} of {slices}") for n in range(slices)]

    def path(self, number: int) -> pathlib.Path:
        return self.before.work / self._leaf / f"{number:05d}.safetensors"

    def files(self, number: int) -> list[pathlib.Path]:
        return [self.path(number), *self.besides]

    def worker(self) -> Callable[[int], dict[str, Any]]:
        return self._do

    def _do(self, slice: int) -> dict[str, Any]:
        columns, besides = self.find(self, slice)
        write_columns(self.path(slice), columns)
        return {"text": 0, "documents": 0, **besides}

    def columns(self, slice: int) -> Columns:
        self.done(slice)
        return Columns(self.path(slice))


def by_place(places: Places, place: np.ndarray, **others: np.ndarray) -> dict[str, np.ndarray]:
    """What goes, as columns: sorted by place, with `starts`."""
    order = np.argsort(place, kind="stable")
    place = place[order]
    return {"place": place, "starts": places.starts(place), **{name: other[order] for name, other in others.items()}}


class Doomed:
    """What goes of one shard. Attributes: columns; index: the documents of their rows."""

    def __init__(self, finding: Finding, places: Places, shard: int):
        pieces: list[dict[str, np.ndarray]] = []
        for slice in [shard] if finding.of_shards else range(len(finding.jobs)):
            columns = finding.columns(slice)
            starts, others = columns["starts"], [name for name in columns.names() if name != "starts"]
            for cell in places.cells(shard):
                begin, end = int(starts[cell]), int(starts[cell + 1])
                if end > begin:
                    pieces.append({name: columns.piece(name, begin, end) for name in others})
        self.columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]} if pieces else {}
        self.index = finding.signing.indices(shard, self.columns.get("place", np.zeros(0, np.int64)))

    def rows(self) -> dict[int, list[int]]:
        """Rows of `columns` by index of the document."""
        found: dict[int, list[int]] = {}
        for row, index in enumerate(self.index.tolist()):
            found.setdefault(index, []).append(row)
        return found


class Names:
    """Ids of documents by place."""

    def __init__(self, signing: Signing, places: Places):
        self._signing, self._places = signing, places

    def where(self, wanted: np.ndarray) -> dict[int, tuple[int, int]]:
        """Shard and index of each place."""
        found = {}
        shards = self._places.shards(wanted)
        for shard in np.unique(shards).tolist():
            here = wanted[shards == shard]
            found |= {place: (shard, index) for place, index in zip(here.tolist(), self._signing.indices(shard, here).tolist())}
        return found

    def ids(self, wanted: np.ndarray) -> dict[int, str]:
        found: dict[int, str] = {}
        opened: dict[int, tuple[Columns, np.ndarray]] = {}
        for place, (shard, index) in sorted(self.where(np.unique(wanted)).items(), key=lambda item: item[1]):
            if shard not in opened:
                columns = self._signing.columns(shard)
                opened = {shard: (columns, columns["id_ends"])}
            columns, ends = opened[shard]
            begin = int(ends[index - 1]) if index else 0
            found[place] = columns.piece("ids", begin, int(ends[index])).tobytes().decode("utf-8", "surrogatepass")
        return found


def slices_for(size: float, c: Any) -> int:
    """How many jobs share `size` bytes of memory, so that each keeps within --dedup-memory."""
    slices = max(math.ceil(size / (c.dedup_memory * 1e9)), 1)
    if slices > MOST_SLICES:
        raise UserError(
            f"--dedup-memory {c.dedup_memory:g} GB: makes {slices:,} jobs of one stage, {MOST_SLICES:,} at most; give more"
        )
    return slices


def again(*columns: np.ndarray) -> np.ndarray:
    """Of sorted rows, which are the same as the one before, bool [rows]."""
    same = np.zeros(len(columns[0]), bool)
    same[1:] = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
    return same


def groups(values: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
    """Of rows of which some belong to the row before (`same`): the first value of each row's group, and how many groups have how
    many rows, from 2 on."""
    starts = np.flatnonzero(~same)
    lengths = np.diff(np.append(starts, len(values)))
    sizes, counts = np.unique(lengths[lengths > 1], return_counts=True)
    return np.repeat(values[starts], lengths), dict(zip(sizes.tolist(), counts.tolist()))
