"""A checkpoint, or a Hugging Face folder, read as one of a larger vocabulary: `--extend-vocab-from`.

Rows of the embedding, the output matrix and its bias are copies or means of the old ones, as a `VocabularyChange` says; all
else is read as it is. Whatever stretch of a matrix a process holds, its numbers are the same: a row's sum goes by old ids, in
fp32, slab by slab, so that the old matrix is never in memory whole.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np
import torch

from megatron_ext.backend.placement import VOCABULARY
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from megatron_ext.checkpoint.source import Source, Wanted
from megatron_ext.tokenizers.vocabulary_change import VocabularyChange

_SLAB = 2**24  # numbers of the old matrix in memory at once, and of what is taken from them


class ExtendedVocabulary:
    """`source` must be open for a model of the old vocabulary's size.

    New rows are the `mean` of old ones, or, `random`, stay what the targets hold.
    """

    def __init__(self, source: Source | HuggingFaceSource, change: VocabularyChange, new_rows: str):
        self._source, self._change, self._new_rows = source, change, new_rows
        self._means: dict[str, torch.Tensor] = {}

    def read(self, wanted: Iterable[Wanted]) -> None:
        """Fill every target, 1-D. UserError as the source's."""
        wanted = list(wanted)
        self._source.read(want for want in wanted if want.place.name not in VOCABULARY)
        for want in wanted:
            if want.place.name in VOCABULARY:
                self._fill(want)

    def _fill(self, want: Wanted) -> None:
        """Whole rows, from the first that `begin` is in to the last before `end`; what is wanted is a stretch of these."""
        change, width = self._change, math.prod(want.place.shape[1:])
        before = want.begin // width
        first, end = want.place.start[0] + before, want.place.start[0] - (-want.end // width)
        rows = torch.zeros(end - first, *want.place.shape[1:])
        known = min(end, change.rows)  # beyond it, rows only pad the vocabulary
        if first < known:
            self._sum(want, rows, change.starts[first : known + 1])
        stretch = slice(want.begin - before * width, want.end - before * width)
        found = rows.view(-1)[stretch]
        if self._new_rows == "random":
            keeps = np.zeros(end - first, bool)
            keeps[: max(known - first, 0)] = self._change.keeps[first:known]
            found = found.where(torch.from_numpy(np.repeat(keeps, width)[stretch]), want.target.float().cpu())
        want.target.copy_(found)

    def _sum(self, want: Wanted, rows: torch.Tensor, starts: np.ndarray) -> None:
        sizes = np.diff(starts)
        new = np.repeat(np.arange(len(sizes)), sizes)
        old = self._change.old[starts[0] : starts[-1]]
        width = math.prod(rows.shape[1:])
        slab, most = self._slab(width), max(_SLAB // width, 1)
        for begin in np.unique(old // slab) * slab:
            held = self._old_rows(want, begin, min(begin + slab, self._change.old_rows))
            taken = np.flatnonzero((old >= begin) & (old < begin + slab))
            for part in np.split(taken, range(most, len(taken), most)):
                rows.index_add_(0, torch.from_numpy(new[part]), held[torch.from_numpy(old[part] - begin)])
        several = np.flatnonzero(sizes > 1)
        rows[several] /= torch.from_numpy(sizes[several]).view(-1, *(1,) * (rows.dim() - 1))
        if (none := np.flatnonzero(sizes == 0)).size:
            rows[none] = self._mean_of_all(want)

    def _mean_of_all(self, want: Wanted) -> torch.Tensor:
        """Of a matrix, in fp32."""
        if (name := want.place.name) not in self._means:
            slab, total = self._slab(math.prod(want.place.shape[1:])), 0.0
            for begin in range(0, self._change.old_rows, slab):
                end = min(begin + slab, self._change.old_rows)
                meant = self._change.all[np.searchsorted(self._change.all, begin) : np.searchsorted(self._change.all, end)]
                total = total + self._old_rows(want, begin, end)[torch.from_numpy(meant - begin)].sum(0, dtype=torch.float64)
            self._means[name] = (total / len(self._change.all)).float()
        return self._means[name]

    @staticmethod
    def _slab(width: int) -> int:
        """Old rows that are read at once."""
        return max(_SLAB // width, 1)

    def _old_rows(self, want: Wanted, begin: int, end: int) -> torch.Tensor:
        begin, end, rest = int(begin), int(end), want.place.shape[1:]
        place = dataclasses.replace(
            want.place, shape=(self._change.old_rows, *rest), start=(begin, *(0,) * len(rest)), local=(end - begin, *rest)
        )
        held = torch.empty(math.prod(place.local))
        self._source.read([Wanted(place, 0, held.numel(), want.names, held)])
        return held.view(place.local)
