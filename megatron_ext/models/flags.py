"""Flags of the architecture (Megatron-LM's names where it has one)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry
from megatron_ext.models.attention.flags import AttentionFlags
from megatron_ext.models.attention.latent_flags import LatentFlags
from megatron_ext.models.position_flags import PositionFlags
from megatron_ext.models.residual_flags import ResidualFlags


def gated(activation: str) -> bool:
    """Whether an activation multiplies by a gate: the family's names say so (glu, reglu, geglu, geglu_tanh, swiglu)."""
    return "glu" in activation


@flag_group("model", "Architecture")
class ModelFlags(ResidualFlags, PositionFlags, AttentionFlags, LatentFlags):
    preset: str | None = flag(
        None,
        "a published model's flags; any flag given besides overrides it",
        choices=Registry("megatron_ext.models.presets"),
        front=True,
    )
    num_layers: int = flag(4, "transformer layers", least=1, front=True)
    hidden_size: int = flag(256, "width of the residual stream", least=1, front=True)
    ffn_hidden_size: int | None = flag(
        None, "width inside the MLP [4 × hidden; gated: 8/3 × hidden, up to a multiple of 64]", least=1
    )
    num_attention_heads: int = flag(4, "query heads", least=1, front=True)
    num_query_groups: int | None = flag(None, "key and value heads (grouped-query attention) [as many as query heads]", least=1)
    kv_channels: int | None = flag(None, "width of a head [hidden / heads]", least=1)
    seq_length: int = flag(512, "tokens in a sample", least=1, front=True)
    activation: str = flag("swiglu", "the MLP's activation", choices=Registry("megatron_ext.models.activations"))
    untie_embeddings_and_output_weights: bool = flag(False, "an output matrix of its own instead of the embedding's")
    make_vocab_size_divisible_by: int = flag(
        128, "pad the vocabulary to a multiple; padded entries never get probability", least=1
    )
    hidden_dropout: float = flag(0.0, "dropout after embedding, attention and MLP", least=0.0, most=1.0)
    attention_dropout: float = flag(0.0, "dropout on attention probabilities", least=0.0, most=1.0)
    init_method_std: float = flag(
        0.02, "standard deviation of the initial weights; ÷√(2·layers) for those that write to the residual", positive=True
    )
    num_experts: int | None = flag(None, "experts in each MLP (mixture of experts)", least=2)
    moe_router_topk: int = flag(2, "experts a token goes to", least=1)
    moe_ffn_hidden_size: int | None = flag(None, "width inside an expert [ffn-hidden-size]", least=1)
    moe_token_dispatcher_type: str = flag("alltoall", "how tokens travel to their experts", choices=("allgather", "alltoall"))
    moe_aux_loss_coeff: float = flag(0.0, "weight of the load-balancing loss, taken over each sequence", least=0.0)

    @staticmethod
    def resolve(c):
        if c.ffn_hidden_size is None:
            c.ffn_hidden_size = _up_to_multiple(8 * c.hidden_size // 3, 64) if gated(c.activation) else 4 * c.hidden_size
        ModelFlags.resolve_residual(c)
        if c.num_query_groups is None:
            c.num_query_groups = c.num_attention_heads
        ModelFlags.resolve_latent(c)
        if c.kv_channels is None and c.hidden_size % c.num_attention_heads == 0:
            c.kv_channels = c.hidden_size // c.num_attention_heads
        ModelFlags.resolve_positions(c)
        if c.num_experts is not None and c.moe_ffn_hidden_size is None:
            c.moe_ffn_hidden_size = c.ffn_hidden_size

    @staticmethod
    def check(c):
        tensor = c.tensor_model_parallel_size
        if c.kv_channels is None:
            given = "--qk-head-dim" if c.multi_latent_attention else "--kv-channels"
            yield Problem(
                "--hidden-size",
                c.hidden_size,
                f"is not a multiple of --num-attention-heads {c.num_attention_heads}",
                f"choose a multiple, or give the head's width with {given}",
            )
        elif not c.multi_latent_attention and _odd(c):
            yield Problem(
                "--kv-channels", c.kv_channels, f"times --rotary-percent {c.rotary_percent:g} is odd, and rotation takes pairs"
            )
        if c.num_attention_heads % c.num_query_groups:
            yield Problem(
                "--num-query-groups", c.num_query_groups, f"does not divide --num-attention-heads {c.num_attention_heads}"
            )
        for option, value in (
            ("--num-query-groups", c.num_query_groups),
            ("--num-attention-heads", c.num_attention_heads),
            *([("--ffn-hidden-size", c.ffn_hidden_size)] if c.num_experts is None else []),
        ):
            if value % tensor:
                yield Problem(option, value, f"is not a multiple of --tensor-model-parallel-size {tensor}")
        if c.make_vocab_size_divisible_by % tensor:
            yield Problem(
                "--make-vocab-size-divisible-by",
                c.make_vocab_size_divisible_by,
                f"is not a multiple of --tensor-model-parallel-size {tensor}",
                "the padded vocabulary is split over it",
            )
        if c.sequence_parallel and c.seq_length % (tensor * c.context_parallel_size):
            shared = f" × --context-parallel-size {c.context_parallel_size}" if c.context_parallel_size > 1 else ""
            reason = f"is not a multiple of --tensor-model-parallel-size {tensor}{shared}, over which it is cut"
            yield Problem("--seq-length", c.seq_length, reason)
        yield from ModelFlags.check_attention(c)
        yield from ModelFlags.check_latent(c)
        yield from ModelFlags.check_positions(c)
        yield from ModelFlags.check_residual(c)
        yield from _experts(c)


def _odd(c) -> bool:
    return c.position_embedding_type in ("rope", "xpos") and int(c.kv_channels * c.rotary_percent) % 2 == 1


def _experts(c):
    if c.num_experts is None:
        if c.expert_model_parallel_size > 1:
            yield Problem(
                "--expert-model-parallel-size",
                c.expert_model_parallel_size,
                "splits experts, and there are none",
                "set --num-experts",
            )
        return
    if c.moe_ffn_hidden_size % c.expert_tensor_parallel_size:
        size = c.expert_tensor_parallel_size
        yield Problem(
            "--moe-ffn-hidden-size", c.moe_ffn_hidden_size, f"is not a multiple of --expert-tensor-parallel-size {size}"
        )
    if c.moe_router_topk > c.num_experts:
        yield Problem("--moe-router-topk", c.moe_router_topk, f"is more than --num-experts {c.num_experts}")
    if c.num_experts % c.expert_model_parallel_size:
        yield Problem(
            "--num-experts", c.num_experts, f"is not a multiple of --expert-model-parallel-size {c.expert_model_parallel_size}"
        )
    if c.add_mlp_bias:
        option = "--add-bias-linear" if c.add_bias_linear else "--add-mlp-bias"
        yield Problem(option, None, "is not there for experts", "use --no-add-mlp-bias, or --no-add-bias-linear")


def _up_to_multiple(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
