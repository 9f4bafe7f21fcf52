"""Documents that a Bloom filter knows, for streams: bits in place of hashes, so a new delivery is held against all before it in
little memory. `matching/bloom_filter.py` has the theory.

The filter of a run is written to OUTPUT/bloom.npy; `--bloom-load` begins with an older one. What is told to be new is new; of
what is new, the share `--bloom-rate` is taken for known and lost, and whose copy something is, nobody knows. `exact` has neither
fault, and needs 40 bytes a document where this needs three.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem

if TYPE_CHECKING:
    from megatron_ext.corpus.engine.parts import Parts
    from megatron_ext.corpus.engine.stages import Stage
    from megatron_ext.corpus.matching.before import Before

FILTER = "bloom.npy"
LEAVES = (FILTER,)


@flag_group("bloom", "Duplicates, exact, by a Bloom filter")
class Flags:
    bloom_items: int | None = flag(None, "documents that the filter is made for (default: those that there are)", positive=True)
    bloom_rate: float = flag(1e-4, "share of new documents that are taken for known, once it is full", positive=True)
    bloom_load: str | None = flag(None, "the filter of an earlier run, whose documents count as seen")

    @staticmethod
    def check(c):
        if not 1e-9 <= c.bloom_rate < 1:
            yield Problem("--bloom-rate", c.bloom_rate, "is no rate that a filter can have", "give 1e-9 or more, and less than 1")
        if c.bloom_load is not None and not os.path.isfile(c.bloom_load):
            yield Problem("--bloom-load", c.bloom_load, "is no file", f"give the {FILTER} that an earlier run wrote")
        if c.bloom_load is not None and c.bloom_items is not None:
            yield Problem("--bloom-items", c.bloom_items, "and --bloom-load both say how large the filter is", "leave one out")


REASONS = {"bloom_known": "the Bloom filter knows the text"}


def stages(before: Before, parts: Parts) -> Sequence[Stage]:
    from megatron_ext.corpus.matching.cutting import Cutting
    from megatron_ext.corpus.matching.stages import Finding, Signing

    signing = Signing(before, signer)
    finding = Finding(before, signing, "find", signing, 1, find, LEAVES)  # one after another: a filter knows no order
    return [signing, finding, Cutting(before, finding, parts, "bloom_known", "known to")]


def signer(c: Any) -> Any:
    from megatron_ext.corpus.matching.hashes import Hashes

    return Hashes(c.dedup_ignore, least=1)


def find(stage: Any, slice: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The places of what was known when it came, in the order of places."""
    import numpy as np

    from megatron_ext.corpus.matching.bloom_filter import Bloom
    from megatron_ext.corpus.matching.stages import by_place

    c, signing, places = stage.before.c, stage.signing, stage.signing.places()
    items = c.bloom_items or max(places.total, 1)
    bloom = Bloom.load(c.bloom_load) if c.bloom_load else Bloom.sized(items, c.bloom_rate)
    known = [np.empty(0, np.int64)]
    for rank in range(places.counts.shape[1]):
        for shard in np.flatnonzero(places.counts[:, rank]).tolist():
            columns = signing.columns(shard)
            here = (columns["ranks"] == rank) & columns["compared"]
            mine = places.of(shard, columns["ranks"])[here]
            known.append(mine[bloom.add(columns["high"][here])])
    bloom.save(stage.folder / FILTER)
    return by_place(places, np.concatenate(known)), {}
