"""What several rules measure in a text, each thing once: words, lines, sentences, what repeats.

`Document.analysis` is the analysis of a document's text. It is worked out by `native/{words,repetition,c4}.cpp`, or by the
twin in this file where no compiler was at hand. Reason for own code: the published rules, in Python, reach 0.5 MB/s
(`tools/benchmark.py corpus` measures).

What a word is stands in `words.py`. A line is what `str.splitlines` gives; where repetition is looked for, it is what
stands between newlines and is not blank. A paragraph ends at two newlines or more. All lengths are in characters.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from megatron_ext.corpus import words
from megatron_ext.native import compiled, say_that_the_twins_serve

IMPLEMENTATIONS = ("native", "python") if compiled else ("python",)
TOP, AGAIN = (2, 3, 4), (5, 6, 7, 8, 9, 10)
"""The n-grams of which the commonest is looked at, and those that are looked for a second time (arXiv:2112.11446, table A1)."""


class Counts(NamedTuple):
    """Words: `all` with punctuation and symbols, `words` without; `characters` of the latter; how many have a letter."""

    all: int
    words: int
    characters: int
    alphabetic: int


class Lines(NamedTuple):
    """Lines, blank ones too; those that begin with a bullet (• or -), those that end with an ellipsis."""

    lines: int
    bullets: int
    ellipses: int


class Marks(NamedTuple):
    """Hash signs, and ellipses (`...` or …)."""

    hashes: int
    ellipses: int


class Symbols(NamedTuple):
    """Characters that are no whitespace; of these punctuation (Unicode's P) and symbols (S)."""

    visible: int
    punctuation: int
    symbols: int


class Prose(NamedTuple):
    """Lines that are not blank; those that end with a sentence's end, those of few characters; newlines."""

    lines: int
    ended: int
    short: int
    newlines: int


class Repeats(NamedTuple):
    """Lines that are not blank, and paragraphs: how many, how many were there before, and characters of the latter."""

    lines: int
    repeated_lines: int
    line_characters: int
    paragraphs: int
    repeated_paragraphs: int
    paragraph_characters: int


class Analysis:
    """The measures of one text, each worked out when it is first asked for.

    Args:
        text: without lone surrogates, as `documents.texts` gives it.
        implementation: `auto`, `native` or `python`.
    """

    def __init__(self, text: str, implementation: str = "auto"):
        self.text = text
        if implementation == "auto":
            implementation = IMPLEMENTATIONS[0]
            if not compiled:
                say_that_the_twins_serve()
        elif implementation not in IMPLEMENTATIONS:
            raise ValueError(f"analysis: implementation is {implementation!r}, and here are {', '.join(IMPLEMENTATIONS)}")
        native = implementation == "native" and native_with_tables()
        unspaced = None if text.isascii() else (native.runs if native else words.runs)(text)
        cuts = None if unspaced is None else words.lengths(unspaced)
        self.measures: Any = native.Analysis(text, cuts) if native else Plain(text, cuts or ())

    def words(self) -> list[str]:
        return self.measures.words()

    @functools.cached_property
    def counts(self) -> Counts:
        return Counts._make(self.measures.counts())

    @functools.cached_property
    def lines(self) -> Lines:
        return Lines._make(self.measures.lines())

    @functools.cached_property
    def marks(self) -> Marks:
        return Marks._make(self.measures.marks())

    @functools.cached_property
    def symbols(self) -> Symbols:
        return Symbols._make(self.measures.symbols())

    @functools.cached_property
    def repeats(self) -> Repeats:
        return Repeats._make(self.measures.repeats())

    @functools.cached_property
    def ngrams(self) -> tuple[int, ...]:
        """Characters in n-grams, for each n of TOP and of AGAIN.

        For each n of TOP those of its commonest n-gram, with the spaces between words and as often as it is there; for each n of
        AGAIN those of words in n-grams that were there before, each once: after one the search goes on behind it.
        """
        return self.measures.ngrams()

    @functools.cached_property
    def sentences(self) -> int:
        return self.measures.sentences()

    def prose(self, short: int) -> Prose:
        """Lines of at most `short` characters are short."""
        return Prose._make(self.measures.prose(short))

    def distinct(self, wanted: Sequence[str]) -> int:
        """How many of these words are in the text."""
        return self.measures.distinct(wanted)


@functools.cache
def native_with_tables() -> Any:
    """The native module, which knows characters from now on."""
    compiled.set_up(words.kinds().tobytes(), sorted(words.ABBREVIATIONS))
    return compiled


class Plain:
    """The twin of `native.Analysis`, by plain Python: what is said above, as simply as it can be."""

    def __init__(self, text: str, cuts: Sequence[int] = ()):
        self.text = text
        self.spans = words.split(text, cuts)

    def words(self) -> list[str]:
        return [self.text[start:end] for start, end, _ in self.spans]

    def counts(self) -> tuple[int, ...]:
        plain = [end - start for start, end, flags in self.spans if flags & words.HAS_WORD]
        return len(self.spans), len(plain), sum(plain), sum(flags & words.HAS_ALPHA > 0 for _, _, flags in self.spans)

    def distinct(self, wanted: Sequence[str]) -> int:
        return len({*wanted}.intersection(self.words()))

    def sentences(self) -> int:
        return count_sentences(flags for _, _, flags in self.spans)

    def lines(self) -> tuple[int, ...]:
        lines = [line.strip() for line in self.text.splitlines()]
        return len(lines), sum(line.startswith(("•", "-")) for line in lines), sum(line.endswith(("...", "…")) for line in lines)

    def marks(self) -> tuple[int, ...]:
        return self.text.count("#"), self.text.count("...") + self.text.count("…")

    def symbols(self) -> tuple[int, ...]:
        found = [words.kind_of(character) for character in self.text]
        return tuple(
            sum(kind & wanted > 0 for kind in found) if wanted else sum(not kind & words.SPACE for kind in found)
            for wanted in (0, words.PUNCTUATION, words.SYMBOL)
        )

    def prose(self, short: int) -> tuple[int, ...]:
        lines = self._written_lines()
        ended = sum(words.kind_of(line[-1]) & words.END > 0 for line in lines)
        return len(lines), ended, sum(len(line) <= short for line in lines), self.text.count("\n")

    def _written_lines(self) -> list[str]:
        return [line for line in self.text.split("\n") if line.strip()]

    def repeats(self) -> tuple[int, ...]:
        text = self.text.strip()
        return *_repeated(self._written_lines()), *_repeated(re.split("\n{2,}", text) if text else [])

    def ngrams(self) -> tuple[int, ...]:
        found = self.words()
        return *(_top(found, n) for n in TOP), *(_again(found, n) for n in AGAIN)


def _repeated(pieces: Sequence[str]) -> tuple[int, int, int]:
    seen, repeated = set(), []
    for piece in pieces:
        if piece in seen:
            repeated.append(piece)
        seen.add(piece)
    return len(pieces), len(repeated), sum(map(len, repeated))


def _top(found: Sequence[str], n: int) -> int:
    """The characters of the commonest n-gram, the first of several, as often as it is there."""
    counts = Counter(tuple(found[place : place + n]) for place in range(len(found) - n + 1))
    if not counts:
        return 0
    gram, times = counts.most_common(1)[0]
    return len(" ".join(gram)) * times


def _again(found: Sequence[str], n: int) -> int:
    """The characters of words in n-grams that were there before; after one the search goes on behind it."""
    seen, characters, place = set(), 0, 0
    while place + n <= len(found):
        gram = tuple(found[place : place + n])
        if gram in seen:
            characters += sum(map(len, gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    return characters


def count_sentences(flags) -> int:
    """How many sentences some words in a row make: one begins after each end, where closing punctuation is past."""
    sentences, ended = 0, True
    for flag in flags:
        if sentences == 0 or (ended and not flag & (words.ENDS | words.ALL_PUNCTUATION)):
            sentences, ended = sentences + 1, False
        ended = ended or flag & words.ENDS > 0
    return sentences
