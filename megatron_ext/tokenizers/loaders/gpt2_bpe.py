"""`--tokenizer-type gpt2_bpe`: GPT-2's byte-level BPE from its two files, `--vocab-file vocab.json --merge-file merges.txt`.

Megatron-LM's GPT2BPETokenizer. The text is split by GPT-2's regular expression; `<|endoftext|>` ends a document.
"""

from __future__ import annotations

import pathlib

import tokenizers

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.tokenizers.loaders.huggingface import HuggingFaceTokenizer

END_OF_TEXT = "<|endoftext|>"


def load(flags: TokenizerFlags) -> HuggingFaceTokenizer:
    try:
        model = tokenizers.models.BPE.from_file(flags.vocab_file, flags.merge_file)
    except Exception as error:  # tokenizers raises plain Exception
        files = f"--vocab-file {flags.vocab_file}, --merge-file {flags.merge_file}"
        raise UserError(f"{files}: are not GPT-2's vocab.json and merges.txt ({error})") from None
    whole = tokenizers.Tokenizer(model)
    whole.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = tokenizers.decoders.ByteLevel()
    whole.add_special_tokens([END_OF_TEXT])
    return HuggingFaceTokenizer(pathlib.Path(flags.vocab_file), flags.eod_token, whole.to_str())
