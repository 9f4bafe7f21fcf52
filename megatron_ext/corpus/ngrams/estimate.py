r"""N-grams to probabilities by interpolated, modified Kneser-Ney smoothing (Chen & Goodman 1998; Heafield et al., ACL 2013).

Of the highest order N, and of n-grams that begin with <s>, a(·) is how often they occur; of all others it is the number of
different words that are seen before them. With t_k n-grams of an order having a = k, that order's discounts are

    D_k = k - (k + 1) · t_1 / (t_1 + 2 t_2) · t_{k+1} / t_k      for k = 1, 2 and 3 (3 stands for more, too)

and 0.5, 1, 1.5 where the text is too small to tell (a t_k is 0, or a D_k is not in (0, k]). With h' = h without its first word,

    p(w | h) = (a(h w) - D(a(h w))) / Σ_x a(h x)  +  γ(h) · p(w | h')      γ(h) = Σ_x D(a(h x)) / Σ_x a(h x)

down to p(w | nothing), which is mixed with 1 / (number of words, <unk> and </s> too). N-grams that occur as often as `prune`
says of their order, or less, are left out of the model; their whole a goes into γ(h), so that all still adds up to one.

`estimator` gives the native one (`native/ngrams.cpp`), which sorts on disk in bounded memory, or here its Python twin, which
holds all n-grams in memory and gives the same model. Reason for own code: kenlm's trainer, lmplz, comes in no package; kenlm-ex
reads models only. For native code: 2.1 MB of text as ids, order 5, take 2.4 s, and the twin 35 s.
"""

from __future__ import annotations

import array
import collections
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from megatron_ext.native import compiled as native
from megatron_ext.native import say_that_the_twins_serve

UNKNOWN, BEGIN, END = 0, 1, 2
CONTROL = ("<unk>", "<s>", "</s>")
"""The words of the first three ids."""

LARGEST_ORDER = 6
"""The largest that kenlm reads."""


class OrderStatistics(NamedTuple):
    """Of one order: n-grams found, n-grams in the model, (D_1, D_2, D_3), and whether these follow from the text."""

    found: int
    kept: int
    discounts: tuple[float, float, float]
    estimated: bool


def estimator(order: int, folder: str, memory: int, implementation: str = "auto") -> Any:
    """What counts n-grams, `order` from 2 to LARGEST_ORDER, in `memory` bytes and files in `folder`.

    `add(ids)` takes words as ids, an `array("I")`: sentences, each ended by END, in pieces of any size;
    `finish(words, prune, path)` writes the ARPA file of the words by id, and gives `OrderStatistics`, one an order, as tuples.
    """
    if implementation == "native" or (implementation == "auto" and native):
        return native.NgramEstimator(order, folder, memory)
    if implementation == "auto":
        say_that_the_twins_serve()
    return _Twin(order)


class _Twin:
    def __init__(self, order: int):
        self._order = order
        self._counts: list[collections.Counter] = [collections.Counter() for _ in range(order + 1)]
        self._history: tuple[int, ...] = (BEGIN,)

    def add(self, ids: array.array) -> None:
        history = self._history
        for word in ids:
            history = (*history, word)[-self._order :]
            for n in range(1, len(history) + 1):
                self._counts[n][history[-n:]] += 1
            if word == END:
                history = (BEGIN,)
        self._history = history

    def finish(self, words: Sequence[str], prune: Sequence[int], path: str) -> list[tuple]:
        if any(max(gram) >= len(words) for gram in self._counts[1]):
            raise IndexError("an id beyond the words")
        orders = range(1, self._order + 1)
        adjusted = {n: self._adjusted(n) for n in orders}
        kept = {n: {gram for gram in adjusted[n] if n == 1 or self._counts[n][gram] > prune[n - 1]} for n in orders}
        discounts = {n: _discounts(adjusted[n].values()) for n in orders}
        probabilities, backoffs = self._unigrams(adjusted[1], discounts[1][0], len(words)), {}
        for n in orders[1:]:
            grams, below = self._interpolate(n, adjusted[n], kept[n], discounts[n][0], probabilities)
            probabilities |= grams
            backoffs |= below
        with open(path, "w", encoding="utf-8") as file:
            _write(file, self._order, words, probabilities, backoffs)
        kept[1] = adjusted[1]
        return [(len(adjusted[n]), len(kept[n]), tuple(discounts[n][0][1:]), discounts[n][1]) for n in orders]

    def _adjusted(self, n: int) -> dict[tuple, int]:
        if n == self._order:
            return dict(self._counts[n])
        before = collections.Counter(gram[1:] for gram in self._counts[n + 1])
        return {gram: count if gram[0] == BEGIN else before[gram] for gram, count in self._counts[n].items()}

    def _unigrams(self, adjusted: dict[tuple, int], discounts: list[float], words: int) -> dict[tuple, float]:
        total, handed = 0.0, 0.0
        for word in range(words):  # in the order of ids, as the native one adds
            count = adjusted.get((word,), 0)
            total += count
            handed += discounts[min(count, 3)]
        uniform = handed / total / (words - 1)
        counts = ((word, adjusted.get((word,), 0)) for word in range(words))
        return {(word,): max(count - discounts[min(count, 3)], 0.0) / total + uniform for word, count in counts}

    def _interpolate(self, n, adjusted, kept, discounts, lower) -> tuple[dict[tuple, float], dict[tuple, float]]:
        contexts: dict[tuple, list[tuple]] = collections.defaultdict(list)
        for gram in adjusted:
            contexts[gram[:-1]].append(gram)
        grams, below = {}, {}
        for context, members in contexts.items():
            times = collections.Counter(min(adjusted[gram], 3) for gram in members if gram in kept)
            if not times:
                continue
            total = sum(adjusted[gram] for gram in members)
            pruned = sum(adjusted[gram] for gram in members if gram not in kept)
            handed = discounts[1] * times[1] + discounts[2] * times[2] + discounts[3] * times[3] + pruned
            below[context] = handed / total
            for gram in members:
                if gram in kept:
                    count = adjusted[gram]
                    grams[gram] = (count - discounts[min(count, 3)]) / total + below[context] * lower[gram[1:]]
        return grams, below


def _discounts(counts) -> tuple[list[float], bool]:
    """`([0, D_1, D_2, D_3], whether they follow from the counts)`."""
    times = collections.Counter(count for count in counts if count < 5)
    found = [0.0]
    for k in (1, 2, 3):
        if not times[k] or not times[k + 1]:
            return [0.0, 0.5, 1.0, 1.5], False
        found.append(k - (k + 1) * (times[1] / (times[1] + 2 * times[2])) * times[k + 1] / times[k])
    if all(0 < found[k] <= k for k in (1, 2, 3)):
        return found, True
    return [0.0, 0.5, 1.0, 1.5], False


def _write(file, order: int, words: Sequence[str], probabilities: dict[tuple, float], backoffs: dict[tuple, float]) -> None:
    sections = {
        n: sorted((gram for gram in probabilities if len(gram) == n), key=lambda gram: gram[::-1]) for n in range(order + 1)
    }
    file.write("\\data\\\n" + "".join(f"ngram {n}={len(sections[n])}\n" for n in range(1, order + 1)))
    for n in range(1, order + 1):
        file.write(f"\n\\{n}-grams:\n")
        for gram in sections[n]:
            probability = "-99" if gram == (BEGIN,) else f"{math.log10(probabilities[gram]):.7g}"
            line = f"{probability}\t{' '.join(words[word] for word in gram)}"
            if n < order:
                line += f"\t{math.log10(backoffs[gram]):.7g}" if gram in backoffs else "\t0"
            file.write(line + "\n")
    file.write("\n\\end\\\n")
