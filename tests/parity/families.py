"""Small models of transformers' in sizes that break lazy code; our flags and weights come by checkpoint/huggingface/.

Heads that are no power of two, fewer key heads, heads whose width is not hidden / heads, an odd vocabulary that gets padded,
samples longer than a window. A family gives the reference model.
"""

from __future__ import annotations

VOCAB, LENGTH = 131, 19
SMALL = dict(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, num_attention_heads=6, attn_implementation="eager")
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
LLAMA = dict(intermediate_size=80, num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-6, rope_parameters=ROPE,
             tie_word_embeddings=False)  # fmt: skip
GPT2 = dict(vocab_size=VOCAB, n_embd=36, n_layer=2, n_head=3, n_positions=40, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            attn_implementation="eager")  # fmt: skip


def flags(line: str) -> list[str]:
    """Of a model in these sizes, for the references that are not transformers' classes."""
    return ["--num-layers", "3", "--hidden-size", "48", "--num-attention-heads", "6", *line.split()]


def llama():
    import transformers  # here: importing it takes long, and collecting tests should not

    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL, **LLAMA))


def mistral():
    """A window shorter than the sample."""
    import transformers

    return transformers.MistralForCausalLM(transformers.MistralConfig(**SMALL, **LLAMA, sliding_window=5))


def qwen2():
    """Biases in the query, key and value projection alone, another base of the rotation."""
    import transformers

    return transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(**SMALL, **LLAMA | {"rope_parameters": ROPE | {"rope_theta": 500.0}})
    )


def qwen3():
    """Norms on queries and keys, heads wider than hidden / heads."""
    import transformers

    return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**SMALL, **LLAMA, head_dim=12))


def smollm3():
    """No positions in any layer."""
    import transformers

    config = transformers.SmolLM3Config(**SMALL, **LLAMA, no_rope_layers=[0, 0, 0], pad_token_id=None)
    return transformers.SmolLM3ForCausalLM(config)


def gpt2():
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2, activation_function="gelu"))


def gpt_bigcode():
    """One head of keys and values for all queries."""
    import transformers

    config = transformers.GPTBigCodeConfig(**GPT2, multi_query=True, activation_function="gelu_pytorch_tanh")
    return transformers.GPTBigCodeForCausalLM(config)


def gpt_neox(parallel: bool = True):
    """Attention and MLP side by side with two norms, a quarter of the channels rotated."""
    import transformers

    config = transformers.GPTNeoXConfig(
        **SMALL, intermediate_size=80, max_position_embeddings=64, use_parallel_residual=parallel, hidden_act="gelu",
        rope_parameters=ROPE | {"partial_rotary_factor": 0.25})  # fmt: skip
    return transformers.GPTNeoXForCausalLM(config)


def gpt_neox_in_turn():
    return gpt_neox(parallel=False)


def gptj():
    """Side by side with one norm, neighbouring channels rotated, biases in the MLP and on the logits alone."""
    import transformers

    config = transformers.GPTJConfig(
        vocab_size=VOCAB, n_embd=48, n_layer=3, n_head=6, n_positions=64, rotary_dim=4, n_inner=80, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, tie_word_embeddings=False, attn_implementation="eager")  # fmt: skip
    return transformers.GPTJForCausalLM(config)


def bloom(from_norm: bool = False):
    """ALiBi with six heads, a norm on the embedding, tied; its gelu is the tanh form."""
    import transformers

    config = transformers.BloomConfig(
        vocab_size=VOCAB, hidden_size=48, n_layer=3, n_head=6, hidden_dropout=0.0, attention_dropout=0.0,
        apply_residual_connection_post_layernorm=from_norm, attn_implementation="eager")  # fmt: skip
    return transformers.BloomForCausalLM(config)


def bloom_residual_from_norm():
    return bloom(from_norm=True)


def mpt():
    """ALiBi, no bias anywhere, norms neither."""
    import transformers

    config = transformers.MptConfig(
        vocab_size=VOCAB, d_model=48, n_layers=3, n_heads=6, max_seq_len=64, attn_implementation="eager"
    )
    return transformers.MptForCausalLM(config)


def falcon(new: bool = False, alibi: bool = False):
    """7B: side by side with one norm, one head of keys; 40B: two norms, groups; RW: ALiBi that is scaled, one after the other."""
    import transformers

    # Its eager attention adds ALiBi's bias twice (transformers 5.23): in the mask, and to the scores.
    config = transformers.FalconConfig(
        **SMALL | {"attn_implementation": "sdpa"}, new_decoder_architecture=new, num_kv_heads=6 if alibi else 2,
        multi_query=not alibi, parallel_attn=not alibi, alibi=alibi,
        bias=alibi, hidden_dropout=0.0, attention_dropout=0.0, rope_parameters=ROPE)  # fmt: skip
    return transformers.FalconForCausalLM(config)


def falcon_40b():
    return falcon(new=True)


def falcon_rw():
    return falcon(alibi=True)


def gemma2():
    """Norms around each sublayer with 1 + weight, every other layer a window, caps on scores and logits, a scaled embedding."""
    import transformers

    config = transformers.Gemma2Config(
        **SMALL, intermediate_size=80, num_key_value_heads=2, head_dim=12, max_position_embeddings=64, rms_norm_eps=1e-6,
        sliding_window=5, pad_token_id=None, attn_logit_softcapping=3.0, final_logit_softcapping=2.0, query_pre_attn_scalar=20,
        rope_parameters=ROPE)  # fmt: skip
    return transformers.Gemma2ForCausalLM(config)


def cohere():
    """Side by side with one norm without a bias, neighbouring channels rotated, logits scaled, tied."""
    import transformers

    config = transformers.CohereConfig(
        **SMALL, intermediate_size=80, num_key_value_heads=2, max_position_embeddings=64, logit_scale=0.3, rope_parameters=ROPE
    )
    return transformers.CohereForCausalLM(config)


def olmo2():
    """Norms behind the sublayers, and one on queries and keys over all heads together."""
    import transformers

    return transformers.Olmo2ForCausalLM(transformers.Olmo2Config(**SMALL, **LLAMA, head_dim=12))


def glm(sandwich: bool = False):
    """Half of each head's channels rotated, neighbours together, biases in the query, key and value projection alone; gate and
    value in one matrix. GLM-4-0414 has norms behind the sublayers too."""
    import transformers

    config, model = (
        (transformers.Glm4Config, transformers.Glm4ForCausalLM)
        if sandwich
        else (transformers.GlmConfig, transformers.GlmForCausalLM)
    )
    return model(
        config(**SMALL, **LLAMA | {"rope_parameters": ROPE | {"partial_rotary_factor": 0.5}}, head_dim=12, pad_token_id=None)
    )


def glm4():
    return glm(sandwich=True)


MOE = dict(num_experts_per_tok=3, moe_intermediate_size=24)


def mixtral():
    """Experts in all layers, weighed by a softmax over the chosen."""
    import transformers

    return transformers.MixtralForCausalLM(
        transformers.MixtralConfig(**SMALL, **LLAMA, num_local_experts=4, router_aux_loss_coef=0.02)
    )


def qwen2_moe():
    """A dense layer, two with experts that a softmax over all of them weighs, and with shared ones that have a gate."""
    import transformers

    config = transformers.Qwen2MoeConfig(
        **SMALL, **LLAMA, **MOE, num_experts=6, shared_expert_intermediate_size=40, mlp_only_layers=[1]
    )
    return transformers.Qwen2MoeForCausalLM(config)


def qwen3_moe():
    """Experts in every other layer, whose weights sum to 1; norms on heads that are wider than hidden / heads."""
    import transformers

    config = transformers.Qwen3MoeConfig(
        **SMALL, **LLAMA, **MOE, head_dim=12, num_experts=6, decoder_sparse_step=2, norm_topk_prob=True
    )
    return transformers.Qwen3MoeForCausalLM(config)


def deepseek_v3(query_rank: int | None = 20, value: int = 14, dense: int = 1, groups: int = 4, layers: int = 3):
    """Latent attention, neighbouring channels rotated, values narrower than keys; a dense layer, then experts by sigmoid in
    groups, chosen by scores and biases, and two shared ones."""
    import torch
    import transformers

    # The norms on the short vectors have 1e-6 whatever the configuration says.
    config = transformers.DeepseekV3Config(
        **SMALL | {"num_hidden_layers": layers}, **LLAMA | {"num_key_value_heads": 6}, **MOE | {"num_experts_per_tok": 4},
        first_k_dense_replace=dense, n_routed_experts=16, n_shared_experts=2, n_group=groups, topk_group=min(groups, 2),
        num_mtp_layers=0, q_lora_rank=query_rank, kv_lora_rank=28, qk_nope_head_dim=10, qk_rope_head_dim=6,
        v_head_dim=value)  # fmt: skip
    model = transformers.DeepseekV3ForCausalLM(config)
    for name, bias in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            bias.copy_(0.05 * torch.randn_like(bias))
    return model


def deepseek_v3_direct_queries():
    """Queries straight from the hidden states, as in DeepSeek-V2-Lite, values wider than keys, and no groups."""
    return deepseek_v3(query_rank=None, value=22, groups=1)


def deepseek_v3_dense():
    return deepseek_v3(dense=3)


FAMILIES = (
    llama, mistral, qwen2, qwen3, smollm3, gpt2, gpt_bigcode, gpt_neox, gpt_neox_in_turn, gptj, bloom, bloom_residual_from_norm,
    mpt, falcon, falcon_40b, falcon_rw, gemma2, cohere, olmo2, glm, glm4, mixtral, qwen2_moe, qwen3_moe, deepseek_v3,
    deepseek_v3_direct_queries, deepseek_v3_dense,
)  # fmt: skip
