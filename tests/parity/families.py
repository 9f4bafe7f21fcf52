"""Small models of transformers' in sizes that break lazy code, our flags for them, and how their weights map to ours.

Heads that are no power of two, fewer key heads, heads whose width is not hidden / heads, an odd vocabulary that gets padded,
samples longer than a window.
"""

from __future__ import annotations

import torch

from tests.parity.reference import interleave

VOCAB, LENGTH = 131, 19
SMALL = dict(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, num_attention_heads=6, attn_implementation="eager")


def _flags(line: str) -> list[str]:
    return ["--num-layers", "3", "--hidden-size", "48", "--num-attention-heads", "6", *line.split()]


def _llama_like(state, groups: int) -> dict[str, torch.Tensor]:
    """The names that most families share; biases of the projections and norms of heads where they are there."""
    weights = {"embedding.word_embeddings.weight": state["model.embed_tokens.weight"],
               "decoder.final_layernorm.weight": state["model.norm.weight"],
               "output_layer.weight": state["lm_head.weight"]}  # fmt: skip
    for layer in range(3):
        theirs, ours = f"model.layers.{layer}.", f"decoder.layers.{layer}."
        for kind in ("weight", "bias"):
            if f"{theirs}self_attn.q_proj.{kind}" in state:
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
    return transformers.LlamaForCausalLM(config), _flags(LLAMA_FLAGS), lambda state: _llama_like(state, 2)


def mistral():
    """A window shorter than the sample."""
    import transformers

    config = transformers.MistralConfig(**SMALL, **LLAMA, sliding_window=5)
    argv = _flags(f"{LLAMA_FLAGS} --attention-pattern sliding_window --sliding-window 5")
    return transformers.MistralForCausalLM(config), argv, lambda state: _llama_like(state, 2)


def qwen2():
    """Biases in the query, key and value projection alone."""
    import transformers

    config = transformers.Qwen2Config(**SMALL, **LLAMA)
    return transformers.Qwen2ForCausalLM(config), _flags(f"{LLAMA_FLAGS} --add-qkv-bias"), lambda state: _llama_like(state, 2)


def qwen3():
    """Norms on queries and keys, heads wider than hidden / heads."""
    import transformers

    config = transformers.Qwen3Config(**SMALL, **LLAMA, head_dim=12)
    argv = _flags(f"{LLAMA_FLAGS} --qk-layernorm --kv-channels 12")
    return transformers.Qwen3ForCausalLM(config), argv, lambda state: _llama_like(state, 2)


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


FAMILIES = (llama, mistral, qwen2, qwen3, gpt2, gpt_bigcode)
