"""An encoder's and a decoder's layers in one stack, over two stretches of tokens that lie one behind the other: `[s + s', b, h]`.

The encoder's layers change the first stretch alone, the decoder's, which come after them, the second, and look at the first. So
pipeline stages pass one tensor of one shape wherever the stack is cut, and megatron-core's block, schedules and checkpoints by
layer serve a model of two stacks as they serve one. Under sequence parallelism each process holds its share of both stretches.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from megatron.core.transformer.identity_op import IdentityOp

from megatron_ext.models.attention.tokens import Tokens
from megatron_ext.models.cache import Cache
from megatron_ext.models.config import NORMS, ModelConfig
from megatron_ext.models.layer import Layer, final_norm, norms_after, norms_before


class Stretches(NamedTuple):
    """Where the tokens of a pass lie: of the encoder, of the decoder (None: one document each row, from position 0 on), and the
    decoder's among the encoder's.
    """

    encoder: Tokens
    decoder: Tokens | None
    across: Tokens

    @classmethod
    def reading(cls, cache: Cache, length: int) -> Stretches:
        """Of the tokens that were announced to a cache, behind `length` of the encoder: all in the first pass, then none."""
        encoder = Tokens.whole(length, cache.documents.device, cache.documents if length else None)
        return cls(encoder, cache.tokens, cache.across)

    def parts(self, hidden_states: torch.Tensor, config: ModelConfig) -> tuple[torch.Tensor, torch.Tensor]:
        """Both stretches of what is here of `[s + s', b, …]`."""
        own = self.encoder.keys // (config.tensor_model_parallel_size if config.sequence_parallel else 1)
        return hidden_states[:own], hidden_states[own:]

    def of_rotation(self, rotation) -> tuple:
        """Both stretches of what rotates queries and keys, `[s + s', …]`, whole on every process; or of None."""
        if rotation is None:
            return None, None
        return rotation[: self.encoder.keys], rotation[self.encoder.keys :]


class EncoderLayer(Layer):
    """The last one has the encoder's final norm behind it."""

    def __init__(self, config: ModelConfig, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        final = final_norm(config) if self.layer_number == config.encoder_layers else None
        self.final_layernorm = IdentityOp() if final is None else final(config, config.hidden_size, config.layernorm_epsilon)

    def forward(self, hidden_states, attention_bias: Stretches = None, rotary_pos_emb=None, **kwargs):
        encoder, decoder = attention_bias.parts(hidden_states, self.config)
        if not len(encoder):  # read in an earlier pass, and kept by the decoder
            return hidden_states, None
        rotation, _ = attention_bias.of_rotation(rotary_pos_emb)
        settings = dict(attention_bias=attention_bias.encoder, rotary_pos_emb=rotation, inference_context=None)
        found, _ = super().forward(encoder, **kwargs | settings)
        return torch.cat([self.final_layernorm(found), decoder]), None


class DecoderLayer(Layer):
    """Self-attention, cross attention, MLP."""

    def __init__(self, config: ModelConfig, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        norm = functools.partial(NORMS.load(config.norm).Norm, config, config.hidden_size, config.layernorm_epsilon)
        self.pre_cross_attn_layernorm = norm() if norms_before(config) else IdentityOp()
        self.post_cross_attn_layernorm = norm() if norms_after(config) else IdentityOp()

    def forward(self, hidden_states, attention_bias: Stretches = None, rotary_pos_emb=None, **kwargs):
        encoder, decoder = attention_bias.parts(hidden_states, self.config)
        _, rotation = attention_bias.of_rotation(rotary_pos_emb)
        across = {"key_value_states": encoder, "attention_bias": attention_bias.across}
        settings = dict(attention_bias=attention_bias.decoder, rotary_pos_emb=rotation, across=across)
        found, _ = super().forward(decoder, **kwargs | settings)
        return torch.cat([encoder, found]), None

    def _sublayers(self, kwargs):
        attend, *rest = super()._sublayers(kwargs)
        yield attend
        settings = dict(attention_mask=None, inference_context=kwargs.get("inference_context"))
        look = functools.partial(self.cross_attention, **settings, **kwargs["across"])
        yield look, self.pre_cross_attn_layernorm, self.post_cross_attn_layernorm
        yield from rest
