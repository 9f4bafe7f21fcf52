"""Which class holds a model is found from its flags; what none can hold is named."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint.conversion.families import family_for, resolved

LLAMA = dict(num_layers=3, hidden_size=48, num_attention_heads=6, num_query_groups=2, untie_embeddings_and_output_weights=True)
GPT2 = dict(normalization="layernorm", activation="gelu", position_embedding_type="learned_absolute", add_bias_linear=True)
WINDOW = dict(sliding_window=5)
FOUND = [
    ({}, "llama"),
    ({"add_qkv_bias": True}, "qwen2"),
    ({"add_qkv_bias": True, "add_attention_output_bias": True}, "llama"),
    ({"qk_layernorm": True}, "qwen3"),
    ({"attention_pattern": ("sliding_window",), **WINDOW}, "mistral"),
    ({"attention_pattern": ("causal", "sliding_window", "sliding_window"), **WINDOW}, "smollm3"),
    ({"position_embedding_type": "none"}, "smollm3"),
    ({**GPT2, "num_query_groups": None}, "gpt2"),
    ({**GPT2, "num_query_groups": 1}, "gpt_bigcode"),
    ({"reset_position_ids": True, "reset_attention_mask": True}, "llama"),  # of samples
    ({"hidden_dropout": 0.1, "seq_length": 7, "make_vocab_size_divisible_by": 1}, "llama"),  # change no function
]
NONE = [
    ({"position_embedding_type": "xpos"}, "--position-embedding-type xpos"),
    ({"norm_placement": "deepnorm"}, "--norm-placement deepnorm"),
    ({"activation": "squared_relu"}, "--activation squared_relu"),
    ({"num_experts": 4, "qk_layernorm_across_heads": True}, "mixtral, lacks words for: --qk-layernorm-across-heads True"),
    ({"rotary_percent": 0.5}, "--rotary-percent 0.5"),
    ({"logit_scale": 0.5}, "--logit-scale 0.5"),
    ({"reset_attention_mask": True, "embedding_scale": 3.0}, "--embedding-scale 3.0"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "name"), FOUND)
def test_the_first_that_holds_it(flags, name):
    assert family_for(resolved(LLAMA | flags)).name == name


@pytest.mark.parametrize(("flags", "said"), NONE)
def test_what_none_can_hold_is_named(flags, said):
    with pytest.raises(UserError, match="no class of Hugging Face's holds this model; the nearest, ") as refused:
        family_for(resolved(LLAMA | flags))
    assert said in str(refused.value)


def test_one_may_be_asked_for():
    assert family_for(resolved(LLAMA), "mistral").name == "mistral"
    with pytest.raises(UserError, match="^MistralForCausalLM cannot hold this model: --add-qkv-bias True$"):
        family_for(resolved(LLAMA | {"add_qkv_bias": True}), "mistral")
