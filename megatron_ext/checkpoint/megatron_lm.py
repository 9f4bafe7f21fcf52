"""Megatron-LM's own `torch_dist` checkpoints: what they were trained with, read without unpickling.

Weights and moments are read like ours (`source.py`, `regions.py`). `common.pt` holds Megatron-LM's arguments as a pickled
argparse.Namespace, of which plain values are taken; what else it names becomes inert. Where it holds none, the architecture's
flags must be given, and a wrong shape is named.
"""

from __future__ import annotations

import pathlib
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from megatron_ext.checkpoint import safe_pickle

_ACTIVATIONS = (("swiglu", "swiglu"), ("squared_relu", "squared_relu"), ("quick_geglu", "quick_geglu"))


def _activation(arguments: Namespace) -> str:
    """Its plain gelu is the tanh form where bias and gelu are one kernel, as they are unless said otherwise."""
    fused = getattr(arguments, "bias_gelu_fusion", True) and arguments.add_bias_linear
    plain = "gelu_tanh" if fused else "gelu"
    return next((ours for theirs, ours in _ACTIVATIONS if getattr(arguments, theirs, False)), plain)


def _latent(name: str) -> Callable[[Namespace], Any]:
    """A size of multi-latent attention, which stands among the arguments without it, too."""
    return lambda a: getattr(a, name) if a.multi_latent_attention else None


def _of_experts(name: str) -> Callable[[Namespace], Any]:
    """What stands among the arguments without experts, too, and says nothing there."""
    return lambda a: getattr(a, name) if a.num_experts else None


def _layers_with_experts(arguments: Namespace) -> str:
    """A number, or a pattern that Megatron-LM has made a list of."""
    return str(arguments.moe_layer_freq if arguments.num_experts else 1)


def _head(arguments: Namespace) -> int:
    if getattr(arguments, "multi_latent_attention", False):
        return arguments.qk_head_dim + arguments.qk_pos_emb_head_dim
    return arguments.kv_channels


# Our field: how it follows from Megatron-LM's arguments. A rule that finds its argument missing is passed over.
FIELDS: dict[str, Callable[[Namespace], Any]] = {
    "num_layers": lambda a: a.num_layers,
    "hidden_size": lambda a: a.hidden_size,
    "ffn_hidden_size": lambda a: a.ffn_hidden_size,
    "num_attention_heads": lambda a: a.num_attention_heads,
    "num_query_groups": lambda a: a.num_query_groups if a.group_query_attention else a.num_attention_heads,
    "kv_channels": _head,
    "multi_latent_attention": lambda a: a.multi_latent_attention,
    "q_lora_rank": _latent("q_lora_rank"),
    "kv_lora_rank": _latent("kv_lora_rank"),
    "qk_head_dim": _latent("qk_head_dim"),
    "qk_pos_emb_head_dim": _latent("qk_pos_emb_head_dim"),
    "v_head_dim": _latent("v_head_dim"),
    "seq_length": lambda a: a.seq_length,
    "max_position_embeddings": lambda a: a.max_position_embeddings,
    "normalization": lambda a: str(a.normalization).lower(),
    "norm_epsilon": lambda a: a.norm_epsilon if hasattr(a, "norm_epsilon") else a.layernorm_epsilon,
    "activation": _activation,
    "position_embedding_type": lambda a: str(a.position_embedding_type),
    "rotary_base": lambda a: a.rotary_base,
    "rotary_percent": lambda a: a.rotary_percent,
    "rotary_interleaved": lambda a: a.rotary_interleaved or getattr(a, "multi_latent_attention", False),
    "qk_layernorm": lambda a: a.qk_layernorm,
    "add_bias_linear": lambda a: a.add_bias_linear,
    "add_qkv_bias": lambda a: a.add_qkv_bias,
    "untie_embeddings_and_output_weights": lambda a: a.untie_embeddings_and_output_weights,
    "apply_layernorm_1p": lambda a: a.apply_layernorm_1p,
    "num_experts": lambda a: a.num_experts,
    "moe_layer_freq": _layers_with_experts,
    "moe_router_topk": lambda a: a.moe_router_topk,
    "moe_router_score_function": lambda a: a.moe_router_score_function if a.num_experts else "softmax",
    "moe_router_pre_softmax": lambda a: bool(a.moe_router_pre_softmax),
    "moe_router_topk_scaling_factor": _of_experts("moe_router_topk_scaling_factor"),
    "moe_router_num_groups": _of_experts("moe_router_num_groups"),
    "moe_router_group_topk": _of_experts("moe_router_group_topk"),
    "moe_router_enable_expert_bias": lambda a: bool(a.moe_router_enable_expert_bias),
    "moe_shared_expert_intermediate_size": _of_experts("moe_shared_expert_intermediate_size"),
    "moe_shared_expert_gate": lambda a: bool(a.moe_shared_expert_gate),
    "mtp_num_layers": lambda a: a.mtp_num_layers or None,
    "moe_ffn_hidden_size": lambda a: a.moe_ffn_hidden_size,
}


def content(path: pathlib.Path) -> dict:
    """What a manifest says, of a checkpoint of Megatron-LM: counts, and as much of the architecture as can be read."""
    found = common(path)
    arguments = found.get("args")
    iteration = _number(found.get("iteration"))
    samples = _number(getattr(arguments, "consumed_train_samples", 0))
    length = _number(getattr(arguments, "seq_length", 0))
    skipped = _number(getattr(arguments, "skipped_train_samples", 0))
    counts = {
        "iteration": iteration,
        "consumed_samples": samples,
        "consumed_tokens": samples * length,
        "skipped": skipped,
        "updates": _updates(found, iteration),
    }
    return {"counts": counts, "architecture": architecture(arguments)}


def architecture(arguments: Any) -> dict[str, Any]:
    """Our fields, as far as they follow from Megatron-LM's arguments."""
    found = {}
    for field, rule in FIELDS.items():
        try:
            value = rule(arguments)
        except AttributeError:
            continue
        if value is None or isinstance(value, bool | int | float | str):
            found[field] = value
    return found


def common(path: pathlib.Path) -> dict:
    """What all of a checkpoint's processes share; empty where the file is not there."""
    if not (path / "common.pt").exists():
        return {}
    found = safe_pickle.load_torch_file(path / "common.pt")
    return found if isinstance(found, dict) else {}


def _updates(common: dict, iteration: int) -> int:
    """Adam's step count, which Megatron-LM keeps in the optimizer's parameter groups."""
    optimizer = common.get("optimizer")
    while isinstance(optimizer, dict) and "param_groups" not in optimizer:
        optimizer = optimizer.get("optimizer", optimizer.get(0))
    groups = optimizer["param_groups"] if isinstance(optimizer, dict) else []
    steps = [group["step"] for group in groups if isinstance(group, dict) and isinstance(group.get("step"), int | float)]
    return int(steps[0]) if steps else iteration


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
