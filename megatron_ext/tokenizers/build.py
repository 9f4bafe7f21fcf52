"""From flags to a tokenizer: `build` is the one place where a tokenizer is loaded."""

from __future__ import annotations

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.flags import LOADERS, TokenizerFlags


def build(flags: TokenizerFlags) -> Tokenizer:
    """The tokenizer that checked flags name. UserError: its file is broken, or it has more entries than the model shall have."""
    tokenizer = LOADERS.load(flags.tokenizer_type).load(flags)
    tokenizer.model_entries = flags.vocab_size or tokenizer.vocab_size
    if tokenizer.model_entries < tokenizer.vocab_size:
        file = flags.tokenizer_model or flags.vocab_file
        raise UserError(
            f"{file}: has {tokenizer.vocab_size} entries, and the model has --vocab-size {flags.vocab_size} (typed, in run.yaml, "
            "or the vocab_size of a Hugging Face folder's config.json); give the model's own tokenizer, or leave --vocab-size "
            "out where it was typed (to round the embedding up there is --make-vocab-size-divisible-by)"
        )
    return tokenizer
