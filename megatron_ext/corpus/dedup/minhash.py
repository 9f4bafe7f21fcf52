"""Documents that are nearly the same: MinHash signatures, and locality-sensitive hashing of them (Broder 1997; Leskovec,
Rajaraman and Ullman, Mining of Massive Datasets, chapter 3).

Two documents whose sets of n-grams have the Jaccard similarity J share all r values of at least one of b bands with probability

    1 − (1 − J^r)^b

b and r are chosen so that this rises at `--minhash-threshold` (`matching/signatures.py`), or given. Documents that share
a band are a pair; with `--minhash-check`, if their exact similarity reaches the threshold, too. Pairs make clusters
(union-find), of which one document stays: the one that comes first, or `--minhash-keep longest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem

if TYPE_CHECKING:
    from megatron_ext.corpus.engine.parts import Parts
    from megatron_ext.corpus.engine.stages import Stage
    from megatron_ext.corpus.matching.bands import Units
    from megatron_ext.corpus.matching.before import Before


CHOOSES = 1024
"""Permutations for which bands and rows are chosen in a second or so: the work grows faster than their square."""


@flag_group("minhash", "Duplicates, near: MinHash and LSH (Broder 1997)")
class Flags:
    minhash_threshold: float = flag(0.7, "Jaccard similarity from which documents are the same", positive=True)
    minhash_ngram: int = flag(5, "words (or characters) of an n-gram", positive=True)
    minhash_units: str = flag("words", "what n-grams are of", choices=("words", "characters"))
    minhash_permutations: int = flag(128, "values of a signature", positive=True, most=65536)
    minhash_bands: int | None = flag(None, "bands of a signature (default: by the threshold)", positive=True)
    minhash_rows: int | None = flag(None, "values of a band (default: by the threshold)", positive=True)
    minhash_seed: int = flag(1, "of the permutations", least=0)
    minhash_check: bool = flag(True, "check pairs by their exact similarity, for 8 bytes on disk a word of candidates meanwhile")
    minhash_representatives: int = flag(8, "documents of those that share a band with which each other one is checked", least=1)
    minhash_keep: str = flag(
        "first", "which of a cluster stays, among those of the most preferred source", choices=("first", "longest")
    )

    @staticmethod
    def resolve(c):
        wanted = "minhash" in c.dedup and c.minhash_threshold < 1 and c.minhash_permutations <= CHOOSES
        if wanted and c.minhash_bands is None and c.minhash_rows is None:
            from megatron_ext.corpus.matching.signatures import bands_and_rows

            c.minhash_bands, c.minhash_rows = bands_and_rows(c.minhash_threshold, c.minhash_permutations)

    @staticmethod
    def check(c):
        if c.minhash_threshold >= 1:
            way_out = "give a share such as 0.7; --dedup exact finds copies that are all the same"
            yield Problem("--minhash-threshold", c.minhash_threshold, "is not below 1", way_out)
        bands, rows = c.minhash_bands, c.minhash_rows
        if bands is None and rows is None and c.minhash_permutations > CHOOSES:
            reason = f"are more than {CHOOSES}, up to which bands are chosen by the threshold"
            yield Problem("--minhash-permutations", c.minhash_permutations, reason, "give --minhash-bands and --minhash-rows")
        if (bands is None) != (rows is None):
            yield Problem("--minhash-bands and --minhash-rows", None, "go together, and one is given", "give both or none")
        elif bands is not None and bands * rows > c.minhash_permutations:
            taken = f"take {bands * rows} values, of --minhash-permutations {c.minhash_permutations}"
            yield Problem(f"--minhash-bands {bands} --minhash-rows {rows}", None, taken, "give more permutations, or fewer bands")


REASONS = {"near_duplicate": "nearly the same text was there before"}

AT_ONCE = 2**20
"""Pairs that are collected before they are made as few as they can be."""


def stages(before: Before, parts: Parts) -> Sequence[Stage]:
    from megatron_ext.corpus.matching.bands import Units
    from megatron_ext.corpus.matching.cutting import Cutting, Showing
    from megatron_ext.corpus.matching.stages import Finding, Signing, slices_for

    c = before.c
    signing = Signing(before, Signer)
    units = Units.of(before.documents, c.minhash_bands, 1e9 * c.dedup_memory)
    checks = slices_for(before.text, c) if c.minhash_check else 0
    finding = last = Finding(before, signing, "pairs_of_a_band", signing, units.jobs, Find(units, checks), how=(units, checks))
    found: list[Stage] = [finding]
    if checks:
        sets = Finding(before, signing, "sets", finding, None, sets_of)
        last = Finding(before, signing, "check", sets, checks, check_part)
        found += [sets, last]
    clusters = Finding(before, signing, "clusters", last, 1, cluster)
    cutting = Cutting(before, clusters, parts, "near_duplicate", "like")
    return [signing, *found, clusters, cutting, Showing(cutting, similarity)]


class Signer:
    """From texts to columns `keys`, of their bands, how many `shingles` they have and `lengths` in characters."""

    def __init__(self, c: Any):
        from megatron_ext.corpus.matching.signatures import MinHash

        self._c, self._minhash = c, MinHash(c.minhash_permutations, seed=c.minhash_seed, **_shingles(c))

    def __call__(self, texts: Sequence[str]) -> dict[str, Any]:
        import numpy as np

        from megatron_ext.corpus.matching.lsh import band_keys

        signatures = self._minhash.sign(texts)
        keys = band_keys(signatures, self._c.minhash_bands, self._c.minhash_rows)
        return {"keys": keys.T, "shingles": signatures.shingles, "lengths": np.array([len(text) for text in texts], np.int64)}

    def whole(self, columns: dict[str, Any]) -> dict[str, Any]:
        """A shard's columns, the keys by band and sorted."""
        from megatron_ext.corpus.matching.bands import by_key

        return columns | by_key(columns["keys"], columns.pop("shingles") > 0, columns["ranks"])


def _shingles(c: Any) -> dict[str, Any]:
    from megatron_ext.corpus.matching.normalize import Normalization

    return dict(n=c.minhash_ngram, units=c.minhash_units, same=Normalization.of(c.dedup_ignore))


class Find:
    """A job that looks at some of the bands' keys: pairs of places, of documents that share one; where these are to be checked,
    in `checks` parts, groups of them. Picklable."""

    def __init__(self, units: Units, checks: int):
        self._units, self._checks = units, checks

    def __call__(self, stage: Any, job: int) -> tuple[dict[str, Any], dict[str, Any]]:
        from megatron_ext.corpus.matching.bands import groups_of
        from megatron_ext.corpus.matching.checking import by_part
        from megatron_ext.corpus.matching.lsh import Groups

        signing, memory = stage.signing, 1e9 * stage.before.c.dedup_memory
        found = [groups for unit in self._units.of_job(job) for groups in groups_of(signing, unit, self._units.bands, memory)]
        groups = Groups.joined(found)
        if self._checks:
            return by_part(groups, self._checks, signing.places()), {}
        edges = groups.edges()
        return {"left": edges[:, 0], "right": edges[:, 1]}, {}


def sets_of(stage: Any, shard: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sets of shingles of a shard's candidates."""
    from megatron_ext.corpus.matching import checking
    from megatron_ext.corpus.matching.shingles import Shingles

    return checking.sets_of(stage, shard, Shingles(**_shingles(stage.before.c))), {}


def check_part(stage: Any, part: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pairs of places, of candidates in a part of the groups that are as similar as the threshold."""
    from megatron_ext.corpus.matching import checking

    c, sets = stage.before.c, stage.needs
    memory = 1e9 * c.dedup_memory
    edges = checking.check_part(sets.needs, sets, part, c.minhash_threshold, c.minhash_representatives, memory)
    return {"left": edges[:, 0], "right": edges[:, 1]}, {}


def cluster(stage: Any, slice: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of all pairs the clusters: the places of all of a cluster but the one that stays, and that one's."""
    import numpy as np

    from megatron_ext.corpus.matching.stages import again, by_place, groups
    from megatron_ext.corpus.matching.union_find import clusters

    c, places = stage.before.c, stage.signing.places()
    documents, ids = clusters(_forest(stage.needs))
    preferred = [documents]
    if c.minhash_keep == "longest":
        preferred += [-_lengths(stage.signing, places, documents), places.ranks(documents)]
    order = np.lexsort((*preferred, ids))
    documents, ids = documents[order], ids[order]
    same = again(ids)
    winner, sizes = groups(documents, same)
    return by_place(places, documents[same], winner=winner[same]), {"sizes": sizes}


def _forest(found: Any) -> Any:
    """The pairs of all bands, or as few as make the same clusters: those that bands have in common are not held twice."""
    import numpy as np

    from megatron_ext.corpus.matching.union_find import clusters

    pairs, least = np.empty((0, 2), np.int64), 0
    for number in range(len(found.jobs)):
        more = found.columns(number)
        pairs = np.concatenate([pairs, np.stack([more["left"], more["right"]], 1)])
        if len(pairs) > 2 * least + AT_ONCE:
            documents, ids = clusters(pairs)
            pairs = np.stack([documents, ids], 1)[documents != ids]
            least = len(pairs)
    return pairs


def _lengths(signing: Any, places: Any, wanted: Any) -> Any:
    import numpy as np

    lengths, shards = np.zeros(len(wanted), np.int64), places.shards(wanted)
    for shard in np.unique(shards).tolist():
        here = shards == shard
        lengths[here] = signing.columns(shard)["lengths"][signing.indices(shard, wanted[here])]
    return lengths


def similarity(c: Any, one: str, other: str) -> float:
    """Exact Jaccard similarity of two texts."""
    from megatron_ext.corpus.matching.shingles import Shingles

    sets = [set(Shingles(**_shingles(c)).set(text).tolist()) for text in (one, other)]
    return len(sets[0] & sets[1]) / max(len(sets[0] | sets[1]), 1)
