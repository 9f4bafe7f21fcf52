"""Megatron-LM's other spellings, in one table: flags that are values of a flag here, and values with another name.

People copy scripts. A spelling in this table is taken as what it means here; nothing else in the project knows of it.
"""

from __future__ import annotations

from typing import Any

# Flag of Megatron-LM -> (our flag's field, the value it stands for; ... means: takes the value that follows it).
FLAGS: dict[str, tuple[str, Any]] = {
    "--swiglu": ("activation", "swiglu"),
    "--disable-bias-linear": ("add_bias_linear", False),
    "--use-distributed-optimizer": ("zero_stage", 1),
    "--use-rotary-position-embeddings": ("position_embedding_type", "rope"),
    "--layernorm-epsilon": ("norm_epsilon", ...),
    "--enable-cuda-graph": ("cuda_graph_impl", "local"),
}

# Field -> {folded other spelling: our value}.
VALUES: dict[str, dict[str, str]] = {
    "tokenizer_type": {
        "sentencepiecetokenizer": "sentencepiece",
        "huggingfacetokenizer": "huggingface",
        "tiktokenizer": "tiktoken",
        "nulltokenizer": "null",
    },
    "optimizer": {"adamw": "adam"},
    "transformer_impl": {"te": "transformer_engine"},
    "position_embedding_type": {"learned": "learned_absolute", "rotary": "rope"},
}
