"""A transformer layer whose norms and residuals are where the flags put them.

megatron-core's own layer is pre-norm, one sublayer after the other; this one also puts norms elsewhere (`norm_placements/`), and
attention and MLP side by side: x + attention(norm(x)) + mlp(norm′(x)), with one norm for both or two (GPT-J; GPT-NeoX,
arXiv:2204.06745; PaLM, arXiv:2204.02311). `--parallel-residual`, `--share-parallel-norm`
"""

from __future__ import annotations

import functools

from megatron.core.transformer.identity_op import IdentityOp
from megatron.core.transformer.transformer_layer import TransformerLayer
from megatron.core.utils import make_viewless_tensor

from megatron_ext.arguments.registry import Registry
from megatron_ext.models.config import NORMS

_FOR_ATTENTION = (
    "attention_mask", "key_value_states", "inference_context", "rotary_pos_emb", "attention_bias", "packed_seq_params"
)  # fmt: skip
PLACEMENTS = Registry("megatron_ext.models.norm_placements")


def norms_before(config) -> bool:
    """Whether sublayers have a norm on what goes in."""
    return PLACEMENTS.load(config.norm_placement).BEFORE or config.residual_from_norm


def norms_after(config) -> bool:
    placement = PLACEMENTS.load(config.norm_placement)
    return placement.AFTER and not (config.residual_from_norm and not placement.BEFORE)


def final_norm(config):
    """The class of the norm after the last layer, or None."""
    wanted = PLACEMENTS.load(config.norm_placement).FINAL or config.residual_from_norm
    return NORMS.load(config.norm).Norm if wanted else None


class Layer(TransformerLayer):
    """Input and output `[s, b, h]`."""

    def __init__(self, config, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        self.placement = PLACEMENTS.load(config.norm_placement)
        norm = functools.partial(NORMS.load(config.norm).Norm, config, config.hidden_size, config.layernorm_epsilon)
        after = norms_after(config)
        self.post_self_attn_layernorm = norm() if after else IdentityOp()
        self.post_mlp_layernorm = norm() if after else IdentityOp()

    def forward(self, hidden_states, **kwargs):
        if self.config.parallel_residual:
            output = self._side_by_side(hidden_states, functools.partial(self._attend, kwargs))
        else:
            output, alpha = hidden_states, self.config.deepnorm_alphas[self.config.in_encoder(self.layer_number)]
            for sublayer, before, after in self._sublayers(kwargs):
                output = self.placement.sublayer(output, sublayer, before, after, self._add, self.config, alpha)
        return make_viewless_tensor(inp=output, requires_grad=output.requires_grad, keep_graph=True), None

    def _sublayers(self, kwargs):
        """What one after the other does, each with the norms before and after it."""
        yield functools.partial(self._attend, kwargs), self.input_layernorm, self.post_self_attn_layernorm
        yield self.mlp, self.pre_mlp_layernorm, self.post_mlp_layernorm

    def _side_by_side(self, hidden_states, attend):
        normed = self.input_layernorm(hidden_states)
        for_mlp = normed if self.config.share_parallel_norm else self.pre_mlp_layernorm(hidden_states)
        return self._add(self.mlp(for_mlp), self._add(attend(normed), hidden_states))

    def _attend(self, kwargs, hidden_states):
        return self.self_attention(hidden_states, **{name: kwargs.get(name) for name in _FOR_ATTENTION})

    def _add(self, output_with_bias, residual):
        with self.bias_dropout_add_exec_handler():
            add = self.self_attn_bda(self.training, self.config.bias_dropout_fusion)
            return add(output_with_bias, residual, self.hidden_dropout)
