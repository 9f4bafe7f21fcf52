"""What all algorithms of Hugging Face's tokenizers share: the files of the folder that transformers' AutoTokenizer reads."""

from __future__ import annotations

import json

import tokenizers

from megatron_ext.tokenizers.flags import TrainTokenizerFlags, control_names
from megatron_ext.tokenizers.patterns import PATTERNS
from megatron_ext.tokenizers.special_tokens import reserved

LONGEST_TOKEN = 64
"""Bytes or characters. Longer ones are rules of a table and the like, and cost a row of the embedding each."""
MIN_FREQUENCY = 2
"""Of a pair, where `--min-frequency` is not given."""
_ROLES = {"[PAD]": "pad_token", "<|fim_pad|>": "pad_token", "[MASK]": "mask_token", "[CLS]": "cls_token", "[SEP]": "sep_token"}


def pattern(flags: TrainTokenizerFlags) -> str:
    """What text is split by: LLaMA 3's rule, with single digits or whole numbers."""
    return PATTERNS["llama3"].replace(r"\p{N}{1,3}", r"\p{N}" if flags.split_digits else r"\p{N}+")


def folder(learned: tokenizers.Tokenizer, flags: TrainTokenizerFlags, unknown: str | None = None) -> dict[str, bytes]:
    """`tokenizer.json` and `tokenizer_config.json`, with the reserved control tokens that fill the vocabulary.

    Args:
        learned: has the control tokens already, the end of a document at 0.
        unknown: the token for what is not in the vocabulary.
    """
    more = reserved(learned.get_vocab_size(), flags.vocab_size_multiple)
    learned.add_special_tokens(more)
    return {
        "tokenizer.json": learned.to_str(pretty=True).encode() + b"\n",
        "tokenizer_config.json": json.dumps(_config(flags, more, unknown), indent=2, ensure_ascii=False).encode() + b"\n",
    }


def _config(flags: TrainTokenizerFlags, more: list[str], unknown: str | None) -> dict:
    names = control_names(flags)[1:]
    roles: dict[str, str] = {}
    for name, role in _ROLES.items():
        if name in names:
            roles.setdefault(role, name)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "eos_token": flags.eod_token,
        **({"unk_token": unknown} if unknown else {}),
        **roles,
        "additional_special_tokens": [name for name in names if name not in roles.values()] + more,
    }
