"""`--tokenizer-type null`: no text, only numbers; for speed trials and for data that is numbers already.

A document is written as ids in decimal, between spaces. `--vocab-size N` gives the ids 0 to N - 1, and N - 1 ends a
document, as in Megatron-LM's newest NullTokenizer. (Up to core 0.16 it had one id more than it was asked for.)
"""

from __future__ import annotations

from collections.abc import Iterable

from megatron_ext.tokenizers.contract import UNUSED, Entry, Tokenizer, digest
from megatron_ext.tokenizers.flags import TokenizerFlags


class NullTokenizer(Tokenizer):
    prefix_bytes = 0
    written_in = "numbers"
    vocabulary = None
    control_tokens: dict[str, int] = {}

    def __init__(self, vocab_size: int):
        self.vocab_size, self.eod = vocab_size, vocab_size - 1

    def encode(self, text: str) -> list[int]:
        ids = [int(word) for word in text.split()]
        if ids and not 0 <= min(ids) <= max(ids) < self.vocab_size:
            raise ValueError(f"an id is not between 0 and {self.vocab_size - 1}")
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        return " ".join(map(str, ids))

    def entries(self) -> list[Entry]:
        """These ids stand for no text, so there are no bits per byte."""
        return [Entry(UNUSED, b"")] * self.vocab_size

    def pieces(self, entry: Entry) -> list[int]:
        return []

    def fingerprint(self) -> str:
        return digest("null", str(self.vocab_size))


def load(flags: TokenizerFlags) -> NullTokenizer:
    return NullTokenizer(flags.vocab_size)
