"""Megatron-LM's defaults, and the habits of its that a copied script relies on. `--megatron-defaults`

A script of Megatron-LM's says nothing of LayerNorm, biases or dropout: they are its defaults. So where the command line has a
spelling that only Megatron-LM has, its defaults take the place of ours for what is not given: our defaults < Megatron-LM's <
preset < YAML < flags.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from megatron_ext.arguments.flags import Flag, flag, flag_group
from megatron_ext.arguments.megatron_lm.translate import Given
from megatron_ext.arguments.problems import Problem, option

# Field -> Megatron-LM's default, where it is not ours.
DEFAULTS: dict[str, Any] = {
    "normalization": "layernorm",
    "activation": "gelu_tanh",
    "position_embedding_type": "learned_absolute",
    "add_bias_linear": True,
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "moe_router_load_balancing_type": ("aux_loss",),
    "moe_token_drop_policy": "probs",
    "moe_token_dispatcher_type": "allgather",
    "min_lr": 0.0,
    "lr_decay_style": "linear",
    "lr_warmup_fraction": 0.0,
    "weight_decay": 0.01,
    "adam_beta2": 0.999,
    "eval_interval": 1000,
    "eval_iters": 100,
    "log_interval": 100,
}

# … of multi-latent attention, which rotates neighbouring channels there whatever is said.
LATENT = {"kv_lora_rank": 32, "qk_head_dim": 128, "qk_pos_emb_head_dim": 64, "v_head_dim": 128, "rotary_interleaved": True}

# Flags that are ours as well, but that only a script of Megatron-LM's has.
ITS_OWN = ("vocab_file", "merge_file")

# Flag, or flag and value -> flags that Megatron-LM passes over without it; scripts carry them along.
ONLY_WITH = {
    "load": {"ckpt_step", "finetune", "no_load_optim", "no_load_rng"},
    "fp16": {"loss_scale", "initial_loss_scale", "min_loss_scale", "loss_scale_window", "hysteresis"},
    "fp8_format": {"fp8_recipe", "fp8_amax_history_len", "fp8_amax_compute_algo", "fp8_param_gather"},
    "cuda_graph_impl": {"cuda_graph_scope", "cuda_graph_warmup_steps"},
    "num_experts": {
        "moe_layer_freq", "moe_router_topk", "moe_ffn_hidden_size", "moe_shared_expert_intermediate_size",
        "moe_shared_expert_gate", "moe_router_score_function", "moe_router_pre_softmax", "moe_router_topk_scaling_factor",
        "moe_router_num_groups", "moe_router_group_topk", "moe_router_load_balancing_type", "moe_aux_loss_coeff",
        "moe_z_loss_coeff", "moe_router_enable_expert_bias", "moe_router_bias_update_rate", "moe_expert_capacity_factor",
        "moe_token_drop_policy", "moe_token_dispatcher_type", "expert_tensor_parallel_size",
    },
    "moe_router_enable_expert_bias": {"moe_router_bias_update_rate"},
    "moe_expert_capacity_factor": {"moe_token_drop_policy"},
    "recompute_granularity": {"recompute_num_layers"},
    "multi_latent_attention": {"q_lora_rank", "kv_lora_rank", "qk_head_dim", "qk_pos_emb_head_dim", "v_head_dim"},
    "manual_gc": {"manual_gc_interval"},
    "position_embedding_type rope or xpos": {"rotary_base"},
    "position_embedding_type rope": {"rotary_percent", "rotary_interleaved"},
    "position_embedding_type t5_bias": {"relative_attention_num_buckets", "relative_attention_max_distance"},
    "profile": {"profile_step_start", "profile_step_end", "profile_ranks"},
}  # fmt: skip


@flag_group("megatron", "Megatron-LM's scripts")
class MegatronFlags:
    megatron_defaults: bool | None = flag(
        None, "Megatron-LM's defaults for what is not given [if a flag is given that only Megatron-LM has]"
    )

    @staticmethod
    def resolve(c):
        if "--group-query-attention" in c.spelled and c.num_query_groups is None:
            c.num_query_groups = 1
        _window(c)
        if c.megatron_defaults:
            _mlp(c)
            _what_does_not_apply(c)
            _latent_attention(c)
            _evaluation(c)
            if c.num_experts is not None and "expert_tensor_parallel_size" in c.open:
                c.expert_tensor_parallel_size = c.tensor_model_parallel_size

    @staticmethod
    def check(c):
        position = c.position_embedding_type
        if "--no-position-embedding" in c.spelled and position not in ("rope", "none"):
            yield Problem("--no-position-embedding", None, f"contradicts positions of kind {position}", "add "
                          "--position-embedding-type none")  # fmt: skip
        if c.megatron_defaults and "num_query_groups" in c.typed and "--group-query-attention" not in c.spelled:
            yield Problem(
                "--num-query-groups",
                c.num_query_groups,
                "counts in Megatron-LM only beside --group-query-attention, and always here",
                "add --group-query-attention, or leave both out",
            )
        yield from _window_problems(c)


def _window(c) -> None:
    """`--window-size L,0`: L tokens before each query; with `--window-attn-skip-freq N`, every Nth layer sees all before it."""
    size = _numbers(c.spelled.get("--window-size"))
    every = _numbers(c.spelled.get("--window-attn-skip-freq"))
    if len(size) == 2 and size[1] == 0:
        c.sliding_window = size[0] + 1
        c.attention_pattern = ("sliding_window",)
        if len(every) == 1 and every[0] > 1:
            c.attention_pattern = ("sliding_window",) * (every[0] - 1) + ("causal",)
        elif len(every) == 1 and every[0] == 1:
            c.attention_pattern, c.sliding_window = ("causal",), None


def _window_problems(c) -> Iterator[Problem]:
    size, every = c.spelled.get("--window-size"), c.spelled.get("--window-attn-skip-freq")
    if size is not None and not (len(_numbers(size)) == 2 and _numbers(size)[1] == 0):
        yield Problem("--window-size", size, "is no window of the form L,0", "give --attention-pattern and --sliding-window")
    if every is not None and not (len(_numbers(every)) == 1 and _numbers(every)[0] >= 1):
        yield Problem("--window-attn-skip-freq", every, "is no number of layers", "give --attention-pattern, a layer each")


def _numbers(spelled: Any) -> list[int]:
    """`"(128, 0)"` and `["128,0"]` as numbers; empty where it is something else."""
    text = ",".join(spelled) if isinstance(spelled, list) else str(spelled)
    parts = [part.strip() for part in text.strip("() ").split(",")]
    return [int(part) for part in parts] if all(part.isdecimal() for part in parts) else []


def _mlp(c) -> None:
    """The activation, and the MLP's width where it is not given.

    Megatron-LM adds the bias and takes gelu in one kernel, which has the tanh form; without it, gelu is exact.
    """
    if "activation" in c.open:
        if "--no-bias-gelu-fusion" in c.spelled or not c.add_bias_linear:
            c.activation = "gelu"
    if c.ffn_hidden_size is None and "glu" in c.activation:
        c.ffn_hidden_size = int(4 * c.hidden_size * 2 / 3) // 64 * 64  # down to a multiple; ours goes up


def _what_does_not_apply(c) -> None:
    """What Megatron-LM passes over in silence is left out here, and said."""
    if c.sequence_parallel and c.tensor_model_parallel_size == 1:
        c.sequence_parallel = False
        c.notes.append("--sequence-parallel is off: there is one tensor-parallel process")
    if c.tiktoken_pattern is not None and c.tokenizer_type not in (None, "tiktoken"):
        c.notes.append(f"--tiktoken-pattern {c.tiktoken_pattern} is left out: the tokenizer is {c.tokenizer_type}")
        c.tiktoken_pattern = None
    for needed, names in ONLY_WITH.items():
        if not _is_there(c, needed):
            for name in sorted(names & c.typed):
                setattr(c, name, c.fallback[name])
                c.notes.append(f"{option(name)} is left out: there is no {option(needed)}")
            c.typed, c.given = c.typed - names, c.given - names


def _latent_attention(c) -> None:
    if not c.multi_latent_attention:
        return
    for name in LATENT.keys() & c.open:
        setattr(c, name, LATENT[name])
    if "kv_channels" in c.typed:
        c.notes.append(f"--kv-channels {c.kv_channels} is left out: --multi-latent-attention has widths of its own")
        c.kv_channels, c.typed, c.given = None, c.typed - {"kv_channels"}, c.given - {"kv_channels"}


def _is_there(c, needed: str) -> bool:
    name, _, value = needed.partition(" ")
    found = getattr(c, name)
    return found in value.split(" or ") if value else found not in (None, False, "none")


def _evaluation(c) -> None:
    """No evaluation where nobody asked for one and none could be made: without validation data, or in a shorter run."""
    if "eval_interval" not in c.open:
        return
    shares = c.split.replace("/", ",").split(",")
    from_shares = c.train_data_path is None and len(shares) > 1 and shares[1].strip(" 0.") != ""
    held_out = c.valid_data_path or c.mock_data or from_shares
    if not held_out or (c.train_iters is not None and c.train_iters < c.eval_interval):
        c.eval_interval = None


def decide(flags: dict[str, Flag], explicit: dict[str, Any], given: Given) -> dict[str, Any]:
    """The defaults that are not ours: Megatron-LM's if they were asked for, or if something typed is its own.

    Args:
        explicit: what YAML and flags say; a `megatron_defaults: null` is taken out of it.
    """
    if "megatron_defaults" not in flags:
        return {}
    given.its_own += [given.options[name] for name in ITS_OWN if name in given]
    wanted = explicit.get("megatron_defaults")
    if wanted is None:
        wanted = bool(given.its_own)
        explicit.pop("megatron_defaults", None)
    return {"megatron_defaults": wanted} | ({name: DEFAULTS[name] for name in DEFAULTS if name in flags} if wanted else {})


def notes(flags: dict[str, Flag], c: Any, given: Given) -> list[str]:
    """What a run says at its start: whose defaults hold, what has no effect, what was left out; `c` is the resolved draft."""
    lines = []
    if getattr(c, "megatron_defaults", False):
        why = f", since {given.its_own[0]} is its own" if "megatron_defaults" not in c.given else ""
        held = [
            f"{name.replace('_', '-')} {str(getattr(c, name)).lower()}"
            for name in DEFAULTS
            if name in c.open and getattr(c, name) != flags[name].default
        ]
        lines.append(f"Megatron-LM's defaults hold{why}: {', '.join(held) or 'all is given'} (--no-megatron-defaults takes ours)")
    if given.without_effect:
        by_reason: dict[str, list[str]] = {}
        for option, reason in given.without_effect.items():
            by_reason.setdefault(reason, []).append(option)
        lines.append("without effect: " + "; ".join(f"{', '.join(options)} ({reason})" for reason, options in by_reason.items()))
    return lines + given.remarks + c.notes
