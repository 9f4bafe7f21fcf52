"""T5's decoder of transformers', our flags for it, and how its weights map to ours (see families.py)."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from tests.parity.families import VOCAB, flags
from tests.parity.reference import interleave


class T5Decoder(torch.nn.Module):
    """transformers' T5 decoder without an encoder, so without cross attention, and its output matrix."""

    def __init__(self, config):
        super().__init__()
        from transformers.models.t5.modeling_t5 import T5Stack

        self.stack, self.scale = T5Stack(config), config.d_model**-0.5 if config.scale_decoder_outputs else 1.0
        self.output = None if config.scale_decoder_outputs else torch.nn.Linear(config.d_model, config.vocab_size, bias=False)

    def forward(self, tokens):
        output = (self.stack.embed_tokens if self.output is None else self.output).weight
        hidden = self.stack(input_ids=tokens, use_cache=False).last_hidden_state * self.scale
        return SimpleNamespace(logits=hidden @ output.T)


def t5(gated: bool = False):
    """Relative positions by bucket, in one table of all layers; scores undivided, heads wider than hidden / heads, tied."""
    import transformers

    config = transformers.T5Config(
        vocab_size=VOCAB, d_model=48, d_kv=10, d_ff=80, num_layers=3, num_heads=6, relative_attention_num_buckets=9,
        relative_attention_max_distance=13, dropout_rate=0.0, is_decoder=True, is_encoder_decoder=False,
        feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated,
        attn_implementation="eager")  # fmt: skip
    shape = "geglu_tanh --untie-embeddings-and-output-weights" if gated else f"relu --logit-scale {48**-0.5}"
    argv = flags("--ffn-hidden-size 80 --kv-channels 10 --normalization rmsnorm --norm-epsilon 1e-6 --softmax-scale 1 "
                  "--position-embedding-type t5_bias --relative-attention-num-buckets 9 --relative-attention-max-distance 13 "
                  f"--activation {shape}")  # fmt: skip

    def names(state):
        table = "stack.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        weights = {"embedding.word_embeddings.weight": state["stack.embed_tokens.weight"],
                   "decoder.final_layernorm.weight": state["stack.final_layer_norm.weight"],
                   "position_bias.weight": state[table]}  # fmt: skip
        weights |= {"output_layer.weight": state["output.weight"]} if gated else {}
        for layer in range(3):
            theirs, ours = f"stack.block.{layer}.layer.", f"decoder.layers.{layer}."  # its layer 1 is cross attention
            parts = (state[f"{theirs}0.SelfAttention.{part}.weight"] for part in "qkv")
            first = [state[f"{theirs}2.DenseReluDense.{part}.weight"] for part in (("wi_0", "wi_1") if gated else ("wi",))]
            weights |= {
                f"{ours}input_layernorm.weight": state[f"{theirs}0.layer_norm.weight"],
                f"{ours}self_attention.linear_qkv.weight": interleave(*parts, 6),
                f"{ours}self_attention.linear_proj.weight": state[f"{theirs}0.SelfAttention.o.weight"],
                f"{ours}pre_mlp_layernorm.weight": state[f"{theirs}2.layer_norm.weight"],
                f"{ours}mlp.linear_fc1.weight": torch.cat(first),
                f"{ours}mlp.linear_fc2.weight": state[f"{theirs}2.DenseReluDense.wo.weight"],
            }
        return weights

    return T5Decoder(config), argv, names


def t5_v1_1():
    return t5(gated=True)
