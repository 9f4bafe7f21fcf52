"""Documents whose text is the same but for what `--dedup-ignore` names: by a hash of 128 bits (xxh3); one copy stays.

That two of n different texts get the same hash has a probability of about n² / 2^129: 10^-19 for ten billion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from megatron_ext.arguments.flags import flag, flag_group

if TYPE_CHECKING:
    from megatron_ext.corpus.engine.parts import Parts
    from megatron_ext.corpus.engine.stages import Stage
    from megatron_ext.corpus.matching.before import Before


@flag_group("exact", "Duplicates, exact: documents with the same text")
class Flags:
    exact_min_length: int = flag(1, "shortest documents that are compared, in characters without what does not count", least=0)


REASONS = {"exact_duplicate": "the same text was there before"}

ROW = 40
"""Bytes of memory a document, in a job that looks at all."""


def stages(before: Before, parts: Parts) -> Sequence[Stage]:
    from megatron_ext.corpus.matching.cutting import Cutting, Showing
    from megatron_ext.corpus.matching.stages import Finding, Signing, slices_for

    signing = Signing(before, Hashes)
    finding = Finding(before, signing, "find", signing, slices_for(before.documents * ROW, before.c), find)
    cutting = Cutting(before, finding, parts, "exact_duplicate")
    return [signing, finding, cutting, Showing(cutting)]


class Hashes:
    """From texts to columns `high` and `low`, the halves of their hashes, and `compared`: whether the text is long enough."""

    def __init__(self, c: Any):
        self._least = c.exact_min_length
        from megatron_ext.corpus.matching.normalize import Normalization
        from megatron_ext.corpus.matching.shingles import Shingles

        self._normal = Shingles(same=Normalization.of(c.dedup_ignore)).normalize

    def __call__(self, texts: Sequence[str]) -> dict[str, Any]:
        import numpy as np
        import xxhash

        normal = [self._normal(text) for text in texts]
        halves = np.frombuffer(b"".join(xxhash.xxh3_128_digest(text.encode()) for text in normal), np.uint64).reshape(-1, 2)
        compared = np.array([len(text) >= self._least for text in normal], bool)
        return {"high": halves[:, 0], "low": halves[:, 1], "compared": compared}


def find(stage: Any, slice: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the hashes in this slice, the places of all copies but the first, and whose copies they are."""
    import numpy as np

    from megatron_ext.corpus.matching.stages import by_place, groups

    signing, slices = stage.signing, len(stage.jobs)
    places, high, low = signing.places(), [], []
    where = []
    for shard in range(len(signing.jobs)):
        columns = signing.columns(shard)
        mine = columns["high"]
        here = columns["compared"] & (mine % np.uint64(slices) == slice)
        high.append(mine[here])
        low.append(columns["low"][here])
        where.append(places.of(shard, columns["ranks"])[here])
    high, low, where = map(np.concatenate, (high, low, where))
    order = np.lexsort((where, low, high))
    high, low, where = high[order], low[order], where[order]
    same = np.concatenate([[False], (high[1:] == high[:-1]) & (low[1:] == low[:-1])]) if len(high) else np.zeros(0, bool)
    winner, sizes = groups(where, same)
    return by_place(places, where[same], winner=winner[same]), {"sizes": sizes}
