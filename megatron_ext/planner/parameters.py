"""Parameters of a configuration in closed form.

For LLaMA: 2VH + H + L(4H² + 3HH' + 2H); with V 32,000, H 4,096, H' 11,008, L 32 that is 6,738,415,616 (arXiv:2302.13971).
"""

from __future__ import annotations

import dataclasses

from megatron_ext.models.architecture_flags import lengths
from megatron_ext.models.attention.latent_flags import latent
from megatron_ext.models.flags import gated
from megatron_ext.models.moe.layers import with_experts


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Counts by what they do. `active` counts, of each layer's experts, those that a token passes through."""

    embedding: int
    output: int
    layers: int
    active_layers: int
    final_norm: int

    @property
    def total(self) -> int:
        return self.embedding + self.output + self.layers + self.final_norm

    @property
    def active(self) -> int:
        return self.embedding + self.output + self.active_layers + self.final_norm


def count(model, vocab_size: int) -> Parameters:
    """Parameters for the model group of a configuration and `vocab_size` rows of embedding."""
    hidden, bias = model.hidden_size, 1 if model.add_mlp_bias else 0
    norm = hidden * _of_norm(model)
    attention = (_attention if latent(model) is None else _latent_attention)(model)
    attention += hidden if model.add_attention_output_bias else 0
    kinds, further = _layers(model), model.mtp_num_layers or 0
    mlps = [_experts(model, bias) if experts else (_mlp(model, model.ffn_hidden_size, bias),) * 2 for experts in kinds]
    mlp, active = map(sum, zip(*mlps, strict=True))
    of_layer, final = _norms(model)
    beside = len(kinds) * (attention + of_layer * norm) + further * (2 * hidden * hidden + 3 * norm)
    beside += (model.decoder_num_layers or 0) * across(model)
    stretches = len(lengths(model))
    embedded = (norm if model.embedding_norm else 0) * stretches + hidden * (model.num_tokentypes or 0)
    return Parameters(
        embedding=vocab_size * hidden + _positions(model) + embedded,
        output=vocab_size * (hidden * model.untie_embeddings_and_output_weights + model.add_output_bias) + heads(model),
        layers=beside + mlp,
        active_layers=beside + active,
        final_norm=final * norm * stretches,
    )


def _positions(model) -> int:
    """Tables of places or of distances: one for each stretch of a sample, or for each layer."""
    stretches = len(lengths(model))
    if model.position_embedding_type == "learned_absolute":
        return stretches * model.max_position_embeddings * model.hidden_size
    if model.position_embedding_type == "t5_bias":
        tables = model.num_layers if model.relative_attention_bias_per_layer else stretches
        return tables * model.relative_attention_num_buckets * model.num_attention_heads
    return 0


def across(model) -> int:
    """In a decoder's layer, its attention to the encoder with the norms around it."""
    hidden, queries, keys = model.hidden_size, model.num_attention_heads * model.kv_channels, keys_and_values(model)
    biases = queries + keys if model.add_bias_linear or model.add_qkv_bias else 0
    norms = _norms(model)[0] // 2 * hidden * _of_norm(model)
    return hidden * (2 * queries + keys) + biases + (hidden if model.add_attention_output_bias else 0) + norms


def keys_and_values(model) -> int:
    """Channels of all keys and values of a token."""
    return 2 * model.num_query_groups * model.kv_channels


def heads(model) -> int:
    """What an encoder has before its output matrix, and beside it."""
    if model.architecture != "encoder":
        return 0
    hidden = model.hidden_size
    sentences = hidden * hidden + hidden + 2 * hidden + 2 if model.bert_binary_head else 0
    return hidden * hidden + hidden + hidden * _of_norm(model) + sentences


def _layers(model) -> tuple[bool, ...]:
    """Whether each layer has experts; multi-token prediction's, which are like the last, stand at the end."""
    kinds = (False,) * model.num_layers if model.num_experts is None else with_experts(model.moe_layer_freq, model.num_layers)
    return kinds + kinds[-1:] * (model.mtp_num_layers or 0)


def _attention(model) -> int:
    """In a layer, without the output's bias."""
    hidden, heads = model.hidden_size, model.num_attention_heads * model.kv_channels
    keys = model.num_query_groups * model.kv_channels
    normed = heads + keys if model.qk_layernorm_across_heads else 2 * model.kv_channels
    of_heads = _of_norm(model) * normed if model.qk_layernorm else 0
    biases = heads + 2 * keys if model.add_bias_linear or model.add_qkv_bias else 0
    return of_heads + of_distances(model) + hidden * (heads + 2 * keys) + biases + heads * hidden


def _latent_attention(model) -> int:
    """The same of multi-head latent attention."""
    sizes, hidden, heads = latent(model), model.hidden_size, model.num_attention_heads
    queries = hidden * heads * sizes.width
    if sizes.query_rank is not None:
        queries = sizes.query_rank * (hidden + _of_norm(model) + heads * sizes.width)
    keys_and_values = hidden * sizes.kept + sizes.rank * (_of_norm(model) + heads * (sizes.plain + sizes.value))
    return queries + keys_and_values + heads * sizes.value * hidden


def _of_norm(model) -> int:
    """A norm's parameters, of a channel."""
    return 2 if model.normalization == "layernorm" and model.norm_bias else 1


def of_distances(model) -> int:
    """In a layer of transformer_xl: u, v and W_r."""
    heads = model.num_attention_heads * model.kv_channels
    return heads * (model.hidden_size + 2) if model.position_embedding_type == "transformer_xl" else 0


def _norms(model) -> tuple[int, int]:
    """Norms in a layer, and after the last."""
    if model.share_parallel_norm:
        return 1, 1
    after_the_sum = model.norm_placement in ("post", "deepnorm") and not model.apply_residual_connection_post_layernorm
    return (4 if model.norm_placement == "sandwich" else 2), (0 if after_the_sum else 1)


def _experts(model, bias: int) -> tuple[int, int]:
    """A layer's experts and router: all of them, and those that a token passes through."""
    expert, beside = _mlp(model, model.moe_ffn_hidden_size, bias), model.hidden_size * model.num_experts
    if model.moe_shared_expert_intermediate_size is not None:
        beside += _mlp(model, model.moe_shared_expert_intermediate_size, bias) + model.hidden_size * model.moe_shared_expert_gate
    return beside + model.num_experts * expert, beside + model.moe_router_topk * expert


def _mlp(model, width: int, bias: int) -> int:
    first = 2 * width if gated(model.activation) else width
    return model.hidden_size * first + bias * first + width * model.hidden_size + bias * model.hidden_size
