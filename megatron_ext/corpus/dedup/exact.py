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

    signing = Signing(before, signer)
    finding = Finding(before, signing, "find", signing, slices_for(before.documents * ROW, before.c), find)
    cutting = Cutting(before, finding, parts, "exact_duplicate")
    return [signing, finding, cutting, Showing(cutting)]


def signer(c: Any) -> Any:
    from megatron_ext.corpus.matching.hashes import Hashes

    return Hashes(c.dedup_ignore, c.exact_min_length)


def find(stage: Any, slice: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the hashes in this slice, the places of all copies but the first, and whose copies they are."""
    import numpy as np

    from megatron_ext.corpus.matching.stages import again, by_place, groups

    signing, slices = stage.signing, len(stage.jobs)
    places, high, low, where = signing.places(), [], [], []
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
    same = again(high, low)
    winner, sizes = groups(where, same)
    return by_place(places, where[same], winner=winner[same]), {"sizes": sizes}
