"""Flags of the architecture (Megatron-LM's names where it has one)."""

from __future__ import annotations

from megatron_ext.arguments.config import PRESETS
from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry
from megatron_ext.models.architecture_flags import ArchitectureFlags, length_flags
from megatron_ext.models.attention.flags import AttentionFlags
from megatron_ext.models.attention.latent_flags import LatentFlags
from megatron_ext.models.moe.flags import MoeFlags, dense_layers
from megatron_ext.models.position_flags import PositionFlags
from megatron_ext.models.residual_flags import ResidualFlags


def gated(activation: str) -> bool:
    """Whether an activation multiplies by a gate: the family's names say so (glu, reglu, geglu, geglu_tanh, swiglu)."""
    return "glu" in activation


@flag_group("model", "Architecture")
class ModelFlags(ResidualFlags, PositionFlags, AttentionFlags, LatentFlags, MoeFlags, ArchitectureFlags):
    preset: str | None = flag(
        None,
        "a published model's flags; any flag given besides overrides it",
        choices=PRESETS,
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
    mtp_num_layers: int | None = flag(
        None, "further layers that predict further tokens while training (multi-token prediction) [none]", least=0
    )
    mtp_loss_scaling_factor: float = flag(0.1, "weight of their losses' mean", least=0.0)
    hidden_dropout: float = flag(0.0, "dropout after embedding, attention and MLP", least=0.0, most=1.0)
    attention_dropout: float = flag(0.0, "dropout on attention probabilities", least=0.0, most=1.0)
    activation_dropout: float = flag(0.0, "dropout behind the MLP's activation (T5, BART)", least=0.0, most=1.0)
    init_method_std: float = flag(
        0.02, "standard deviation of the initial weights; ÷√(2·layers) for those that write to the residual", positive=True
    )

    @staticmethod
    def resolve(c):
        ModelFlags.resolve_architecture(c)
        if c.ffn_hidden_size is None:
            c.ffn_hidden_size = _up_to_multiple(8 * c.hidden_size // 3, 64) if gated(c.activation) else 4 * c.hidden_size
        ModelFlags.resolve_residual(c)
        if c.num_query_groups is None:
            c.num_query_groups = c.num_attention_heads
        ModelFlags.resolve_latent(c)
        if c.kv_channels is None and c.hidden_size % c.num_attention_heads == 0:
            c.kv_channels = c.hidden_size // c.num_attention_heads
        ModelFlags.resolve_positions(c)
        ModelFlags.resolve_experts(c)
        c.mtp_num_layers = c.mtp_num_layers or None

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
            *([("--ffn-hidden-size", c.ffn_hidden_size)] if dense_layers(c) else []),
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
        for name, length in length_flags(c).items() if c.sequence_parallel else ():
            if length % (tensor * c.context_parallel_size):
                shared = f" × --context-parallel-size {c.context_parallel_size}" if c.context_parallel_size > 1 else ""
                reason = f"is not a multiple of --tensor-model-parallel-size {tensor}{shared}, over which it is cut"
                yield Problem(name, length, reason)
        yield from ModelFlags.check_architecture(c)
        yield from ModelFlags.check_attention(c)
        yield from ModelFlags.check_latent(c)
        yield from ModelFlags.check_positions(c)
        yield from ModelFlags.check_residual(c)
        yield from ModelFlags.check_experts(c)
        if c.activation_dropout and c.num_experts is not None:
            yield Problem("--activation-dropout", c.activation_dropout, "is there in dense MLPs alone", "leave it out")
        if c.mtp_num_layers is not None:
            yield from _further_predictions(c)


def _odd(c) -> bool:
    return c.position_embedding_type in ("rope", "xpos") and int(c.kv_channels * c.rotary_percent) % 2 == 1


def _further_predictions(c):
    """They begin from a copy of the embedding, which learns like it, and stand behind the model's last norm."""
    option, way_out = "--mtp-num-layers", "leave one of them out"
    if c.position_embedding_type in ("learned_absolute", "sinusoidal", "t5_bias", "transformer_xl"):
        reason = f"is not there with --position-embedding-type {c.position_embedding_type}"
        yield Problem(option, c.mtp_num_layers, reason, "use rope, xpos, alibi or none")
    if c.embedding_norm:
        yield Problem(option, c.mtp_num_layers, "is not there with --embedding-norm", way_out)
    if c.norm_placement in ("post", "deepnorm"):
        yield Problem(option, c.mtp_num_layers, f"is not there with --norm-placement {c.norm_placement}", way_out)


def _up_to_multiple(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
