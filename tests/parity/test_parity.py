"""Llama and GPT-2 equal transformers' own: logits to 1e-5, loss, and every gradient to 1e-4 of its norm.

Sizes are chosen to break lazy code: heads that are no power of two, fewer key heads, an odd vocabulary that gets padded.
"""

from __future__ import annotations

import pytest
import torch

from tests.parity.reference import interleave, logits_and_gradients

VOCAB, LENGTH = 131, 19


def llama():
    import transformers  # here: importing it takes long, and collecting tests should not

    config = transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
        max_position_embeddings=64, rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=False, attn_implementation="eager")  # fmt: skip
    argv = ["--num-layers", "3", "--hidden-size", "48", "--ffn-hidden-size", "80", "--num-attention-heads", "6",
            "--num-query-groups", "2", "--normalization", "rmsnorm", "--norm-epsilon", "1e-6", "--activation", "swiglu",
            "--position-embedding-type", "rope", "--untie-embeddings-and-output-weights"]  # fmt: skip

    def names(state):
        weights = {"embedding.word_embeddings.weight": state["model.embed_tokens.weight"],
                   "decoder.final_layernorm.weight": state["model.norm.weight"],
                   "output_layer.weight": state["lm_head.weight"]}  # fmt: skip
        for layer in range(3):
            theirs, ours = f"model.layers.{layer}.", f"decoder.layers.{layer}."
            query, key, value = (state[f"{theirs}self_attn.{part}_proj.weight"] for part in "qkv")
            weights |= {
                f"{ours}input_layernorm.weight": state[f"{theirs}input_layernorm.weight"],
                f"{ours}self_attention.linear_qkv.weight": interleave(query, key, value, 2),
                f"{ours}self_attention.linear_proj.weight": state[f"{theirs}self_attn.o_proj.weight"],
                f"{ours}pre_mlp_layernorm.weight": state[f"{theirs}post_attention_layernorm.weight"],
                f"{ours}mlp.linear_fc1.weight": torch.cat([state[f"{theirs}mlp.{part}_proj.weight"] for part in ("gate", "up")]),
                f"{ours}mlp.linear_fc2.weight": state[f"{theirs}mlp.down_proj.weight"],
            }
        return weights

    return transformers.LlamaForCausalLM(config), argv, names


def gpt2():
    import transformers

    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_embd=36, n_layer=2, n_head=3, n_positions=40, activation_function="gelu", resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, attn_implementation="eager")  # fmt: skip
    argv = ["--num-layers", "2", "--hidden-size", "36", "--num-attention-heads", "3", "--normalization", "layernorm",
            "--activation", "gelu", "--position-embedding-type", "learned_absolute", "--max-position-embeddings", "40",
            "--add-bias-linear"]  # fmt: skip

    def names(state):
        weights = {"embedding.word_embeddings.weight": state["transformer.wte.weight"],
                   "embedding.position_embeddings.weight": state["transformer.wpe.weight"],
                   "decoder.final_layernorm.weight": state["transformer.ln_f.weight"],
                   "decoder.final_layernorm.bias": state["transformer.ln_f.bias"]}  # fmt: skip
        pairs = {"input_layernorm": "ln_1", "self_attention.linear_proj": "attn.c_proj", "pre_mlp_layernorm": "ln_2",
                 "mlp.linear_fc1": "mlp.c_fc", "mlp.linear_fc2": "mlp.c_proj"}  # fmt: skip
        for layer in range(2):
            theirs, ours = f"transformer.h.{layer}.", f"decoder.layers.{layer}."
            for mine, other in pairs.items():
                # GPT-2's Conv1D keeps its matrices transposed.
                weights[f"{ours}{mine}.weight"] = (
                    state[f"{theirs}{other}.weight"].T if "linear" in mine else state[f"{theirs}{other}.weight"]
                )
                weights[f"{ours}{mine}.bias"] = state[f"{theirs}{other}.bias"]
            weights[f"{ours}self_attention.linear_qkv.weight"] = interleave(
                *state[f"{theirs}attn.c_attn.weight"].T.chunk(3), groups=3
            )
            weights[f"{ours}self_attention.linear_qkv.bias"] = interleave(*state[f"{theirs}attn.c_attn.bias"].chunk(3), groups=3)
        return weights

    return transformers.GPT2LMHeadModel(config), argv, names


def padded(weights):
    """The embedding's rows go up to a multiple of 128."""
    return {name: torch.nn.functional.pad(tensor, (0, 0, 0, 256 - VOCAB)) if tensor.shape[0] == VOCAB else tensor
            for name, tensor in weights.items()}  # fmt: skip


@pytest.mark.parametrize("family", [llama, gpt2])
def test_equals_transformers(family, pool):
    torch.manual_seed(0)
    reference, argv, names = family()
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # norms and biases too
    tokens = torch.randint(0, VOCAB, (2, LENGTH + 1))
    theirs = reference.eval()(tokens[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(theirs.flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    argv = [*argv, "--seq-length", str(LENGTH), "--tokenizer-type", "null", "--vocab-size", str(VOCAB)]
    weights = padded(names({name: tensor.detach() for name, tensor in reference.state_dict().items()}))
    ours, our_loss, gradients = pool.run(logits_and_gradients, 1, argv, weights, tokens)[0]
    assert (ours - theirs).abs().max() <= 1e-5
    assert our_loss == pytest.approx(loss.item(), rel=1e-6)
    expected = padded(names({name: parameter.grad for name, parameter in reference.named_parameters()}))
    total = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
    for name, gradient in expected.items():
        assert (gradients[name] - gradient).norm() <= 1e-4 * max(gradient.norm(), 1e-3 * total), name
