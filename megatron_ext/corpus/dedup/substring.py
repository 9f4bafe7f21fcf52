"""Stretches of text that were there before, byte for byte, within a document and across documents (arXiv:2107.06499): cut out.

A window of `--substring-length` bytes is a copy if an equal one comes before it; the union of all copies is cut, so the first
occurrence of every passage stays. Cuts lie between characters. A document of which less than `--dedup-min-left` is left is
dropped. How windows are found without a suffix array, in bounded memory and on many machines: `matching/substrings.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from megatron_ext.arguments.flags import flag, flag_group

if TYPE_CHECKING:
    from megatron_ext.corpus.engine.parts import Parts
    from megatron_ext.corpus.engine.stages import Stage
    from megatron_ext.corpus.matching.before import Before


@flag_group("substring", "Duplicates, exact substrings (arXiv:2107.06499)")
class Flags:
    substring_length: int = flag(200, "bytes of the shortest passage that is cut: 200 are about 50 tokens", least=16)


REASONS = {"substring_little_left": "little is left without passages that were there before"}

SHARE = 2
"""Bytes of memory a byte of text, in jobs that look at all: anchors, and the windows of what repeats."""


def stages(before: Before, parts: Parts) -> Sequence[Stage]:
    from megatron_ext.corpus.matching.cutting import Cutting
    from megatron_ext.corpus.matching.stages import Finding, Signing, slices_for

    slices = slices_for(before.text * SHARE, before.c)
    last = signing = Signing(before, Texts)
    chain: list[Stage] = [signing]
    for name, jobs, find in (
        ("anchors", None, anchors),
        ("repeated", slices, repeated),
        ("windows", None, windows),
        ("later", slices, later),
        ("confirm", None, confirm),
        ("spans", None, spans),
    ):
        last = Finding(before, signing, name, last, jobs, Step(find, slices))
        chain.append(last)
    return [*chain, Cutting(before, last, parts, "substring_little_left")]


class Texts:
    """From texts to the column `items`, their UTF-8; how much of it is each one's is known of every way's."""

    def __init__(self, c: Any):
        pass

    def __call__(self, texts: Sequence[str]) -> dict[str, Any]:
        import numpy as np

        return {"items": np.frombuffer(b"".join([text.encode() for text in texts]), np.uint8)}


class Cell(NamedTuple):
    """A shard's documents of one rank. Attributes: base: of their bytes among all; index: which of the shard's they are."""

    number: int
    base: int
    shard: Any
    index: Any


class Work:
    """What a job has at hand."""

    def __init__(self, stage: Any, slices: int):
        import numpy as np

        from megatron_ext.corpus.matching.substrings import How

        self.stage, self.slices, self.signing = stage, slices, stage.signing
        self.places = self.signing.places()
        self.bases = np.concatenate([[0], np.cumsum(self.signing.told("bytes").T.reshape(-1))]).astype(np.uint64)
        self.how = How(window=stage.before.c.substring_length)

    def cells(self, shard: int) -> Iterator[Cell]:
        """Of a shard, those that hold something."""
        import numpy as np

        from megatron_ext.corpus.matching.substrings import Shard

        columns = self.signing.columns(shard)
        ranks, sizes, items = columns["ranks"], columns["bytes"], columns["items"]
        begins = np.cumsum(sizes) - sizes
        for number in self.places.cells(shard):
            index = np.flatnonzero(ranks == number // len(self.signing.jobs))
            if len(index) < len(ranks):
                mine = np.concatenate([items[:0], *(items[begins[i] : begins[i] + sizes[i]] for i in index.tolist())])
            else:
                mine = items
            if len(index):
                yield Cell(number, int(self.bases[number]), Shard(mine, np.cumsum(sizes[index]).astype(np.uint64)), index)

    def by_slice(self, pairs: Sequence[Any]) -> dict[str, Any]:
        """Pairs as columns, slice by slice."""
        import numpy as np

        from megatron_ext.corpus.matching.substrings import by_slice

        parts = by_slice(np.concatenate([np.empty((0, 2), np.uint64), *pairs]), self.slices)
        return {"rows": np.concatenate(parts), "starts": np.cumsum([0, *map(len, parts)])}

    def by_cell(self, rows: Any) -> dict[str, Any]:
        """Positions, or pairs by their first, sorted, as columns, cell by cell."""
        import numpy as np

        return {"rows": rows, "starts": np.searchsorted(rows if rows.ndim == 1 else rows[:, 0], self.bases)}

    def gathered(self, number: int) -> Any:
        """What the jobs of the stage before have for this slice or cell."""
        import numpy as np

        pieces = []
        for job in range(len(self.stage.needs.jobs)):
            columns = self.stage.needs.columns(job)
            starts = columns.piece("starts", number, number + 2)
            pieces.append(columns.piece("rows", int(starts[0]), int(starts[1])))
        return np.concatenate(pieces)

    def texts_at(self, positions: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Cell by cell, which of the positions lie there, the cell's bytes, and the places in them."""
        import numpy as np

        numbers = np.searchsorted(self.bases, positions, "right") - 1
        for shard in np.unique(numbers % len(self.signing.jobs)).tolist():
            for cell in self.cells(shard):
                rows = np.flatnonzero(numbers == cell.number)
                if len(rows):
                    yield rows, cell.shard.items, positions[rows] - np.uint64(cell.base)


class Step:
    """A step of `matching/substrings.py` as a job of a stage; picklable."""

    def __init__(self, step: Any, slices: int):
        self._step, self._slices = step, slices

    def __call__(self, stage: Any, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._step(Work(stage, self._slices), number), {}


def anchors(work: Work, shard: int) -> dict[str, Any]:
    from megatron_ext.corpus.matching import substrings

    return work.by_slice([substrings.anchors(cell.shard, cell.base, work.how) for cell in work.cells(shard)])


def repeated(work: Work, slice: int) -> dict[str, Any]:
    import numpy as np

    from megatron_ext.corpus.matching import substrings

    return work.by_cell(np.sort(substrings.repeated(np.ascontiguousarray(work.gathered(slice)), work.how)))


def windows(work: Work, shard: int) -> dict[str, Any]:
    import numpy as np

    from megatron_ext.corpus.matching import substrings

    cells = [(cell, np.sort(work.gathered(cell.number))) for cell in work.cells(shard)]
    return work.by_slice([substrings.windows(cell.shard, cell.base, wanted, work.how) for cell, wanted in cells])


def later(work: Work, slice: int) -> dict[str, Any]:
    import numpy as np

    from megatron_ext.corpus.matching import substrings

    return work.by_cell(substrings.later(np.ascontiguousarray(work.gathered(slice)), work.how).copy())


def confirm(work: Work, shard: int) -> dict[str, Any]:
    """Columns `equal` and `unequal`: windows that are equal to the first one of their hash, and those that are not."""
    import numpy as np

    from megatron_ext.corpus.matching.windows import kernels

    equal, unequal = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for cell in work.cells(shard):
        pairs = work.gathered(cell.number)
        pairs = pairs[np.argsort(pairs[:, 0])]
        same = np.zeros(len(pairs), bool)
        for rows, items, places in work.texts_at(pairs[:, 1]):
            mine = np.ascontiguousarray(pairs[rows, 0] - np.uint64(cell.base))
            compare = kernels(work.how.implementation).equal_windows
            same[rows] = compare(cell.shard.items, mine, items, np.ascontiguousarray(places), work.how.window)
        equal.append(pairs[same, 0])
        unequal.append(pairs[~same, 0])
    return {"equal": np.concatenate(equal), "unequal": np.concatenate(unequal)}


def spans(work: Work, shard: int) -> dict[str, Any]:
    """What is cut: `place`, `begin` and `end`, in bytes of the document."""
    import numpy as np

    from megatron_ext.corpus.matching import substrings
    from megatron_ext.corpus.matching.stages import by_place

    needs, found = work.stage.needs, []
    equal = needs.columns(shard)["equal"]
    copies = np.sort(np.concatenate([equal, _settled(work)]))
    ranks = work.signing.columns(shard)["ranks"]
    mine = work.places.of(shard, ranks)
    for cell in work.cells(shard):
        end = cell.base + len(cell.shard.items)
        here = copies[(copies >= np.uint64(cell.base)) & (copies < np.uint64(end))]
        cuts = substrings.on_characters(cell.shard, substrings.spans(cell.shard, cell.base, here, work.how))
        found.append((mine[cell.index[cuts.document]], cuts.begin, cuts.end))
    empty = np.empty(0, np.int64)
    place, begin, end = (np.concatenate([empty, *(each[column].astype(np.int64) for each in found)]) for column in range(3))
    return by_place(work.places, place, begin=begin, end=end)


def _settled(work: Work) -> Any:
    """Copies among the windows of equal hashes that are not equal to the first one: hardly ever any."""
    import numpy as np

    needs = work.stage.needs
    unequal = np.sort(np.concatenate([needs.columns(job)["unequal"] for job in range(len(needs.jobs))]))
    contents: dict[int, bytes] = {}
    for rows, items, places in work.texts_at(unequal):
        for row, place in zip(rows.tolist(), places.tolist()):
            contents[row] = items[place : place + work.how.window].tobytes()
    seen, copies = set(), []
    for row, position in enumerate(unequal.tolist()):
        if contents[row] in seen:
            copies.append(position)
        seen.add(contents[row])
    return np.array(copies, np.uint64)
