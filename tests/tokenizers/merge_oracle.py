"""Merges by count or by ratio as the words say it: all is counted again before each merge, scores are fractions."""

from collections import Counter
from fractions import Fraction


def joined(word, pair, made):
    after, at = [], 0
    while at < len(word):
        here = tuple(word[at : at + 2]) == pair
        after.append(made if here else word[at])
        at += 2 if here else 1
    return after


def counted(words, counts):
    """How often each pair stands there, and each symbol."""
    pairs, symbols = Counter(), Counter()
    for word, count in zip(words, counts):
        symbols.update({symbol: count * n for symbol, n in Counter(word).items()})
        pairs.update({pair: count * n for pair, n in Counter(zip(word, word[1:])).items()})
    return pairs, symbols


def oracle(words, counts, alphabet, merges, score, min_count=1, lengths=None, longest=None, spellings=None):
    """Rows of left, right, count of the pair, of left, of right."""
    lengths, spellings, found = list(lengths or [1] * alphabet), list(spellings or ()), []
    while len(found) < merges:
        pairs, symbols = counted(words, counts)
        scores = {}
        for (left, right), count in pairs.items():
            too_long = longest is not None and lengths[left] + lengths[right] > longest
            if count >= min_count and not too_long and not (spellings and spellings[left] + spellings[right] in spellings):
                scores[left, right] = Fraction(count, symbols[left] * symbols[right] if score == "ratio" else 1)
        if not scores:
            break
        left, right = best = min(scores, key=lambda pair: (-scores[pair], -pairs[pair], pair))
        words = [joined(word, best, alphabet + len(found)) for word in words]
        found.append([left, right, pairs[best], symbols[left], symbols[right]])
        lengths.append(lengths[left] + lengths[right])
        spellings += [spellings[left] + spellings[right]] if spellings else []
    return found
