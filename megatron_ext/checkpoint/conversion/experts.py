"""What families with experts share: keys of config.json, names of tensors, which layers are dense."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from megatron_ext.checkpoint.conversion.mapping import Rule, gate_and_up, same
from megatron_ext.checkpoint.conversion.settings import Settings
from megatron_ext.models.moe.layers import with_experts


def tensors(block: str, gate: str = "gate_proj", up: str = "up_proj", down: str = "down_proj") -> dict[str, Rule]:
    """Router and experts, which lie one by one, though transformers 5 joins them in memory. `block`: their name of the MLP."""
    expert = f"model.layers.*.{block}.experts.*"
    return {
        "decoder.layers.*.mlp.router": same(f"model.layers.*.{block}.gate"),
        "decoder.layers.*.mlp.experts.*.linear_fc1": gate_and_up(f"{expert}.{gate}", f"{expert}.{up}"),
        "decoder.layers.*.mlp.experts.*.linear_fc2": same(f"{expert}.{down}"),
    }


def shared(name: str) -> dict[str, Rule]:
    """The experts that every token goes to. `name`: theirs."""
    expert = f"model.layers.*.mlp.{name}"
    return {
        "decoder.layers.*.mlp.shared_experts.linear_fc1": gate_and_up(f"{expert}.gate_proj", f"{expert}.up_proj"),
        "decoder.layers.*.mlp.shared_experts.linear_fc2": same(f"{expert}.down_proj"),
    }


def softmax(settings: Settings, normalised: bool) -> dict[str, Any]:
    """A router by softmax. Its loss's coefficient is taken as it is, though transformers' loss is k times ours, of layers' means.

    Args:
        normalised: whether the weights of a token's experts sum to 1: then softmax over all is softmax over the chosen.
    """
    chosen = settings.get("num_experts_per_tok")
    if normalised and chosen == 1:
        settings.refuse("num_experts_per_tok", 1, "its weight would be 1 whatever the router says, and teach it nothing")
    return dict(
        num_experts=settings.get("num_experts", "num_local_experts"),
        moe_router_topk=chosen,
        moe_router_score_function="softmax",
        moe_router_pre_softmax=not normalised,
        moe_router_load_balancing_type=("aux_loss",),
        moe_aux_loss_coeff=(float(settings.get("router_aux_loss_coef", default=0.001)),),
    )


def softmax_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"num_experts_per_tok": values["moe_router_topk"], "router_aux_loss_coef": values["moe_aux_loss_coeff"][0]}


def where(layers: Sequence[bool]) -> str:
    """`--moe-layer-freq` of layers of which at least one has experts: `1`, or `[0]*3+[1]*58`."""
    if all(layers):
        return "1"
    return "+".join(f"[{int(there)}]*{len(list(alike))}" for there, alike in itertools.groupby(map(bool, layers)))


def layers_with_experts(values: Mapping[str, Any]) -> tuple[bool, ...]:
    """For each layer whether it has experts."""
    if values["num_experts"] is None:
        return (False,) * values["num_layers"]
    return with_experts(values["moe_layer_freq"], values["num_layers"])


def qwen(settings: Settings) -> dict[str, Any]:
    """Qwen's keys: every so many layers has experts, the last of them, but for those that are named."""
    every, dense = settings.get("decoder_sparse_step", default=1), settings.get("mlp_only_layers", default=[])
    layers = [(layer + 1) % every == 0 and layer not in dense for layer in range(settings.get("num_hidden_layers"))]
    if not any(layers):
        return {}
    return softmax(settings, normalised=settings.get("norm_topk_prob", default=False)) | dict(
        moe_layer_freq=where(layers), moe_ffn_hidden_size=settings.get("moe_intermediate_size")
    )


def qwen_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    layers = layers_with_experts(values)
    steps = (every for every in range(1, len(layers) + 1) if layers == tuple((n + 1) % every == 0 for n in range(len(layers))))
    every = next(steps, 1)
    dense = [layer for layer, there in enumerate(layers) if not there and (layer + 1) % every == 0]
    keys = {"decoder_sparse_step": every, "mlp_only_layers": dense}
    if not any(layers):
        return keys
    return keys | softmax_keys(values) | {
        "num_experts": values["num_experts"],
        "moe_intermediate_size": values["moe_ffn_hidden_size"],
        "norm_topk_prob": not values["moe_router_pre_softmax"],
    }  # fmt: skip
