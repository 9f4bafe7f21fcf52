"""What is measured of a tokenizer on texts: sums over documents, and what follows from them.

bytes a token, characters a token    how far text is compressed; more is better, and the bits per byte of a model trained with
                                     it say what it is worth
fertility                            tokens a word (arXiv:2012.15613): all tokens, those of spaces and line ends too, over all
                                     words of `corpus/words.py` (punctuation marks are words; Chinese is cut by ICU). Near 1 a
                                     word is a token; below 1 tokens span words.
continued words                      the share of words that are cut: a token ends inside them (same paper)
lossless                             the share of documents with decode(encode(text)) == text
unknown                              the share of tokens that stand for no text: for what the vocabulary does not have
unused                               the share of the vocabulary's entries, control tokens too, that no text needed
entropy                              of the distribution p of tokens, Rényi's of order α in bits: log2(Σ p^α) / (1 - α), Shannon's
                                     -Σ p log2 p for α = 1; its efficiency is entropy / log2 V, V entries (arXiv:2306.16842: at
                                     α = 2.5 it goes with how good a translator is)

Words in a text that is not kept (WordPiece drops spaces, a normaliser changes letters) cannot be laid beside the tokens: there
each word is encoded alone.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from megatron_ext.corpus.analysis import Analysis
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.round_trip import Loss, difference


class Text(NamedTuple):
    """A document. Attributes: id: where it was read; starts, ends: of words, in bytes `[words]`; spaced: after a space."""

    id: str
    text: str
    size: int
    words: list[str]
    starts: np.ndarray
    ends: np.ndarray
    spaced: np.ndarray


def text_with_words(id: str, text: str) -> Text:
    """Find the words. UserError: a text without spaces, and icu4py is not installed."""
    words = Analysis(text).words()
    starts, at = np.empty(len(words), np.int64), 0
    for number, word in enumerate(words):  # they follow each other, with nothing but white space between them
        at = text.index(word, at)
        starts[number] = at
        at += len(word)
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    spaced = np.array([start > 0 and text[start - 1] == " " for start in starts.tolist()], bool)
    if text.isascii():
        return Text(id, text, len(text), words, starts, starts + lengths, spaced)
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    place = np.concatenate([[0], np.cumsum(1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF))])
    return Text(id, text, int(place[-1]), words, place[starts], place[starts + lengths], spaced)


class Lost(NamedTuple):
    """A document that did not come back. Attributes: loss: None where it cannot be encoded at all."""

    document: str
    loss: Loss | None


@dataclasses.dataclass
class Measures:
    """Sums over documents; they add up.

    Attributes:
        tokens_of: how often each id was there, int64 `[vocab_size]`.
        unknown: tokens that stand for no text.
        kept: documents that come back as they were; refused: documents that could not be encoded at all.
        continued: words inside which a token ends.
        seconds: CPU time of encoding.
        lost: the first document that was not kept.
    """

    tokens_of: np.ndarray
    documents: int = 0
    kept: int = 0
    refused: int = 0
    size: int = 0
    characters: int = 0
    words: int = 0
    continued: int = 0
    unknown: int = 0
    seconds: float = 0.0
    lost: Lost | None = None

    def __add__(self, other: Measures) -> Measures:
        mine, its = vars(self), vars(other)
        return Measures(**{name: mine[name] + its[name] for name in mine if name != "lost"}, lost=self.lost or other.lost)

    @property
    def tokens(self) -> int:
        return int(self.tokens_of.sum())

    @property
    def bytes_per_token(self) -> float:
        return _ratio(self.size, self.tokens)

    @property
    def characters_per_token(self) -> float:
        return _ratio(self.characters, self.tokens)

    @property
    def fertility(self) -> float:
        return _ratio(self.tokens, self.words)

    @property
    def continued_words(self) -> float:
        return _ratio(self.continued, self.words)

    @property
    def lossless(self) -> float:
        return _ratio(self.kept, self.documents)

    @property
    def unknown_tokens(self) -> float:
        return _ratio(self.unknown, self.tokens)

    @property
    def unused(self) -> float:
        return float((self.tokens_of == 0).mean())

    @property
    def mb_per_second(self) -> float:
        """Of one core."""
        return _ratio(self.size / 1e6, self.seconds)

    def entropy(self, alpha: float) -> float:
        """Rényi's of this order, in bits."""
        if not self.tokens:
            return math.nan
        p = self.tokens_of[self.tokens_of > 0] / self.tokens
        if alpha == 1:
            return float(-(p * np.log2(p)).sum())
        return float(np.log2((p**alpha).sum()) / (1 - alpha))

    def efficiency(self, alpha: float) -> float:
        """The entropy over that of a uniform distribution on all entries."""
        return self.entropy(alpha) / math.log2(len(self.tokens_of))


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


class Measurer:
    """One tokenizer, text after text."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer, self._size = tokenizer, tokenizer.token_bytes()
        self._cut_alone: dict[tuple[str, bool], bool] = {}

    def __call__(self, texts: Sequence[Text]) -> Measures:
        found = Measures(np.zeros(self._tokenizer.vocab_size, np.int64))
        before = time.process_time()
        encoded = self._encode([each.text for each in texts])
        found.seconds = time.process_time() - before
        for each, ids in zip(texts, encoded):
            found.documents += 1
            if ids is None:
                found.refused += 1
                found.lost = found.lost or Lost(each.id, None)
                continue
            self._add(found, each, np.array(ids, np.int64))
        return found

    def _encode(self, texts: Sequence[str]) -> Sequence[list[int] | None]:
        """Ids of each text; None where one cannot be encoded."""
        try:
            return self._tokenizer.encode_batch(texts)
        except ValueError:
            return [self._encode_one(text) for text in texts]

    def _encode_one(self, text: str) -> list[int] | None:
        try:
            return self._tokenizer.encode(text)
        except ValueError:
            return None

    def _add(self, found: Measures, each: Text, ids: np.ndarray) -> None:
        found.tokens_of += np.bincount(ids, minlength=len(found.tokens_of))
        found.size += each.size
        found.characters += len(each.text)
        found.words += len(each.words)
        found.unknown += int((self._size[ids] == 0).sum())
        loss = difference(each.text, self._tokenizer.decode(ids.tolist()))
        if loss is None:
            found.kept += 1
        else:
            found.lost = found.lost or Lost(each.id, loss)
        ends = np.cumsum(self._size[ids]) - self._tokenizer.prefix_bytes
        if loss is None and len(ends) and ends[-1] == each.size:
            found.continued += cut_words(each, ends)
        else:
            found.continued += sum(map(self._is_cut_alone, each.words, each.spaced.tolist()))

    def _is_cut_alone(self, word: str, spaced: bool) -> bool:
        """Whether a word is more than one token by itself; a token that is but the space before it does not count."""
        if (word, spaced) not in self._cut_alone:
            ids = self._encode_one(" " * (spaced and not self._tokenizer.prefix_bytes) + word) or []
            if len(ids) > 1 and self._tokenizer.decode(ids[:1]).strip() == "" and self._size[ids[0]] > 0:
                ids = ids[1:]
            self._cut_alone[word, spaced] = len(ids) > 1
        return self._cut_alone[word, spaced]


def cut_words(text: Text, ends: np.ndarray) -> int:
    """How many words a token ends inside of; `ends` are where tokens end, in bytes of the text."""
    is_end = np.zeros(text.size + 1, np.int64)
    is_end[ends[ends >= 0]] = 1
    before = np.concatenate([[0], np.cumsum(is_end)])  # ends at places below
    return int((before[text.ends] > before[text.starts + 1]).sum())
