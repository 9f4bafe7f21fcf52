"""Byte-level BPE from ranks and a rule that splits text: tiktoken's ids, several times as fast.

`BytePairs` takes what a `tiktoken.Encoding` takes. Where the rule is one of those that `RULES` knows, C++ encodes
(native/byte_pairs.cpp): the pieces are cut by hand in place of a regular expression, and those that came before are looked up
with their tokens. Reason for own code: three to five times tiktoken's speed on English and code, 1.4 times on Chinese
(`python tools/benchmark.py tokenize`). With other rules, or where nothing was compiled, tiktoken itself encodes, with the same
ids.

What is a letter, a number, white space is asked of tiktoken: so both have the same Unicode, whatever versions are installed.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tiktoken

from megatron_ext.native import compiled as native
from megatron_ext.native import say_that_the_twins_serve
from megatron_ext.tokenizers.contract import well_formed
from megatron_ext.tokenizers.patterns import GPT2_PATTERN, PATTERNS

LONGEST_RUN = 900_000
_LONG_RUN = re.compile(rf"\s{{{LONGEST_RUN}}}")


def _rules() -> dict[str, dict[str, Any]]:
    """By regular expression: what native/byte_pairs.cpp calls `Rules`."""
    usual = dict(contractions=2, space_only=False, cased=False, digits=3, behind="\r\n", lines=True, end_whole=False)
    gpt2 = dict(contractions=1, space_only=True, cased=False, digits=0, behind="", lines=False, end_whole=False)
    known = {PATTERNS["gpt2"]: gpt2, GPT2_PATTERN: gpt2, PATTERNS["cl100k"]: {**usual, "end_whole": True}}
    for digits, count in ((r"\p{N}{1,3}", 3), (r"\p{N}", 1), (r"\p{N}+", 0)):  # Llama 3; Qwen; ours with --no-split-digits
        known[PATTERNS["llama3"].replace(r"\p{N}{1,3}", digits)] = {**usual, "digits": count}
    known[PATTERNS["o200k"]] = {**usual, "contractions": 3, "cased": True, "behind": "\r\n/"}
    known[PATTERNS["v1"]] = {**usual, "contractions": 0, "digits": 1}
    known[PATTERNS["v2"]] = {**usual, "contractions": 0, "cased": True, "digits": 1, "behind": "\r\n/"}
    return known


RULES = _rules()

# Bits of native/byte_pairs.cpp's `Class`, and the expressions that say what has them.
_CLASSES = {r"\p{L}": 1, r"\p{N}": 2, r"\s": 4, r"[\p{Lu}\p{Lt}]": 8, r"\p{Ll}": 16, r"[\p{Lm}\p{Lo}\p{M}]": 32}


class BytePairs:
    """Text to ids.

    Args:
        pattern: the regular expression that splits text. ValueError: it is none.
        ranks: ids by the bytes of tokens, the 256 bytes among them.
        twin: have tiktoken do it all the same.

    Attributes: quick: whether C++ does.
    """

    def __init__(self, pattern: str, ranks: dict[bytes, int], twin: bool = False):
        self._twin = tiktoken.Encoding("byte_pairs", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        known = pattern in RULES and max(ranks.values()) < 2**21
        self.quick = known and native is not None and not twin
        if self.quick:
            self._native = native.BytePairs(list(ranks), list(ranks.values()), _classes(), **RULES[pattern])
        elif known and not twin:
            say_that_the_twins_serve()

    def encode(self, text: str) -> list[int]:
        """ValueError: half a surrogate pair, or as `encode_as_tiktoken`, where that does the work."""
        return self.encode_flat([text])[0].tolist() if self.quick else self.encode_as_tiktoken(text)

    def encode_flat(self, texts: Sequence[str], end: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """`(ids of all texts end to end, how many of each)`, uint32; `end` is put behind each. ValueError: as `encode`."""
        if self.quick:
            try:
                ids, lengths = self._native.encode(list(texts), -1 if end is None else end)
            except UnicodeEncodeError:
                for text in texts:
                    well_formed(text)
                raise
            return np.frombuffer(ids, np.uint32), np.frombuffer(lengths, np.uint32)
        after = [] if end is None else [end]
        parts = [self.encode_as_tiktoken(text) + after for text in texts]
        lengths = np.fromiter(map(len, parts), np.uint32, len(parts))
        flat = itertools.chain.from_iterable(parts)
        return np.fromiter(flat, np.uint32, int(lengths.sum(dtype=np.int64))), lengths

    def encode_as_tiktoken(self, text: str) -> list[int]:
        """By tiktoken itself, whoever does it otherwise.

        ValueError: a run of white space is longer than it can split, or there is half a surrogate pair (its U+FFFD).
        """
        well_formed(text)
        if len(text) >= LONGEST_RUN and _LONG_RUN.search(text):  # its regular expressions run out of stack at a million
            raise ValueError(f"a run of more than {LONGEST_RUN} white-space characters is more than tiktoken can split")
        return self._twin.encode_ordinary(text)


@functools.cache
def _classes() -> bytes:
    """A byte for each code point: the bits of `_CLASSES`, as tiktoken's own regular expressions have them.

    An encoding whose pattern is one class, and whose tokens are the 256 bytes, gives back a text's characters of that class.
    """
    everything = "".join(
        map(chr, [*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000)])
    )  # the rest is not assigned
    table, ranks = np.zeros(0x110000, np.uint8), {bytes([byte]): byte for byte in range(256)}
    for pattern, bit in _CLASSES.items():
        only = tiktoken.Encoding("class", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        found = bytes(only.encode_ordinary(everything)).decode()
        table[np.frombuffer(found.encode("utf-32-le"), np.uint32)] |= bit
    return table.tobytes()
