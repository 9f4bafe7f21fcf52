"""Where the tokens of a forward pass lie: what a pattern and a position need to know of queries and keys.

One object a micro-batch, made once and handed through all layers (as megatron-core's `attention_bias`, which it passes on as it
is). None stands for the plain case: queries and keys are the same tokens, in one document each row.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch


class Limits(NamedTuple):
    """Sizes of patterns.

    Attributes:
        window: keys that a query of sliding_window sees, itself counted.
    """

    window: int | None = None


class Tokens:
    """Queries and keys of a forward pass; key j has index j.

    Args:
        queries: indices, `[s]` where all rows have the same, rising by one within each of `runs` (all of it by default), or
            `[b, s]`.
        keys: how many there are.
        documents: the number of the document that each key belongs to, `[b, keys]`, each document's tokens together; None where a
            row is one document, or documents see each other.
        of_queries: the same of each query where queries are other tokens than the keys (cross attention), `[b, s]`.
        prefix: keys that the pattern prefix shows to all of their document, bool `[b, keys]`; None where there are none.
        runs: lengths of the stretches of `queries` that rise by one; context parallelism holds two.
    """

    def __init__(
        self,
        queries: torch.Tensor,
        keys: int,
        documents: torch.Tensor | None = None,
        runs: tuple[int, ...] | None = None,
        prefix: torch.Tensor | None = None,
        of_queries: torch.Tensor | None = None,
    ):
        self.queries, self.keys, self.documents, self.prefix = queries, keys, documents, prefix
        self._of_queries = of_queries
        self.runs = (queries.shape[-1],) if runs is None else runs
        # The same in all layers of a pattern: how it cuts these queries into blocks, and what FlexAttention makes of it.
        self.cuts: dict = {}
        self.block_masks: dict = {}

    @classmethod
    def whole(
        cls, length: int, device: torch.device, documents: torch.Tensor | None = None, prefix: torch.Tensor | None = None
    ) -> Tokens:
        """Samples of `length`, read from the beginning."""
        if documents is None and prefix is None:
            return _alone(length, device)
        return cls(torch.arange(length, device=device), length, documents, prefix=prefix)

    @classmethod
    def across(cls, queries: torch.Tensor, keys: torch.Tensor) -> Tokens:
        """Tokens of one stretch that look at those of another: the documents of each, `[b, s]` and `[b, s']`."""
        return cls(torch.arange(queries.shape[1], device=queries.device), keys.shape[1], keys, of_queries=queries)

    @functools.cached_property
    def of_queries(self) -> torch.Tensor | None:
        """The document of each query, `[b, s]`; None where a row is one document."""
        if self.documents is None or self._of_queries is not None:
            return self._of_queries
        return self.documents.gather(1, self.queries.expand(len(self.documents), -1))

    @functools.cached_property
    def blind(self) -> torch.Tensor | None:
        """Queries whose document has no key, bool `[b, s]`; None where there are none."""
        if self._of_queries is None:
            return None
        rows = torch.arange(len(self.documents), device=self.documents.device)[:, None]
        several = [documents.long() * len(rows) + rows for documents in (self.of_queries, self.documents)]
        found = ~torch.isin(*several)
        return found if bool(found.any()) else None


@functools.lru_cache(maxsize=8)
def _alone(length: int, device: torch.device) -> Tokens:
    """One object for all layers and passes without documents, so that what is found out about its tokens is found once."""
    return Tokens(torch.arange(length, device=device), length)


def documents_of(ids: torch.Tensor, eod: int) -> torch.Tensor:
    """The number of the document that each token belongs to, `[b, s]`; the token `eod` is the last of its document."""
    ends = (ids == eod).long()
    return ends.cumsum(1) - ends


def positions_of(documents: torch.Tensor) -> torch.Tensor:
    """Each token's place in its document, from 0: `[b, s]`."""
    index = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return index - torch.where(begins, index, 0).cummax(1).values
