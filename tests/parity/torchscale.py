"""torchscale's decoder, our flags for it, and how its weights map to ours (see families.py)."""

from __future__ import annotations

import pathlib
import sys
from types import ModuleType, SimpleNamespace
from unittest import mock

import torch

from tests.parity.families import VOCAB, flags
from tests.parity.reference import interleave

FOLDER = pathlib.Path(sys.prefix) / "torchscale"


class TorchscaleDecoder(torch.nn.Module):
    def __init__(self, **sizes):
        super().__init__()
        assert FOLDER.is_dir(), f"{FOLDER} is missing: bash tests/run.sh installs it"
        # What it imports of these is for droppable layers and for sharding, which are off.
        absent = {name: ModuleType(name) for name in ("timm", "timm.models", "timm.models.layers", "fairscale", "fairscale.nn")}
        absent["timm.models.layers"].drop_path = absent["fairscale.nn"].checkpoint_wrapper = absent["fairscale.nn"].wrap = None
        with mock.patch.dict(sys.modules, absent), mock.patch.object(sys, "path", [str(FOLDER), *sys.path]):
            from torchscale.architecture.config import DecoderConfig
            from torchscale.architecture.decoder import Decoder
        words = torch.nn.Embedding(VOCAB, sizes["decoder_embed_dim"])
        self.decoder = Decoder(DecoderConfig(vocab_size=VOCAB, no_scale_embedding=True, **sizes), embed_tokens=words)

    def forward(self, tokens):
        return SimpleNamespace(logits=self.decoder(tokens)[0])


def deepnorm_xpos():
    """DeepNorm's residual after the sublayers, no norm at the end; xPos in interleaved pairs; its own output matrix."""
    sizes = dict(decoder_embed_dim=48, decoder_attention_heads=6, decoder_ffn_embed_dim=80, decoder_layers=3)
    argv = flags("--ffn-hidden-size 80 --normalization layernorm --norm-placement deepnorm --position-embedding-type xpos "
                  "--xpos-scale-base 16 --activation gelu --add-bias-linear --untie-embeddings-and-output-weights")  # fmt: skip

    def names(state):
        weights = {"embedding.word_embeddings.weight": state["decoder.embed_tokens.weight"],
                   "output_layer.weight": state["decoder.output_projection.weight"]}  # fmt: skip
        for layer in range(3):
            theirs, ours = f"decoder.layers.{layer}.", f"decoder.layers.{layer}."
            for kind in ("weight", "bias"):
                parts = (state[f"{theirs}self_attn.{part}_proj.{kind}"] for part in "qkv")
                weights |= {
                    f"{ours}self_attention.linear_qkv.{kind}": interleave(*parts, 6),
                    f"{ours}self_attention.linear_proj.{kind}": state[f"{theirs}self_attn.out_proj.{kind}"],
                    f"{ours}post_self_attn_layernorm.{kind}": state[f"{theirs}self_attn_layer_norm.{kind}"],
                    f"{ours}mlp.linear_fc1.{kind}": state[f"{theirs}ffn.fc1.{kind}"],
                    f"{ours}mlp.linear_fc2.{kind}": state[f"{theirs}ffn.fc2.{kind}"],
                    f"{ours}post_mlp_layernorm.{kind}": state[f"{theirs}final_layer_norm.{kind}"],
                }
        return weights

    return TorchscaleDecoder(deepnorm=True, xpos_rel_pos=True, xpos_scale_base=16, **sizes), argv, names
