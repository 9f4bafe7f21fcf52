"""Small models of transformers' in sizes that break lazy code, our flags for them, and how their weights map to ours.

Heads that are no power of two, fewer key heads, heads whose width is not hidden / heads, an odd vocabulary that gets padded,
samples longer than a window.
"""

from __future__ import annotations

import torch

from tests.parity.reference import interleave

VOCAB, LENGTH = 131, 19
SMALL = dict(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, num_attention_heads=6, attn_implementation="eager")


def flags(line: str) -> list[str]:
    return ["--num-layers", "3", "--hidden-size", "48", "--num-attention-heads", "6", *line.split()]


def _llama_like(state, groups: int, untied: bool = True) -> dict[str, torch.Tensor]:
    """The names that most families share; biases of the projections and norms of heads where they are there."""
    weights = {"embedding.word_embeddings.weight": state["model.embed_tokens.weight"],
               "decoder.final_layernorm.weight": state["model.norm.weight"]}  # fmt: skip
    if untied:
        weights["output_layer.weight"] = state["lm_head.weight"]
    for layer in range(3):
        theirs, ours = f"model.layers.{layer}.", f"decoder.layers.{layer}."
        for kind in ("weight", "bias"):
            if f"{theirs}self_attn.k_proj.{kind}" in state:
                parts = (state[f"{theirs}self_attn.{part}_proj.{kind}"] for part in "qkv")
                weights[f"{ours}self_attention.linear_qkv.{kind}"] = interleave(*parts, groups)
        for part in "qk":
            if f"{theirs}self_attn.{part}_norm.weight" in state:
                weights[f"{ours}self_attention.{part}_layernorm.weight"] = state[f"{theirs}self_attn.{part}_norm.weight"]
        weights |= {
            f"{ours}input_layernorm.weight": state[f"{theirs}input_layernorm.weight"],
            f"{ours}self_attention.linear_proj.weight": state[f"{theirs}self_attn.o_proj.weight"],
            f"{ours}pre_mlp_layernorm.weight": state[f"{theirs}post_attention_layernorm.weight"],
            f"{ours}mlp.linear_fc1.weight": torch.cat([state[f"{theirs}mlp.{part}_proj.weight"] for part in ("gate", "up")]),
            f"{ours}mlp.linear_fc2.weight": state[f"{theirs}mlp.down_proj.weight"],
        }
    return weights


LLAMA = dict(intermediate_size=80, num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-6,
             rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, tie_word_embeddings=False)  # fmt: skip
LLAMA_FLAGS = ("--ffn-hidden-size 80 --num-query-groups 2 --normalization rmsnorm --norm-epsilon 1e-6 --activation swiglu "
               "--position-embedding-type rope --untie-embeddings-and-output-weights")  # fmt: skip


def llama():
    import transformers  # here: importing it takes long, and collecting tests should not

    config = transformers.LlamaConfig(**SMALL, **LLAMA)
    return transformers.LlamaForCausalLM(config), flags(LLAMA_FLAGS), lambda state: _llama_like(state, 2)


def mistral():
    """A window shorter than the sample."""
    import transformers

    config = transformers.MistralConfig(**SMALL, **LLAMA, sliding_window=5)
    argv = flags(f"{LLAMA_FLAGS} --attention-pattern sliding_window --sliding-window 5")
    return transformers.MistralForCausalLM(config), argv, lambda state: _llama_like(state, 2)


def qwen2():
    """Biases in the query, key and value projection alone, another base of the rotation."""
    import transformers

    config = transformers.Qwen2Config(**SMALL, **LLAMA | {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}})
    argv = flags(f"{LLAMA_FLAGS} --add-qkv-bias --rotary-base 500")
    return transformers.Qwen2ForCausalLM(config), argv, lambda state: _llama_like(state, 2)


def qwen3():
    """Norms on queries and keys, heads wider than hidden / heads."""
    import transformers

    config = transformers.Qwen3Config(**SMALL, **LLAMA, head_dim=12)
    argv = flags(f"{LLAMA_FLAGS} --qk-layernorm --kv-channels 12")
    return transformers.Qwen3ForCausalLM(config), argv, lambda state: _llama_like(state, 2)


def smollm3():
    """No positions in any layer."""
    import transformers

    config = transformers.SmolLM3Config(**SMALL, **LLAMA, no_rope_layers=[0, 0, 0], pad_token_id=None)
    argv = flags(LLAMA_FLAGS.replace("--position-embedding-type rope", "--position-embedding-type none"))
    return transformers.SmolLM3ForCausalLM(config), argv, lambda state: _llama_like(state, 2)


def _gpt2_like(state, layers: int, transposed: bool, qkv) -> dict[str, torch.Tensor]:
    """`qkv` puts a fused projection's rows in our order; GPT-2's Conv1D keeps its matrices transposed."""
    weights = {"embedding.word_embeddings.weight": state["transformer.wte.weight"],
               "embedding.position_embeddings.weight": state["transformer.wpe.weight"],
               "decoder.final_layernorm.weight": state["transformer.ln_f.weight"],
               "decoder.final_layernorm.bias": state["transformer.ln_f.bias"]}  # fmt: skip
    pairs = {"input_layernorm": "ln_1", "self_attention.linear_qkv": "attn.c_attn", "self_attention.linear_proj": "attn.c_proj",
             "pre_mlp_layernorm": "ln_2", "mlp.linear_fc1": "mlp.c_fc", "mlp.linear_fc2": "mlp.c_proj"}  # fmt: skip
    for layer in range(layers):
        theirs, ours = f"transformer.h.{layer}.", f"decoder.layers.{layer}."
        for mine, other in pairs.items():
            for kind in ("weight", "bias"):
                tensor = state[f"{theirs}{other}.{kind}"]
                tensor = tensor.T if transposed and kind == "weight" and "linear" in mine else tensor
                weights[f"{ours}{mine}.{kind}"] = qkv(tensor) if "qkv" in mine else tensor
    return weights


def gpt2():
    import transformers

    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_embd=36, n_layer=2, n_head=3, n_positions=40, activation_function="gelu", resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, attn_implementation="eager")  # fmt: skip
    argv = ["--num-layers", "2", "--hidden-size", "36", "--num-attention-heads", "3", "--normalization", "layernorm",
            "--activation", "gelu", "--position-embedding-type", "learned_absolute", "--max-position-embeddings", "40",
            "--add-bias-linear"]  # fmt: skip
    return (
        transformers.GPT2LMHeadModel(config),
        argv,
        lambda state: _gpt2_like(state, 2, True, lambda rows: interleave(*rows.chunk(3), groups=3)),
    )


def gpt_bigcode():
    """One head of keys and values for all queries."""
    import transformers

    config = transformers.GPTBigCodeConfig(
        vocab_size=VOCAB, n_embd=36, n_layer=2, n_head=3, n_positions=40, multi_query=True, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, activation_function="gelu_pytorch_tanh", attn_implementation="eager")  # fmt: skip
    argv = ["--num-layers", "2", "--hidden-size", "36", "--num-attention-heads", "3", "--num-query-groups", "1",
            "--normalization", "layernorm", "--activation", "gelu_tanh", "--position-embedding-type", "learned_absolute",
            "--max-position-embeddings", "40", "--add-bias-linear"]  # fmt: skip
    return transformers.GPTBigCodeForCausalLM(config), argv, lambda state: _gpt2_like(state, 2, False, lambda rows: rows)


NEOX_NAMES = {"input_layernorm": "input_layernorm", "self_attention.linear_qkv": "attention.query_key_value",
              "self_attention.linear_proj": "attention.dense", "pre_mlp_layernorm": "post_attention_layernorm",
              "mlp.linear_fc1": "mlp.dense_h_to_4h", "mlp.linear_fc2": "mlp.dense_4h_to_h"}  # fmt: skip


def _renamed(state, theirs: str, outer: dict[str, str], inner: dict[str, str]) -> dict[str, torch.Tensor]:
    """Weights and biases, where they are there, under our names; heads' rows of query, key and value lie head by head already."""
    pairs = dict(outer)
    for layer in range(3):
        pairs |= {f"decoder.layers.{layer}.{ours}": f"{theirs}.{layer}.{other}" for ours, other in inner.items()}
    return {
        f"{ours}.{kind}": state[f"{other}.{kind}"]
        for ours, other in pairs.items()
        for kind in ("weight", "bias")
        if f"{other}.{kind}" in state
    }


def gpt_neox(parallel: bool = True):
    """Attention and MLP side by side with two norms, a quarter of the channels rotated."""
    import transformers

    config = transformers.GPTNeoXConfig(
        **SMALL, intermediate_size=80, max_position_embeddings=64, use_parallel_residual=parallel, hidden_act="gelu",
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25})  # fmt: skip
    argv = flags("--ffn-hidden-size 80 --normalization layernorm --activation gelu --position-embedding-type rope "
                  "--rotary-percent 0.25 --add-bias-linear --untie-embeddings-and-output-weights"
                  + (" --parallel-residual" if parallel else ""))  # fmt: skip
    outer = {"embedding.word_embeddings": "gpt_neox.embed_in", "decoder.final_layernorm": "gpt_neox.final_layer_norm",
             "output_layer": "lm_head"}  # fmt: skip
    reference = transformers.GPTNeoXForCausalLM(config)
    return reference, argv, lambda state: _renamed(state, "gpt_neox.layers", outer, NEOX_NAMES)


def gpt_neox_in_turn():
    return gpt_neox(parallel=False)


def gptj():
    """Side by side with one norm, neighbouring channels rotated, biases in the MLP and on the logits alone."""
    import transformers

    config = transformers.GPTJConfig(
        vocab_size=VOCAB, n_embd=48, n_layer=3, n_head=6, n_positions=64, rotary_dim=4, n_inner=80, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, tie_word_embeddings=False, attn_implementation="eager")  # fmt: skip
    argv = flags("--ffn-hidden-size 80 --normalization layernorm --activation gelu_tanh --position-embedding-type rope "
                  "--rotary-percent 0.5 --rotary-interleaved --parallel-residual --share-parallel-norm --add-mlp-bias "
                  "--add-output-bias --untie-embeddings-and-output-weights")  # fmt: skip
    outer = {"embedding.word_embeddings": "transformer.wte", "decoder.final_layernorm": "transformer.ln_f",
             "output_layer": "lm_head"}  # fmt: skip
    inner = {"input_layernorm": "ln_1", "self_attention.linear_proj": "attn.out_proj", "mlp.linear_fc1": "mlp.fc_in",
             "mlp.linear_fc2": "mlp.fc_out"}  # fmt: skip

    def names(state):
        weights = _renamed(state, "transformer.h", outer, inner)
        for layer in range(3):
            parts = (state[f"transformer.h.{layer}.attn.{part}_proj.weight"] for part in "qkv")
            weights[f"decoder.layers.{layer}.self_attention.linear_qkv.weight"] = interleave(*parts, 6)
        return weights

    return transformers.GPTJForCausalLM(config), argv, names


BLOOM_NAMES = NEOX_NAMES | {"self_attention.linear_qkv": "self_attention.query_key_value",
                            "self_attention.linear_proj": "self_attention.dense"}  # fmt: skip


def bloom(from_norm: bool = False):
    """ALiBi with six heads, a norm on the embedding, tied; its gelu is the tanh form."""
    import transformers

    config = transformers.BloomConfig(
        vocab_size=VOCAB, hidden_size=48, n_layer=3, n_head=6, hidden_dropout=0.0, attention_dropout=0.0,
        apply_residual_connection_post_layernorm=from_norm, attn_implementation="eager")  # fmt: skip
    argv = flags("--normalization layernorm --activation gelu_tanh --position-embedding-type alibi --add-bias-linear "
                  "--embedding-norm" + (" --apply-residual-connection-post-layernorm" if from_norm else ""))  # fmt: skip
    outer = {"embedding.word_embeddings": "transformer.word_embeddings", "decoder.final_layernorm": "transformer.ln_f",
             "embedding.norm": "transformer.word_embeddings_layernorm"}  # fmt: skip
    reference = transformers.BloomForCausalLM(config)
    return reference, argv, lambda state: _renamed(state, "transformer.h", outer, BLOOM_NAMES)


def bloom_residual_from_norm():
    return bloom(from_norm=True)


def mpt():
    """ALiBi, no bias anywhere, norms neither."""
    import transformers

    config = transformers.MptConfig(
        vocab_size=VOCAB, d_model=48, n_layers=3, n_heads=6, max_seq_len=64, attn_implementation="eager"
    )
    argv = flags("--ffn-hidden-size 192 --normalization layernorm --no-norm-bias --activation gelu "
                  "--position-embedding-type alibi")  # fmt: skip
    outer = {"embedding.word_embeddings": "transformer.wte", "decoder.final_layernorm": "transformer.norm_f"}
    inner = {"input_layernorm": "norm_1", "self_attention.linear_proj": "attn.out_proj", "pre_mlp_layernorm": "norm_2",
             "mlp.linear_fc1": "ffn.up_proj", "mlp.linear_fc2": "ffn.down_proj"}  # fmt: skip

    def names(state):
        weights = _renamed(state, "transformer.blocks", outer, inner)
        for layer in range(3):
            rows = state[f"transformer.blocks.{layer}.attn.Wqkv.weight"].chunk(3)
            weights[f"decoder.layers.{layer}.self_attention.linear_qkv.weight"] = interleave(*rows, groups=6)
        return weights

    return transformers.MptForCausalLM(config), argv, names


def falcon(new: bool = False, alibi: bool = False):
    """7B: side by side with one norm, one head of keys; 40B: two norms, groups; RW: ALiBi that is scaled, one after the other."""
    import transformers

    # Its eager attention adds ALiBi's bias twice (transformers 5.23): in the mask, and to the scores.
    config = transformers.FalconConfig(
        **SMALL | {"attn_implementation": "sdpa"}, new_decoder_architecture=new, num_kv_heads=6 if alibi else 2,
        multi_query=not alibi, parallel_attn=not alibi, alibi=alibi,
        bias=alibi, hidden_dropout=0.0, attention_dropout=0.0,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})  # fmt: skip
    shape = (
        "--position-embedding-type alibi --alibi-scale-by-head-dim --add-bias-linear"
        if alibi
        else f"--parallel-residual --num-query-groups {2 if new else 1}" + ("" if new else " --share-parallel-norm")
    )
    argv = flags(f"--normalization layernorm --activation gelu {shape}")
    outer = {"embedding.word_embeddings": "transformer.word_embeddings", "decoder.final_layernorm": "transformer.ln_f"}
    inner = BLOOM_NAMES | ({"input_layernorm": "ln_attn", "pre_mlp_layernorm": "ln_mlp"} if new else {})
    reference = transformers.FalconForCausalLM(config)
    return reference, argv, lambda state: _renamed(state, "transformer.h", outer, inner)


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
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})  # fmt: skip
    argv = flags("--ffn-hidden-size 80 --num-query-groups 2 --kv-channels 12 --normalization rmsnorm --norm-epsilon 1e-6 "
                  "--apply-layernorm-1p --norm-placement sandwich --activation geglu_tanh --attention-pattern sliding_window "
                  "causal --sliding-window 5 --attn-logit-softcapping 3 --final-logit-softcapping 2 "
                  f"--softmax-scale {20**-0.5} --embedding-scale {48**0.5}")  # fmt: skip

    def names(state):
        weights = _llama_like(state, 2, untied=False)
        for layer in range(3):
            theirs, ours = f"model.layers.{layer}.", f"decoder.layers.{layer}."
            weights[f"{ours}post_self_attn_layernorm.weight"] = state[f"{theirs}post_attention_layernorm.weight"]
            weights[f"{ours}pre_mlp_layernorm.weight"] = state[f"{theirs}pre_feedforward_layernorm.weight"]
            weights[f"{ours}post_mlp_layernorm.weight"] = state[f"{theirs}post_feedforward_layernorm.weight"]
        return weights

    return transformers.Gemma2ForCausalLM(config), argv, names


def cohere():
    """Side by side with one norm without a bias, neighbouring channels rotated, logits scaled, tied."""
    import transformers

    config = transformers.CohereConfig(
        **SMALL, intermediate_size=80, num_key_value_heads=2, max_position_embeddings=64, logit_scale=0.3,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})  # fmt: skip
    argv = flags("--ffn-hidden-size 80 --num-query-groups 2 --normalization layernorm --no-norm-bias --activation swiglu "
                  "--position-embedding-type rope --rotary-interleaved --parallel-residual --share-parallel-norm "
                  "--logit-scale 0.3")  # fmt: skip

    def names(state):
        state = state | {f"model.layers.{layer}.post_attention_layernorm.weight": torch.empty(0) for layer in range(3)}
        weights = _llama_like(state, 2, untied=False)
        return {name: tensor for name, tensor in weights.items() if "pre_mlp_layernorm" not in name}

    return transformers.CohereForCausalLM(config), argv, names


def olmo2():
    """Norms behind the sublayers, and one on queries and keys over all heads together."""
    import transformers

    config = transformers.Olmo2Config(**SMALL, **LLAMA, head_dim=12)
    argv = flags(f"{LLAMA_FLAGS} --kv-channels 12 --norm-placement reordered --qk-layernorm --qk-layernorm-across-heads")

    def names(state):
        state = state | {f"model.layers.{layer}.input_layernorm.weight": torch.empty(0) for layer in range(3)}
        weights = {name: tensor for name, tensor in _llama_like(state, 2).items() if tensor.numel()}
        for layer in range(3):
            theirs, ours = f"model.layers.{layer}.", f"decoder.layers.{layer}."
            del weights[f"{ours}pre_mlp_layernorm.weight"]
            weights[f"{ours}post_self_attn_layernorm.weight"] = state[f"{theirs}post_attention_layernorm.weight"]
            weights[f"{ours}post_mlp_layernorm.weight"] = state[f"{theirs}post_feedforward_layernorm.weight"]
        return weights

    return transformers.Olmo2ForCausalLM(config), argv, names


def deepseek_v3(query_rank: int | None = 20, value: int = 14):
    """Dense: multi-head latent attention, neighbouring channels rotated. Here values are narrower than keys."""
    import transformers

    # The norms on the short vectors have 1e-6 whatever the configuration says.
    config = transformers.DeepseekV3Config(
        **SMALL, **LLAMA | {"num_key_value_heads": 6}, first_k_dense_replace=3, num_mtp_layers=0, q_lora_rank=query_rank,
        kv_lora_rank=28, qk_nope_head_dim=10, qk_rope_head_dim=6, v_head_dim=value)  # fmt: skip
    argv = flags(f"{LLAMA_FLAGS} --rotary-interleaved --num-query-groups 6 --multi-latent-attention --kv-lora-rank 28 "
                 f"--qk-head-dim 10 --qk-pos-emb-head-dim 6 --v-head-dim {value}"
                 + (f" --q-lora-rank {query_rank}" if query_rank else ""))  # fmt: skip
    parts = {"linear_q_proj": "q_proj", "linear_q_down_proj": "q_a_proj", "q_layernorm": "q_a_layernorm",
             "linear_q_up_proj": "q_b_proj", "linear_kv_down_proj": "kv_a_proj_with_mqa", "kv_layernorm": "kv_a_layernorm",
             "linear_kv_up_proj": "kv_b_proj"}  # fmt: skip

    def names(state):
        weights = _llama_like(state, 6)
        for layer in range(3):
            theirs, ours = f"model.layers.{layer}.self_attn.", f"decoder.layers.{layer}.self_attention."
            pairs = {f"{ours}{part}.weight": f"{theirs}{other}.weight" for part, other in parts.items()}
            weights |= {name: state[other] for name, other in pairs.items() if other in state}
        return weights

    return transformers.DeepseekV3ForCausalLM(config), argv, names


def deepseek_v3_direct_queries():
    """Queries straight from the hidden states, as in DeepSeek-V2-Lite. Here values are wider than keys."""
    return deepseek_v3(query_rank=None, value=22)


FAMILIES = (
    llama, mistral, qwen2, qwen3, smollm3, gpt2, gpt_bigcode, gpt_neox, gpt_neox_in_turn, gptj, bloom, bloom_residual_from_norm,
    mpt, falcon, falcon_40b, falcon_rw, gemma2, cohere, olmo2, deepseek_v3, deepseek_v3_direct_queries,
)  # fmt: skip
