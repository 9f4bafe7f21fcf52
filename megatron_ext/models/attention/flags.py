"""Flags of attention: a part of the model's group."""

from __future__ import annotations

import dataclasses

from megatron_ext.arguments.flags import flag
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry
from megatron_ext.models.architecture_flags import ARCHITECTURES
from megatron_ext.models.attention import backend

# Patterns that show a token what it is to predict, with the architecture whose objectives hide it.
_SEES_AHEAD = {"full": "encoder", "prefix": "prefix-decoder"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionFlags:
    attention_pattern: tuple[str, ...] | None = flag(
        None,
        "who sees whom; several are taken in turn, a layer each [by the architecture; causal]",
        choices=Registry("megatron_ext.models.attention.patterns"),
    )
    sliding_window: int | None = flag(None, "tokens that sliding_window shows: itself and those before", least=1)
    attn_logit_softcapping: float | None = flag(None, "cap attention's scores: cap · tanh(score / cap)", positive=True)
    softmax_scale: float | None = flag(None, "what scores are multiplied by [1 / √(width of a head)]", positive=True)
    qk_layernorm: bool = flag(
        False, "a norm on each head's queries and keys (arXiv:2302.05442); multi-head latent attention's are on its short vectors"
    )
    qk_layernorm_across_heads: bool = flag(False, "… over all heads' channels together (OLMo 2, arXiv:2501.00656)")
    reset_position_ids: bool = flag(False, "positions count from each document's beginning")
    reset_attention_mask: bool = flag(False, "tokens see their own document alone")

    @staticmethod
    def check_attention(c):
        windows = "sliding_window" in c.attention_pattern
        if windows and c.sliding_window is None:
            yield Problem("--attention-pattern", "sliding_window", "needs its size", "add --sliding-window")
        if not windows and c.sliding_window is not None:
            reason, way_out = "belongs to a pattern that no layer has", "add --attention-pattern sliding_window"
            yield Problem("--sliding-window", c.sliding_window, reason, way_out)
        if c.qk_layernorm_across_heads and not c.qk_layernorm:
            yield Problem("--qk-layernorm-across-heads", None, "belongs to --qk-layernorm", "add it, or leave this out")
        if c.qk_layernorm_across_heads and c.transformer_impl == "transformer_engine":
            option, reason = "--qk-layernorm-across-heads", "is there in the local layers alone"
            yield Problem(option, None, reason, "use --transformer-impl local, or auto")
        for pattern in dict.fromkeys(c.attention_pattern):
            if pattern not in ARCHITECTURES.load(c.architecture).PATTERNS:
                yield _out_of_place(c, pattern)
        if c.cp_comm_type != "all_gather" and not backend.asked(vars(c)).engines:
            reason = "is Transformer Engine's way for plain causal attention alone; keys are gathered here"
            yield Problem("--cp-comm-type", c.cp_comm_type, reason, "leave it out")
        yield from backend.problems(vars(c), c.device, c.transformer_impl)
        if len(c.attention_pattern) > c.num_layers:
            yield Problem("--attention-pattern", len(c.attention_pattern), f"patterns are more than --num-layers {c.num_layers}")


def _out_of_place(c, pattern: str) -> Problem:
    if c.architecture == "causal_decoder" and pattern in _SEES_AHEAD:
        reason, way_out = f"shows {c.objective} what it is to predict", f"use --architecture {_SEES_AHEAD[pattern]}"
    else:
        reason, way_out = f"is not what the layers of --architecture {c.architecture} show", "leave it out"
    return Problem("--attention-pattern", pattern, reason, way_out)
