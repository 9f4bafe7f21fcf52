"""`--algorithm sentencepiece_bpe`: BPE as SentencePiece learns it (arXiv:1808.06226), in a `tokenizer.model` as LLaMA's first.

The most frequent pair of neighbours becomes a piece; words are split at spaces and where the script changes. Rare characters are
bytes, nothing is normalised, no space is put before the text: lossless. Ids: 0 ends a document, 1 is what is unknown, then
control tokens, the 256 bytes, the merges in their order, the characters.
"""

from __future__ import annotations

from collections.abc import Iterable

from megatron_ext.tokenizers.flags import TrainTokenizerFlags
from megatron_ext.tokenizers.training import _sentencepiece

MODEL = "tokenizer.model"
FLAGS = ("split_digits", "byte_fallback", "character_coverage")


def train(texts: Iterable[str], flags: TrainTokenizerFlags) -> dict[str, bytes]:
    """Learn from `texts`, read once. UserError: their characters do not fit into `--vocab-size`."""
    return _sentencepiece.train(texts, flags, "bpe")
