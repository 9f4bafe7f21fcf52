"""Lines that were there before, in whatever document: menus, notices, licences (CCNet, arXiv:1911.00359, does so by paragraphs).

`--line-unit` makes it sentences or paragraphs. The first one stays, all others are cut, where `--line-min-times` or more are the
same but for what `--dedup-ignore` names (xxh3 of 128 bits). Units shorter than `--line-min-length` always stay. A document of
which less than `--dedup-min-left` is left is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from megatron_ext.arguments.flags import flag, flag_group

if TYPE_CHECKING:
    from megatron_ext.corpus.engine.parts import Parts
    from megatron_ext.corpus.engine.stages import Stage
    from megatron_ext.corpus.matching.before import Before


@flag_group("line", "Duplicates, exact: lines, sentences or paragraphs")
class Flags:
    line_unit: str = flag("line", "what is compared", choices=("line", "sentence", "paragraph"))
    line_min_length: int = flag(20, "characters of the shortest that is cut, without what does not count", least=1)
    line_min_times: int = flag(2, "how often one must be there", least=2)


REASONS = {"line_little_left": "little is left without lines that were there before"}

ROW = 80
"""Bytes of memory a line, in a job that looks at all."""


def stages(before: Before, parts: Parts) -> Sequence[Stage]:
    from megatron_ext.corpus.matching.cutting import Cutting
    from megatron_ext.corpus.matching.stages import Finding, Signing, slices_for

    signing = Signing(before, Units)
    finding = Finding(before, signing, "find", signing, slices_for(before.text / 40 * ROW, before.c), find)
    return [signing, finding, Cutting(before, finding, parts, "line_little_left")]


class Units:
    """From texts to how many `units` each has, and of each unit `sizes`, its bytes, and what `matching/hashes.py` says of it."""

    def __init__(self, c: Any):
        from megatron_ext.corpus.matching.hashes import Hashes

        self._unit, self._hashes = c.line_unit, Hashes(c.dedup_ignore, c.line_min_length)

    def __call__(self, texts: Sequence[str]) -> dict[str, Any]:
        import numpy as np

        from megatron_ext.corpus.matching.pieces import pieces

        found = [list(pieces(text, self._unit)) for text in texts]
        flat = [piece for each in found for piece in each]
        return {
            "units": np.array([len(each) for each in found], np.int64),
            "sizes": np.array([len(piece.encode()) for piece in flat], np.int64),
            **self._hashes([piece.rstrip("\n") for piece in flat]),  # a text's last line has no end, and is the same line
        }


def find(stage: Any, slice: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the hashes in this slice, where all copies but the first lie: `place`, `begin`, `end`."""
    import numpy as np

    from megatron_ext.corpus.matching.stages import again, by_place

    signing, slices = stage.signing, len(stage.jobs)
    places, rows = signing.places(), []
    for shard in range(len(signing.jobs)):
        columns = signing.columns(shard)
        high, units, sizes = columns["high"], columns["units"], columns["sizes"]
        here = columns["compared"] & (high % np.uint64(slices) == slice)
        ends = np.cumsum(sizes)
        firsts = (np.cumsum(units) - units)[units > 0]  # of each document, its first unit
        begins = np.repeat((ends - sizes)[firsts], units[units > 0])
        place = np.repeat(places.of(shard, columns["ranks"]), units)
        begin, end = ends - sizes - begins, ends - begins
        rows.append([column[here] for column in (high, columns["low"], place, begin, end)])
    high, low, place, begin, end = (np.concatenate(column) for column in zip(*rows))
    order = np.lexsort((begin, place, low, high))
    high, low, place, begin, end = (column[order] for column in (high, low, place, begin, end))
    same = again(high, low)
    starts = np.flatnonzero(~same)
    lengths = np.diff(np.append(starts, len(high)))
    gone = same & np.repeat(lengths >= stage.before.c.line_min_times, lengths)
    return by_place(places, place[gone], begin=begin[gone], end=end[gone]), {}
