"""Flags of norms, residuals and biases, and of what stands before the first layer and after the last (in the model's group)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from megatron_ext.arguments.flags import flag
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry

# What Transformer Engine's layers have.
_PLAIN = {"norm_placement": "pre", "apply_residual_connection_post_layernorm": False, "parallel_residual": False,
          "norm_bias": True, "activation_dropout": 0.0}  # fmt: skip


def plain_layers(values: Mapping[str, Any]) -> bool:
    """Whether a layer is what megatron-core's own is: pre-norm, one sublayer after the other, the same biases everywhere,
    norms on heads one by one.

    An encoder with a decoder has layers of its own, xPos rotates in its own way, Transformer-XL's layers show attention their
    input twice, and latent attention is our own.

    Args: values: of all flags by name.
    """
    biases = {values[name] for name in ("add_bias_linear", "add_attention_output_bias", "add_mlp_bias")}
    same = all(values[name] == plain for name, plain in _PLAIN.items()) and not values["qk_layernorm_across_heads"]
    own = values["position_embedding_type"] in ("xpos", "transformer_xl") or values["multi_latent_attention"]
    return same and len(biases) == 1 and not own and values["architecture"] != "encoder_decoder"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualFlags:
    normalization: str = flag("rmsnorm", "the norm", choices=Registry("megatron_ext.models.norms"))
    norm_epsilon: float = flag(1e-5, "added to the variance in a norm", positive=True)
    apply_layernorm_1p: bool = flag(False, "norms multiply by 1 + weight, and weights start at 0: finer in 16 bits")
    norm_bias: bool = flag(True, "a bias in norms that have one (layernorm)")
    norm_placement: str = flag("pre", "where norms stand in a layer", choices=Registry("megatron_ext.models.norm_placements"))
    deepnorm_alpha: float | None = flag(None, "weight of the residual in deepnorm [(2 · layers)^¼]", positive=True)
    deepnorm_beta: float | None = flag(
        None, "gain of values', outputs' and MLPs' matrices at deepnorm's start [(8 · layers)^(−¼)]", positive=True
    )
    apply_residual_connection_post_layernorm: bool = flag(False, "the residual is the normed input (BLOOM, GLM-130B)")
    parallel_residual: bool = flag(False, "attention and MLP side by side, both added to the layer's input")
    share_parallel_norm: bool = flag(False, "… with one norm for both")
    add_bias_linear: bool = flag(False, "biases in all linear layers")
    add_qkv_bias: bool = flag(False, "a bias in the query, key and value projection alone")
    add_attention_output_bias: bool | None = flag(None, "a bias in attention's output projection [--add-bias-linear]")
    add_mlp_bias: bool | None = flag(None, "biases in the MLP [--add-bias-linear]")
    add_output_bias: bool = flag(False, "a bias on the logits (GPT-J)")
    embedding_norm: bool = flag(False, "a norm on the tokens' vectors (BLOOM)")
    embedding_scale: float | None = flag(None, "the tokens' vectors are multiplied by this (Gemma: √hidden) [1]", positive=True)
    logit_scale: float | None = flag(None, "the logits are multiplied by this (Cohere) [1]", positive=True)
    final_logit_softcapping: float | None = flag(None, "cap the logits: cap · tanh(logit / cap) (Gemma 2)", positive=True)

    @staticmethod
    def resolve_residual(c):
        for name in ("add_attention_output_bias", "add_mlp_bias"):
            if getattr(c, name) is None:
                setattr(c, name, c.add_bias_linear)

    @staticmethod
    def check_residual(c):
        for option, value in (("--deepnorm-alpha", c.deepnorm_alpha), ("--deepnorm-beta", c.deepnorm_beta)):
            if value is not None and c.norm_placement != "deepnorm":
                yield Problem(option, value, "belongs to --norm-placement deepnorm", "leave it out")
        if c.apply_residual_connection_post_layernorm and c.norm_placement not in ("pre", "deepnorm"):
            option, given = "--apply-residual-connection-post-layernorm", f"--norm-placement {c.norm_placement}"
            yield Problem(option, None, f"takes the residual from a norm that {given} has not", "use pre or deepnorm")
        if c.parallel_residual and (c.norm_placement != "pre" or c.apply_residual_connection_post_layernorm):
            yield Problem("--parallel-residual", None, "is there for --norm-placement pre alone", "leave one of them out")
        if c.share_parallel_norm and not c.parallel_residual:
            yield Problem("--share-parallel-norm", None, "belongs to --parallel-residual", "add it, or leave this out")
        if not c.norm_bias and c.normalization != "layernorm":
            yield Problem("--no-norm-bias", None, f"has no effect: {c.normalization} has no bias", "leave it out")
        if c.transformer_impl == "transformer_engine":
            for name, plain in _PLAIN.items():
                if getattr(c, name) != plain:
                    option = f"--{name.replace('_', '-')}"
                    value = None if isinstance(getattr(c, name), bool) else getattr(c, name)
                    yield Problem(option, value, "is there in the local layers alone", "use --transformer-impl local, or auto")
            if len({c.add_bias_linear, c.add_attention_output_bias, c.add_mlp_bias}) > 1:
                options = "--add-attention-output-bias and --add-mlp-bias"
                reason = "differ from --add-bias-linear in the local layers alone"
                yield Problem(options, None, reason, "use --transformer-impl local, or auto")
