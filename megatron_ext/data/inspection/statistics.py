"""What a pair's documents and tokens are like: lengths, frequencies, ends. Exact, in memory that does not grow with the pair."""

from __future__ import annotations

import numpy as np

from megatron_ext.data import stream
from megatron_ext.data.index import Index

PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
MOST_COMMON = 20
_SHORT = 2**20  # lengths below it are counted one by one, those above kept: of these a terabyte of tokens has few


def statistics(index: Index, vocab_size: int | None, eod: int | None) -> dict:
    """The figures, ready for JSON.

    lengths: mean, least, most, percentiles (the length that so many per cent of the documents do not exceed) and a histogram
    `[(from, to, documents)]` by powers of two. tokens: the most common ids with their counts, how many ids of the vocabulary
    occur nowhere (None where it is not known), and what share of the documents that have tokens ends with `eod`.
    """
    return {"lengths": _lengths(index), "tokens": _tokens(index, vocab_size, eod)}


def _lengths(index: Index) -> dict:
    counts, long = np.zeros(_SHORT, np.int64), []
    for part in stream.lengths(index):
        counts += np.bincount(part[part < _SHORT], minlength=_SHORT)
        long.append(part[part >= _SHORT])
    above, above_counts = np.unique(np.concatenate(long), return_counts=True)
    values = np.concatenate([np.flatnonzero(counts), above.astype(np.int64)])
    counts = np.concatenate([counts[counts > 0], above_counts])
    reach = np.cumsum(counts)
    ranks = {each: int(np.ceil(each / 100 * index.documents)) for each in PERCENTILES}
    edges = [0, *(2**power for power in range(32))]
    places = np.searchsorted(values, edges)
    sums = np.concatenate([[0], reach])[places]
    shown = [[low, high - 1, int(many)] for low, high, many in zip(edges, edges[1:], np.diff(sums)) if many]
    return {
        "mean": index.tokens / index.documents,
        "least": int(values[0]),
        "most": int(values[-1]),
        "percentiles": {str(each): int(values[np.searchsorted(reach, max(rank, 1))]) for each, rank in ranks.items()},
        "histogram": shown,
    }


def _tokens(index: Index, vocab_size: int | None, eod: int | None) -> dict:
    counts, ended, with_tokens = np.zeros(vocab_size or 2**16, np.int64), 0, 0
    for piece, last in stream.tokens_and_last(index):
        found = np.bincount(piece)
        if len(found) > len(counts):
            counts = np.concatenate([counts, np.zeros(len(found) - len(counts), np.int64)])
        counts[: len(found)] += found
        with_tokens += len(last)
        ended += 0 if eod is None else int(np.count_nonzero(piece[last] == eod))
    common = np.argsort(-counts, kind="stable")[:MOST_COMMON]
    return {
        "most_common": [[int(token), int(counts[token])] for token in common if counts[token]],
        "used_ids": int(np.count_nonzero(counts)),
        "unused_ids": None if vocab_size is None else int(np.count_nonzero(counts[:vocab_size] == 0)),
        "documents_that_end_with_eod": None if eod is None else ended / max(with_tokens, 1),
    }
