"""Flags → megatron-core's TransformerConfig: the one object that a module reads.

`ModelConfig` is megatron-core's configuration plus what it has no field for; nobody passes the flags further down.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from megatron.core.transformer import TransformerConfig
from megatron.core.transformer.enums import AttnBackend

from megatron_ext.arguments.registry import Registry
from megatron_ext.backend import pipeline
from megatron_ext.models.attention.backend import Asked, Choice, asked, choices
from megatron_ext.models.attention.latent_flags import Latent, latent
from megatron_ext.models.moe.layers import with_experts
from megatron_ext.models.norm_placements import deepnorm

NORMS = Registry("megatron_ext.models.norms")
ACTIVATIONS = Registry("megatron_ext.models.activations")


@dataclasses.dataclass
class ModelConfig(TransformerConfig):
    """megatron-core's configuration and our fields."""

    architecture: str = "causal_decoder"
    """The registry name of what the model is as a whole."""
    encoder_layers: int = 0
    """Layers of the stack that are an encoder before a decoder."""
    token_types: int = 0
    """Types of tokens that an encoder embeds."""
    binary_head: bool = False
    """Whether an encoder learns what a document's two sentences are to each other."""
    norm: str = "rmsnorm"
    """The norm's registry name (`normalization` is megatron-core's word for it)."""
    vocab_size: int = 0
    """Entries of the tokenizer; the embedding is padded beyond it, and padding never gets probability."""
    tied_embeddings: bool = True
    """The output matrix is the embedding's."""
    layers_impl: str = "local"
    """`local` or `transformer_engine`."""
    activation_dropout: float = 0.0
    """Dropout behind an MLP's activation."""
    norm_bias: bool = True
    """Norms that have a bias keep it."""
    norm_placement: str = "pre"
    """The registry name of where norms stand."""
    deepnorm_alphas: tuple[float, float] = (1.0, 1.0)
    """What the residual is multiplied by in deepnorm: in a decoder's layers, in an encoder's."""
    deepnorm_beta: float | None = None
    """Gain of the matrices that deepnorm draws smaller, where it is not the paper's."""
    residual_from_norm: bool = False
    """The residual is the normed input."""
    parallel_residual: bool = False
    """Attention and MLP stand side by side."""
    share_parallel_norm: bool = False
    """… with one norm for both."""
    attention_output_bias: bool = False
    mlp_bias: bool = False
    output_bias: bool = False
    """A bias on the logits."""
    embedding_norm: bool = False
    embedding_scale: float | None = None
    logit_scale: float | None = None
    logit_cap: float | None = None
    z_loss_coeff: float | None = None
    """Weight of log² Z beside the cross entropy."""
    position: str = "rope"
    """The position's registry name."""
    segment_length: int | None = None
    """Tokens of a segment of transformer_xl."""
    memory_length: int | None = None
    """Tokens before a segment that it sees."""
    max_positions: int = 0
    """Positions that there is room for."""
    alibi_scale_by_head_dim: bool = False
    """ALiBi's bias is divided by √d."""
    xpos_rotary_base: int = 10000
    xpos_scale_base: int = 512
    relative_buckets: int = 32
    relative_max_distance: int = 128
    """Of t5_bias: how many distances are told apart, and from where on none are."""
    relative_bias_per_layer: bool = False
    """… and whether each layer has a table of its own."""
    has_cond_embedder: bool = False
    """megatron-core's word: parameters marked `pipeline_parallel` are the same on all stages, and their gradients are summed."""
    qk_norm_across_heads: bool = False
    """The norm on queries and keys takes all heads together; megatron-core's `qk_layernorm`, one a head, is then off."""
    sliding_window: int | None = None
    """Keys that a query of the pattern sliding_window sees, itself counted."""
    positions_by_document: bool = False
    """Position ids differ between rows: each document's count from 0."""
    attention_logit_cap: float | None = None
    """Scores s become cap · tanh(s / cap)."""
    latent: Latent | None = None
    """Sizes of multi-head latent attention. megatron-core's `multi_latent_attention` is for its own, and stays off."""
    attention: Asked = Asked()
    """What decides which kernel attends."""

    @property
    def attention_patterns(self) -> tuple[str, ...]:
        """Registry names, a layer each, repeated over all layers."""
        return self.attention.patterns

    @property
    def layers_with_experts(self) -> tuple[bool, ...]:
        """A layer each."""
        if self.num_moe_experts is None:
            return (False,) * self.num_layers
        return tuple(map(bool, self.moe_layer_freq))

    def in_encoder(self, layer_number: int) -> bool:
        """Whether a layer, counted from 1, is an encoder's."""
        return self.architecture == "encoder" or layer_number <= self.encoder_layers

    def attention_on(self, device: str) -> tuple[Choice, ...]:
        """The kernel of each of `attention_patterns` on `cpu` or `cuda`."""
        return choices(self.attention, device, self.layers_impl == "transformer_engine")

    def attention_across(self, device: str) -> Choice:
        """The kernel of a decoder's attention to an encoder."""
        return choices(self.attention._replace(patterns=("full",), position="none"), device, engine=False)[0]

    @property
    def own_attention(self) -> bool:
        """Whether `attention/core.py` stands in all layers, and not Transformer Engine's core."""
        return any(choice.kernel != "transformer_engine" for choice in self.attention_on("cuda"))


def leave_uninitialised(tensor: torch.Tensor) -> torch.Tensor:
    """megatron-core's init hook: `initialization.py` draws every parameter by name afterwards."""
    return tensor


def padded_vocab_size(vocab_size: int, divisible_by: int) -> int:
    """The embedding's rows. Independent of the layout, unlike Megatron-LM's, so that a run can move between layouts."""
    return math.ceil(vocab_size / divisible_by) * divisible_by


def model_config(config, vocab_size: int, layers_impl: str) -> ModelConfig:
    """The configuration of megatron-core for a run.

    Args:
        config: the frozen `Config` of a run.
        vocab_size: entries of the tokenizer.
        layers_impl: `local` or `transformer_engine`, already resolved.
    """
    model, parallel, training = config.model, config.parallel, config.training
    activation = ACTIVATIONS.load(model.activation)
    chunks = parallel.num_virtual_stages_per_pipeline_rank
    interleaved = chunks is not None and chunks > 1
    return ModelConfig(
        num_layers=model.num_layers,
        hidden_size=model.hidden_size,
        ffn_hidden_size=model.ffn_hidden_size,
        num_attention_heads=model.num_attention_heads,
        num_query_groups=model.num_query_groups,
        kv_channels=model.kv_channels,
        activation_func=activation.FUNCTION,
        gated_linear_unit=activation.GATED,
        hidden_dropout=model.hidden_dropout,
        attention_dropout=model.attention_dropout,
        activation_dropout=model.activation_dropout,
        init_method=leave_uninitialised,
        output_layer_init_method=leave_uninitialised,
        embedding_init_method=leave_uninitialised,
        init_method_std=model.init_method_std,
        tensor_model_parallel_size=parallel.tensor_model_parallel_size,
        sequence_parallel=parallel.sequence_parallel,
        context_parallel_size=parallel.context_parallel_size,
        cp_comm_type=parallel.cp_comm_type,
        pipeline_model_parallel_size=parallel.pipeline_model_parallel_size,
        virtual_pipeline_model_parallel_size=chunks if interleaved else None,
        pipeline_model_parallel_layout=_pipeline_layout(model, parallel),
        # Without it, interleaving two stages gives silently wrong gradients (megatron-core 0.16.1).
        overlap_p2p_comm=interleaved,
        batch_p2p_comm=not interleaved,
        # Gradients are summed over tokens and divided once by the global count: the batch's mean, however it is cut.
        calculate_per_token_loss=True,
        gradient_accumulation_fusion=parallel.gradient_accumulation_fusion,
        # megatron-core has no name for FlexAttention; where it is asked for, attention is torch's in all layers.
        attention_backend=AttnBackend["local" if parallel.attention_backend == "flex" else parallel.attention_backend],
        attention=asked(config.flat()),
        tp_comm_overlap=parallel.tp_comm_overlap,
        vocab_size=vocab_size,
        tied_embeddings=not model.untie_embeddings_and_output_weights,
        layers_impl=layers_impl,
        **_loss(config),
        **_architecture(model),
        **_attention(model),
        **_norms_and_residuals(model),
        **_precision(training),
        **_recompute(training),
        **_experts(model, parallel),
        **_fp8(parallel),
        **_cuda_graphs(parallel),
    )


def _loss(config) -> dict:
    """Fields of what is predicted, and of what counts how much."""
    return dict(
        cross_entropy_loss_fusion=config.training.cross_entropy_loss_fusion,
        mtp_num_layers=config.model.mtp_num_layers,
        mtp_loss_scaling_factor=config.model.mtp_loss_scaling_factor,
        z_loss_coeff=config.objective.z_loss_coeff,
    )


def _architecture(model) -> dict:
    """Fields of what the model is as a whole."""
    return dict(
        architecture=model.architecture,
        encoder_layers=model.encoder_num_layers or 0,
        token_types=model.num_tokentypes or 0,
        binary_head=bool(model.bert_binary_head),
    )


def _attention(model) -> dict:
    """Fields of who sees whom, and of positions."""
    return dict(
        sliding_window=model.sliding_window,
        attention_logit_cap=model.attn_logit_softcapping,
        softmax_scale=model.softmax_scale,
        # With latent attention it means norms that are part of it; megatron-core would sum their gradients once too often.
        qk_layernorm=model.qk_layernorm and not model.qk_layernorm_across_heads and not model.multi_latent_attention,
        qk_norm_across_heads=model.qk_layernorm_across_heads,
        latent=latent(model),
        position=model.position_embedding_type,
        max_positions=model.max_position_embeddings,
        positions_by_document=model.reset_position_ids,
        rotary_interleaved=model.rotary_interleaved,
        segment_length=model.segment_length,
        memory_length=model.memory_length,
        alibi_scale_by_head_dim=model.alibi_scale_by_head_dim,
        xpos_rotary_base=model.rotary_base,
        xpos_scale_base=model.xpos_scale_base,
        relative_buckets=model.relative_attention_num_buckets,
        relative_max_distance=model.relative_attention_max_distance,
        relative_bias_per_layer=model.relative_attention_bias_per_layer,
        has_cond_embedder=model.position_embedding_type == "t5_bias" and not model.relative_attention_bias_per_layer,
    )


def _norms_and_residuals(model) -> dict:
    """Fields of norms, residuals and biases, of the embedding and the logits."""
    own = deepnorm.constants_of(model.num_layers, model.encoder_num_layers or 0)
    alphas = tuple(own[half].alpha if model.deepnorm_alpha is None else model.deepnorm_alpha for half in ("decoder", "encoder"))
    return dict(
        normalization=NORMS.load(model.normalization).MEGATRON_NAME,
        norm=model.normalization,
        layernorm_epsilon=model.norm_epsilon,
        layernorm_zero_centered_gamma=model.apply_layernorm_1p,
        norm_bias=model.norm_bias,
        norm_placement=model.norm_placement,
        deepnorm_alphas=alphas,
        deepnorm_beta=model.deepnorm_beta,
        residual_from_norm=model.apply_residual_connection_post_layernorm,
        parallel_residual=model.parallel_residual,
        share_parallel_norm=model.share_parallel_norm,
        add_bias_linear=model.add_bias_linear,
        add_qkv_bias=model.add_qkv_bias or model.add_bias_linear,
        attention_output_bias=model.add_attention_output_bias,
        mlp_bias=model.add_mlp_bias,
        output_bias=model.add_output_bias,
        embedding_norm=model.embedding_norm,
        embedding_scale=model.embedding_scale,
        logit_scale=model.logit_scale,
        logit_cap=model.final_logit_softcapping,
    )


def _precision(training) -> dict:
    """Fields of what is computed in."""
    dtype = torch.bfloat16 if training.bf16 else torch.float16 if training.fp16 else torch.float32
    types = dict.fromkeys(("params_dtype", "pipeline_dtype", "autocast_dtype"), dtype)
    return dict(bf16=training.bf16, fp16=training.fp16, enable_autocast=False, **types)


def _recompute(training) -> dict:
    """Fields of activations that are computed again; nothing where all are kept."""
    if training.recompute_granularity is None:
        return {}
    return dict(
        recompute_granularity=training.recompute_granularity,
        recompute_method="uniform",
        recompute_num_layers=training.recompute_num_layers,
    )


def _fp8(parallel) -> dict:
    """Fields of 8-bit matrix products; nothing without them."""
    if parallel.fp8_format is None:
        return {}
    return dict(
        fp8=parallel.fp8_format,
        fp8_recipe=parallel.fp8_recipe,
        fp8_amax_history_len=parallel.fp8_amax_history_len,
        fp8_amax_compute_algo=parallel.fp8_amax_compute_algo,
        fp8_param=parallel.fp8_param_gather,
    )


def _cuda_graphs(parallel) -> dict:
    """Fields of captured layers; nothing without them."""
    if parallel.cuda_graph_impl == "none":
        return {}
    return dict(
        cuda_graph_impl=parallel.cuda_graph_impl,
        cuda_graph_scope=list(parallel.cuda_graph_scope or ()),
        cuda_graph_warmup_steps=parallel.cuda_graph_warmup_steps,
    )


def _pipeline_layout(model, parallel) -> list[list[str]] | None:
    """What each chunk holds, in megatron-core's words; None where all have as many layers, which is its own default."""
    if not pipeline.uneven(parallel):
        return None
    parts = [[pipeline.LETTERS[letter] for letter in str(chunk)] for chunk in pipeline.chunks(model, parallel)]
    parts[-1][-1:-1] = ["mtp"] * (model.mtp_num_layers or 0)  # before the loss
    return parts


def _experts(model, parallel) -> dict:
    """Mixture-of-experts fields; nothing for a dense model."""
    if model.num_experts is None:
        return {}
    return dict(
        num_moe_experts=model.num_experts,
        moe_layer_freq=[int(there) for there in with_experts(model.moe_layer_freq, model.num_layers)],
        moe_router_topk=model.moe_router_topk,
        moe_ffn_hidden_size=model.moe_ffn_hidden_size,
        moe_shared_expert_intermediate_size=model.moe_shared_expert_intermediate_size,
        moe_shared_expert_gate=model.moe_shared_expert_gate,
        moe_router_score_function=model.moe_router_score_function,
        moe_router_pre_softmax=model.moe_router_pre_softmax,
        moe_router_topk_scaling_factor=model.moe_router_topk_scaling_factor,
        moe_router_num_groups=model.moe_router_num_groups,
        moe_router_group_topk=model.moe_router_group_topk,
        moe_router_load_balancing_type=list(model.moe_router_load_balancing_type),
        moe_aux_loss_coeff=list(model.moe_aux_loss_coeff),
        moe_z_loss_coeff=model.moe_z_loss_coeff,
        moe_router_enable_expert_bias=model.moe_router_enable_expert_bias,
        moe_router_bias_update_rate=model.moe_router_bias_update_rate,
        moe_expert_capacity_factor=model.moe_expert_capacity_factor,
        moe_token_drop_policy=model.moe_token_drop_policy,
        moe_token_dispatcher_type=model.moe_token_dispatcher_type,
        moe_router_dtype="fp32",
        expert_model_parallel_size=parallel.expert_model_parallel_size,
        expert_tensor_parallel_size=parallel.expert_tensor_parallel_size,
    )
