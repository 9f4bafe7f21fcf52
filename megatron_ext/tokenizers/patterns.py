"""How tiktoken files split text before they merge bytes, by name, and where each family keeps its control tokens.

A `.tiktoken` file holds ranks only: the rule that splits text into pieces, and the ids of the control tokens, are part of
the program that was published with it. Sources: tiktoken's `openai_public.py` (gpt2, cl100k, o200k), Meta's Llama 3
`tokenizer.py` (llama3), megatron-core's `tiktoken_tokenizer.py` (v1, v2).
"""

from __future__ import annotations

import pathlib

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What Hugging Face's `ByteLevel(use_regex=True)` splits by."""

_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"

PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "cl100k": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    "o200k": "|".join(
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + _CONTRACTION + "?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + _CONTRACTION + "?",
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        )
    ),
    "llama3": (_CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"),
    "v1": r"[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "v2": "|".join(
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        )
    ),
}

_OPENAI = {"<|endoftext|>": 1, "<|endofprompt|>": 20}
_LLAMA3 = {
    0: "<|begin_of_text|>",
    1: "<|end_of_text|>",
    6: "<|start_header_id|>",
    7: "<|end_header_id|>",
    9: "<|eot_id|>",
}
_LLAMA3_RESERVED = (place for place in range(256) if place not in _LLAMA3)

# Family -> control token -> its id, counted from the end of the ranks.
CONTROL_TOKENS = {
    "cl100k": _OPENAI | {"<|fim_prefix|>": 2, "<|fim_middle|>": 3, "<|fim_suffix|>": 4},
    "o200k": _OPENAI,
    "llama3": {name: place for place, name in _LLAMA3.items()}
    | {f"<|reserved_special_token_{number}|>": place for number, place in enumerate(_LLAMA3_RESERVED)},
}
OTHERS_CONTROL_TOKENS = {"<|endoftext|>": 0}

# The JSON form of Megatron-LM: 1,000 control tokens come before the ranks, and the vocabulary is cut to 2^17 in all.
MEGATRON_CONTROL_TOKENS = ("<unk>", "<s>", "</s>", "<mask>", "<pad>", "<cls>", "<sep>")
MEGATRON_CONTROL_COUNT = 1000
MEGATRON_VOCAB_SIZE = 2**17


def pattern_of_file(path: str) -> str | None:
    """The pattern that a file's name tells: `cl100k_base.tiktoken` → cl100k; Megatron-LM's JSON is v2 unless said."""
    name = pathlib.Path(path).name
    return next((known for known in PATTERNS if name.startswith(known)), "v2" if name.endswith(".json") else None)
