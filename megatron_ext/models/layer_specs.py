"""ModuleSpecs: which class stands in each place of a transformer layer.

The local spec takes megatron-core's column- and row-parallel layers with our norm and our core attention; Transformer
Engine's spec is megatron-core's own. Both give the same function and, by `backend/placement.py`, the same parameter names.
"""

from __future__ import annotations

from megatron.core.fusions.fused_bias_dropout import get_bias_dropout_add
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_with_transformer_engine_spec
from megatron.core.tensor_parallel.layers import ColumnParallelLinear, RowParallelLinear
from megatron.core.transformer.attention import CrossAttentionSubmodules, SelfAttentionSubmodules
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.identity_op import IdentityOp
from megatron.core.transformer.mlp import MLP, MLPSubmodules
from megatron.core.transformer.moe.experts import SequentialMLP
from megatron.core.transformer.moe.moe_layer import MoELayer, MoESubmodules
from megatron.core.transformer.moe.shared_experts import SharedExpertMLP
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build
from megatron.core.transformer.transformer_layer import (
    TransformerLayer,
    TransformerLayerSubmodules,
    get_transformer_layer_offset,
)

from megatron_ext.models import activation_dropout
from megatron_ext.models.attention import transformer_xl
from megatron_ext.models.attention.core import CoreAttention
from megatron_ext.models.attention.cross_attention import CrossAttention
from megatron_ext.models.attention.latent import LatentAttention
from megatron_ext.models.attention.norm_across_heads import NormAcrossHeads
from megatron_ext.models.attention.self_attention import SelfAttention
from megatron_ext.models.config import NORMS, ModelConfig
from megatron_ext.models.layer import Layer, final_norm, norms_before
from megatron_ext.models.moe.router import Router
from megatron_ext.models.two_stacks import DecoderLayer, EncoderLayer


def decoder_block_spec(config: ModelConfig, vp_stage: int | None) -> TransformerBlockSubmodules:
    """The layers that this pipeline stage (and virtual stage) holds, and the final norm."""
    first, count = get_transformer_layer_offset(config, vp_stage), get_num_layers_to_build(config, vp_stage=vp_stage)
    layers = [layer_spec(config, config.layers_with_experts[number], number + 1) for number in range(first, first + count)]
    if _by_engine(config):
        from megatron.core.extensions.transformer_engine import TENorm

        return TransformerBlockSubmodules(layer_specs=layers, layer_norm=TENorm)
    return TransformerBlockSubmodules(layer_specs=layers, layer_norm=final_norm(config))


def layer_spec(config: ModelConfig, experts: bool, number: int = 0) -> ModuleSpec:
    """One layer, with experts or a dense MLP; `number`: its place in the stack, from 1."""
    return _engine_layer_spec(config, experts) if _by_engine(config) else local_layer_spec(config, experts, number)


def _by_engine(config: ModelConfig) -> bool:
    return config.layers_impl == "transformer_engine" and config.attention.plain_layers


def _engine_layer_spec(config: ModelConfig, experts: bool) -> ModuleSpec:
    """Transformer Engine's layer; its experts are multiplied in groups, by one kernel for all."""
    layer = get_gpt_layer_with_transformer_engine_spec(
        num_experts=config.num_moe_experts if experts else None, moe_grouped_gemm=experts, qk_layernorm=config.qk_layernorm
    )
    if experts:
        layer.submodules.mlp.submodules.router = Router
    if config.own_attention:
        layer.submodules.self_attention.submodules.core_attention = CoreAttention
    return layer


def local_layer_spec(config: ModelConfig, experts: bool, number: int = 0) -> ModuleSpec:
    """A layer of attention and MLP, or experts: megatron-core's own where that is what the flags ask for, else `layer.Layer`."""
    norm = NORMS.load(config.norm).Norm
    before = norm if norms_before(config) else IdentityOp
    layer, self_attention, core = _classes(config, number)
    return ModuleSpec(
        module=layer,
        submodules=TransformerLayerSubmodules(
            input_layernorm=before,
            self_attention=_attention_spec(config, self_attention, core),
            self_attn_bda=get_bias_dropout_add,
            cross_attention=_cross_attention_spec(config) if layer is DecoderLayer else IdentityOp,
            pre_mlp_layernorm=IdentityOp if config.share_parallel_norm else before,
            mlp=_mlp_spec(config, experts),
            mlp_bda=get_bias_dropout_add,
        ),
    )


def _attention_spec(config: ModelConfig, self_attention: type, core: type) -> ModuleSpec:
    if config.latent is not None:
        return ModuleSpec(module=LatentAttention)
    of_queries, of_keys = _norms_of_heads(config)
    return ModuleSpec(
        module=self_attention,
        params={"attn_mask_type": AttnMaskType.causal},
        submodules=SelfAttentionSubmodules(
            linear_qkv=ColumnParallelLinear,
            core_attention=core,
            linear_proj=_with_bias(RowParallelLinear, config.attention_output_bias),
            q_layernorm=of_queries,
            k_layernorm=of_keys,
        ),
    )


def _cross_attention_spec(config: ModelConfig) -> ModuleSpec:
    submodules = CrossAttentionSubmodules(
        linear_q=ColumnParallelLinear,
        linear_kv=ColumnParallelLinear,
        core_attention=CoreAttention,
        linear_proj=_with_bias(RowParallelLinear, config.attention_output_bias),
    )
    return ModuleSpec(module=CrossAttention, submodules=submodules)


def _classes(config: ModelConfig, number: int) -> tuple[type, type, type]:
    """A layer, its attention, and that one's core."""
    if config.encoder_layers:
        return EncoderLayer if config.in_encoder(number) else DecoderLayer, SelfAttention, CoreAttention
    if config.position == "transformer_xl":
        return transformer_xl.Layer, transformer_xl.SelfAttention, transformer_xl.CoreAttention
    return TransformerLayer if config.attention.plain_layers else Layer, SelfAttention, CoreAttention


def _norms_of_heads(config: ModelConfig) -> tuple[type | ModuleSpec, type | ModuleSpec]:
    """Of queries and of keys."""
    if config.qk_norm_across_heads:
        heads = config.num_attention_heads, config.num_query_groups
        queries, keys = (ModuleSpec(module=NormAcrossHeads, params={"heads": count}) for count in heads)
        return queries, keys
    norm = NORMS.load(config.norm).Norm if config.qk_layernorm else IdentityOp
    return norm, norm


def _mlp_spec(config: ModelConfig, experts: bool) -> ModuleSpec:
    second = activation_dropout.Linear if config.activation_dropout else RowParallelLinear
    linears = MLPSubmodules(
        linear_fc1=_with_bias(ColumnParallelLinear, config.mlp_bias), linear_fc2=_with_bias(second, config.mlp_bias)
    )
    if not experts:
        return ModuleSpec(module=MLP, submodules=linears)
    parts = MoESubmodules(
        experts=ModuleSpec(module=SequentialMLP, submodules=linears),
        shared_experts=ModuleSpec(module=SharedExpertMLP, submodules=linears),
        router=Router,
    )
    return ModuleSpec(module=MoELayer, submodules=parts)


def _with_bias(linear: type, bias: bool) -> type:
    """A linear layer that has a bias or not, whatever megatron-core's one switch for all of them says."""

    class Linear(linear):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{**kwargs, "bias": bias})

    Linear.__name__ = linear.__name__
    return Linear
