"""Merges of neighbouring symbols, learned from words with counts: what byte pair encoding and WordPiece have in common.

Words are rows of symbols. Again and again the pair of neighbours with the highest score becomes one new symbol, wherever
it stands (from left to right, so that `aaa` becomes `aa a`). Scores:

    count   count(ab)                           byte pair encoding (arXiv:1508.07909)
    ratio   count(ab) / (count(a) · count(b))   WordPiece (Schuster and Nakajima 2012): parts that are rarely apart come first

count(ab) is how often a stands before b (in `aaa` aa stands twice), count(a) how often a is a symbol, in all words as they
are cut by then, each word by its count. Ties go to the higher count(ab), then to the lower number of a, then of b. Scores
are compared as whole numbers, never rounded. Pairs that are too rare or too long are never merged.

Symbols that words begin with are 0 to n - 1, and may stand for anything: characters, bytes, or the tokens of a tokenizer
that is to have more. Merge i makes symbol n + i. From single characters no two merges make the same token: where p and q
stand beside each other, an earlier merge would have joined them the other way. From other symbols they can; `spellings`
keeps them from it.

The C++ (`native/pair_merging.cpp`) has its twin here. Reason for own code: tokenizers' trainer has neither the ratio nor a
way to go on from given symbols.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from megatron_ext.native import compiled, say_that_the_twins_serve

IMPLEMENTATIONS = ("native", "python") if compiled else ("python",)
SCORES = ("count", "ratio")
_MOST_SYMBOLS = 2**32 - 2
_MOST_COUNT = 2**62


class Words(NamedTuple):
    """Words with counts.

    Attributes:
        symbols: of all words, one after another, int32 [symbols].
        ends: where each word ends in `symbols`, int64 [words], ascending.
        counts: how often each word occurs, int64 [words], 1 or more.
    """

    symbols: np.ndarray
    ends: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, words: Iterable[Sequence[int]], counts: Iterable[int]) -> Words:
        """From rows of symbols."""
        rows = [np.asarray(word, np.int32) for word in words]
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.int32), *rows]), ends, np.fromiter(counts, np.int64))

    @classmethod
    def of_bytes(cls, counts: dict[bytes, int]) -> Words:
        """From words as bytes: each byte is a symbol, 0 to 255."""
        ends = np.cumsum(np.fromiter(map(len, counts), np.int64, len(counts)))
        symbols = np.frombuffer(b"".join(counts), np.uint8).astype(np.int32)
        return cls(symbols, ends, np.fromiter(counts.values(), np.int64, len(counts)))


class Merges(NamedTuple):
    """What was learned, in its order.

    Attributes:
        pairs: the symbols that were merged, int32 [merges, 2].
        counts: when they were: of the pair, of its left and of its right symbol, int64 [merges, 3].
    """

    pairs: np.ndarray
    counts: np.ndarray


def learn(
    words: Words,
    alphabet: int,
    merges: int,
    *,
    score: str = "count",
    min_count: int = 2,
    lengths: Sequence[int] | None = None,
    longest: int | None = None,
    spellings: Sequence[bytes] | None = None,
    progress: Callable[[int], None] | None = None,
    implementation: str = "auto",
) -> Merges:
    """At most `merges` merges; fewer where no pair is left that may be merged.

    Args:
        alphabet: how many symbols there are to begin with; those of the words are 0 to alphabet - 1.
        score: one of SCORES.
        min_count: pairs with a lower count(ab) are not merged.
        lengths, longest: length of each of the first symbols, and of the longest that a merge may make (default: no limit).
        spellings: what the first symbols stand for. If given, no merge spells what a symbol has.
        progress: called every tenth of a second with the number of merges so far. What it raises ends the learning, as
            Ctrl-C does.

    ValueError: the words are not as described, or the arguments contradict each other.
    """
    _check(words, alphabet, score, min_count, lengths, longest, spellings)
    native = (IMPLEMENTATIONS[0] if implementation == "auto" else implementation) == "native"
    if implementation == "auto" and not native:
        say_that_the_twins_serve()
    learning = (compiled.PairMerging if native else Twin)(
        *words,
        lengths=np.asarray([1] * alphabet if lengths is None else lengths, np.int64),
        merges=merges,
        min_count=min_count,
        longest=longest or 0,
        ratio=score == "ratio",
        spellings=list(spellings or ()),
    )
    while not learning.done:
        made = learning.advance(0.1)  # Python looks at signals in between
        if progress is not None:
            progress(made)
    rows = learning.rows()
    return Merges(rows[:, :2].astype(np.int32), rows[:, 2:].copy())


def _check(words: Words, alphabet, score, min_count, lengths, longest, spellings) -> None:
    symbols, ends, counts = words
    sizes = np.diff(ends, prepend=0)
    wrong = [
        (score not in SCORES, f"score is {score!r}, and may be {', '.join(SCORES)}"),
        (min_count < 1, f"min_count is {min_count}, and must be 1 or more"),
        (len(ends) != len(counts), f"{len(ends):,} words have {len(counts):,} counts"),
        ((sizes < 0).any() or (ends[-1] if len(ends) else 0) != len(symbols), "ends do not ascend to the number of symbols"),
        (len(symbols) and not (0 <= symbols.min() and symbols.max() < alphabet), f"symbols are not 0 to {alphabet - 1}"),
        (len(counts) and counts.min() < 1, "a count is below 1"),
        (len(symbols) + len(ends) >= _MOST_SYMBOLS, f"{len(symbols):,} symbols are too many: give fewer distinct words"),
        (np.dot(sizes.astype(float), counts) >= _MOST_COUNT if len(ends) == len(counts) else False, "counts are too high"),
        (longest is not None and lengths is None, "longest needs lengths"),
        (lengths is not None and len(lengths) != alphabet, "there is not one length a symbol"),
        (spellings is not None and len(spellings) != alphabet, "there is not one spelling a symbol"),
    ]
    for is_wrong, what in wrong:
        if is_wrong:
            raise ValueError(f"pair merging: {what}")


class Twin:
    """What `native/pair_merging.cpp` does, by counting a word again wherever it changes."""

    def __init__(self, symbols, ends, counts, *, lengths, merges: int, min_count: int, longest: int, ratio: bool, spellings):
        begins = np.concatenate([[0], ends]).tolist()
        everything = np.asarray(symbols).tolist()
        self._words = [everything[begin:end] for begin, end in zip(begins, begins[1:])]
        self._counts, self._lengths, self._merges = np.asarray(counts).tolist(), list(map(int, lengths)), merges
        self._least, self._longest, self._ratio = min_count, longest, ratio
        self._spellings, self._taken = list(spellings), set(spellings)
        self._rows: list[tuple[int, int, int, int, int]] = []
        self.done = False
        self._pairs: Counter = Counter()
        self._symbols: Counter = Counter()
        self._where: defaultdict = defaultdict(set)
        for number, word in enumerate(self._words):
            self._symbols.update({symbol: n * self._counts[number] for symbol, n in Counter(word).items()})
            for pair in _neighbours(word):
                self._pairs[pair] += self._counts[number]
                self._where[pair].add(number)
        self._order = _ByRatio(self._pairs, self._symbols, self._may_be) if ratio else _ByCount(self._pairs)
        self._order.changed({pair for pair in self._pairs if self._may_be(pair)}, set())

    def advance(self, seconds: float) -> int:
        end = time.monotonic() + seconds
        while not self.done and time.monotonic() < end:
            self._step()
        return len(self._rows)

    def rows(self) -> np.ndarray:
        return np.array(self._rows, np.int64).reshape(-1, 5)

    def _may_be(self, pair: tuple[int, int]) -> bool:
        long = self._longest and self._lengths[pair[0]] + self._lengths[pair[1]] > self._longest
        return self._pairs[pair] >= self._least and not long

    def _step(self) -> None:
        pair = self._order.best() if len(self._rows) < self._merges else None
        if pair is None:
            self.done = True
            return
        left, right = pair
        if self._spellings:
            spelling = self._spellings[left] + self._spellings[right]
            if spelling in self._taken:
                self._order.drop(pair)
                return
            self._taken.add(spelling)
            self._spellings.append(spelling)
        self._rows.append((left, right, self._pairs[pair], self._symbols[left], self._symbols[right]))
        made = len(self._lengths)
        self._lengths.append(self._lengths[left] + self._lengths[right])
        self._order.drop(pair)
        changed = set().union(*(self._join(number, pair, made) for number in self._where.pop(pair)))
        self._order.changed({each for each in changed - {pair} if self._may_be(each)}, {left, right})

    def _join(self, number: int, pair: tuple[int, int], made: int) -> set[tuple[int, int]]:
        """Of one word; the pairs whose counts changed, perhaps."""
        before, count = self._words[number], self._counts[number]
        after = _joined(before, pair, made)
        merged = len(before) - len(after)
        self._words[number] = after
        for symbol in pair:
            self._symbols[symbol] -= merged * count
        self._symbols[made] += merged * count
        was, now = Counter(_neighbours(before)), Counter(_neighbours(after))
        for each in was.keys() | now.keys():
            self._pairs[each] += (now[each] - was[each]) * count
            if each not in now:
                self._where[each].discard(number)
            elif each not in was:
                self._where[each].add(number)
        return was.keys() | now.keys()


def _neighbours(word: list[int]) -> Iterator[tuple[int, int]]:
    return zip(word, word[1:])


def _joined(word: list[int], pair: tuple[int, int], made: int) -> list[int]:
    after: list[int] = []
    at = 0
    while at < len(word):
        here = (word[at], word[at + 1]) == pair if at + 1 < len(word) else False
        after.append(made if here else word[at])
        at += 2 if here else 1
    return after


class _ByCount:
    """A heap. Counts only fall: one that comes up and is too high is put back."""

    def __init__(self, pairs: Counter):
        self._pairs, self._heap, self._gone = pairs, [], set()

    def changed(self, pairs: set, symbols: set) -> None:
        for pair in pairs - self._gone:
            heapq.heappush(self._heap, (-self._pairs[pair], pair))

    def drop(self, pair) -> None:
        self._gone.add(pair)

    def best(self):
        while self._heap:
            count, pair = self._heap[0]
            if pair not in self._gone and -count == self._pairs[pair]:
                return pair
            heapq.heappop(self._heap)
        return None


class _ByRatio:
    """Of each left symbol the best pair; it is looked for again where a count in any of the symbol's scores changed."""

    def __init__(self, pairs: Counter, symbols: Counter, may_be):
        self._pairs, self._symbols, self._may_be = pairs, symbols, may_be
        self._rights, self._lefts = defaultdict(set), defaultdict(set)
        self._best: dict[int, tuple[int, int]] = {}
        self._stale: set[int] = set()

    def changed(self, pairs: set, symbols: set) -> None:
        for left, right in pairs:
            self._rights[left].add(right)
            self._lefts[right].add(left)
            self._stale.add(left)
        for symbol in symbols:
            self._stale |= self._lefts[symbol] | {symbol}

    def drop(self, pair) -> None:
        left, right = pair
        self._rights[left].discard(right)
        self._lefts[right].discard(left)
        self._stale.add(left)

    def best(self):
        for left in self._stale:
            for right in [right for right in self._rights[left] if not self._may_be((left, right))]:
                self._rights[left].discard(right)
                self._lefts[right].discard(left)
            self._best[left] = self._highest((left, right) for right in self._rights[left])
        self._stale = set()
        return self._highest(pair for pair in self._best.values() if pair is not None)

    def _highest(self, pairs):
        best, top = None, (0, 1)
        for pair in pairs:
            score = (self._pairs[pair], self._symbols[pair[0]] * self._symbols[pair[1]])
            order = score[0] * top[1] - top[0] * score[1]
            if order > 0 or (order == 0 and (-score[0], pair) < (-top[0], best)):
                best, top = pair, score
        return best
