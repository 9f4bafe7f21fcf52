"""What tokens are: ordinary ones, beginnings of words, ends of sentences; tables by id, found by decoding each token once."""

from __future__ import annotations

import functools
import re

import numpy as np

_CONTINUES = "##"  # BERT's mark of a piece within a word
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_ENDS = (".", "!", "?", "。", "！", "？", "\n")


@functools.lru_cache(maxsize=4)
def _texts(tokenizer) -> list[str]:
    return [tokenizer.decode([token]) for token in range(tokenizer.vocab_size)]


@functools.lru_cache(maxsize=4)
def ordinary(tokenizer) -> np.ndarray:
    """The ids that stand for text, rising."""
    found = np.flatnonzero(tokenizer.token_bytes())
    return found if len(found) else np.setdiff1d(np.arange(tokenizer.vocab_size), [tokenizer.eod])


@functools.lru_cache(maxsize=4)
def begins_word(tokenizer) -> np.ndarray:
    """bool `[vocab_size]`: whether a word begins with the token: it is not letters or digits that go on. An ideograph begins one:
    no space stands between two, and BERT's tokenizer makes a word of each (github.com/google-research/bert, multilingual.md)."""
    return np.array([not _goes_on(text) for text in _texts(tokenizer)])


def _goes_on(text: str) -> bool:
    if text.startswith(_CONTINUES) and len(text) > 2:
        return True
    return text[:1].isalnum() and not _IDEOGRAPH.match(text)


@functools.lru_cache(maxsize=4)
def ends_sentence(tokenizer) -> np.ndarray:
    """bool `[vocab_size]`: whether the token ends with a full stop, a question or exclamation mark, or a line's end."""
    return np.array([text.rstrip(" ").endswith(_ENDS) for text in _texts(tokenizer)])
