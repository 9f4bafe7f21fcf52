"""Flags of mixtures of experts (Megatron-LM's names): a part of the model's group."""

from __future__ import annotations

import dataclasses

from megatron_ext.arguments.flags import flag
from megatron_ext.arguments.problems import Problem
from megatron_ext.models.moe.layers import with_experts

BALANCE = ("aux_loss", "global_aux_loss", "seq_aux_loss", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MoeFlags:
    num_experts: int | None = flag(None, "experts in each MLP (mixture of experts)", least=2)
    moe_layer_freq: str = flag("1", "experts in every so many layers, or a pattern: [0]*3+[1]*58 has 3 dense layers first")
    moe_router_topk: int = flag(2, "experts a token goes to", least=1)
    moe_ffn_hidden_size: int | None = flag(None, "width inside an expert [ffn-hidden-size]", least=1)
    moe_shared_expert_intermediate_size: int | None = flag(
        None, "width of the experts that every token goes to, all of them together (DeepSeekMoE)", least=1
    )
    moe_shared_expert_gate: bool = flag(False, "the shared experts' output is multiplied by sigmoid(w·x) (Qwen 2)")
    moe_router_score_function: str = flag("softmax", "what makes an expert's score of its logit", choices=("sigmoid", "softmax"))
    moe_router_pre_softmax: bool | None = flag(
        None, "the softmax is taken over all experts, not over the chosen [with one expert a token]"
    )
    moe_router_topk_scaling_factor: float | None = flag(None, "the chosen experts' weights are multiplied by this", positive=True)
    moe_router_num_groups: int | None = flag(None, "groups of experts, of which a token goes to few (DeepSeek)", least=1)
    moe_router_group_topk: int | None = flag(None, "… and to how many", least=1)
    moe_router_load_balancing_type: tuple[str, ...] = flag(
        ("seq_aux_loss",),
        "over what --moe-aux-loss-coeff's loss is taken: micro-batch (aux_loss), sequence or global batch; several may be given",
        choices=BALANCE,
    )
    moe_aux_loss_coeff: tuple[float, ...] = flag((0.0,), "weight of each of these losses", least=0.0)
    moe_z_loss_coeff: float | None = flag(None, "weight of the mean squared logsumexp of the router's logits", positive=True)
    moe_router_enable_expert_bias: bool = flag(
        False, "a bias on the scores when experts are chosen, moved after each update towards those with too few tokens"
    )
    moe_router_bias_update_rate: float = flag(1e-3, "how far that bias moves in an update", positive=True)
    moe_expert_capacity_factor: float | None = flag(
        None, "while training an expert takes so many times its even share of tokens, and no more [all that come]", positive=True
    )
    moe_token_drop_policy: str = flag(
        "position",
        "who is left out: whoever comes late, or scores low (which later tokens then decide)",
        choices=("position", "probs"),
    )
    moe_token_dispatcher_type: str = flag("alltoall", "how tokens travel to their experts", choices=("allgather", "alltoall"))

    @staticmethod
    def resolve_experts(c):
        if c.num_experts is not None and c.moe_ffn_hidden_size is None:
            c.moe_ffn_hidden_size = c.ffn_hidden_size
        if c.moe_router_pre_softmax is None:  # the softmax of one number is 1, and would teach the router nothing
            c.moe_router_pre_softmax = c.moe_router_topk == 1 and c.moe_router_score_function == "softmax"

    @staticmethod
    def check_experts(c):
        if c.num_experts is None:
            if c.expert_model_parallel_size > 1:
                value, reason = c.expert_model_parallel_size, "splits experts, and there are none"
                yield Problem("--expert-model-parallel-size", value, reason, "set --num-experts")
            return
        try:
            with_experts(c.moe_layer_freq, c.num_layers)
        except ValueError as error:
            yield Problem("--moe-layer-freq", c.moe_layer_freq, str(error))
        yield from _shapes(c)
        yield from _routing(c)
        yield from _balance(c)


def dense_layers(c) -> bool:
    """Whether any layer has no experts."""
    return c.num_experts is None or not all(with_experts(c.moe_layer_freq, c.num_layers))


def _shapes(c):
    size = c.expert_tensor_parallel_size
    if c.moe_ffn_hidden_size % size:
        reason = f"is not a multiple of --expert-tensor-parallel-size {size}"
        yield Problem("--moe-ffn-hidden-size", c.moe_ffn_hidden_size, reason)
    if c.num_experts % c.expert_model_parallel_size:
        reason = f"is not a multiple of --expert-model-parallel-size {c.expert_model_parallel_size}"
        yield Problem("--num-experts", c.num_experts, reason)
    shared, tensor = c.moe_shared_expert_intermediate_size, c.tensor_model_parallel_size
    if shared is not None and shared % tensor:
        reason = f"is not a multiple of --tensor-model-parallel-size {tensor}"
        yield Problem("--moe-shared-expert-intermediate-size", shared, reason)
    if c.moe_shared_expert_gate and shared is None:
        way_out = "add --moe-shared-expert-intermediate-size, or leave it out"
        yield Problem("--moe-shared-expert-gate", None, "gates shared experts, and there are none", way_out)
    if c.add_mlp_bias:
        option = "--add-bias-linear" if c.add_bias_linear else "--add-mlp-bias"
        yield Problem(option, None, "is not there for experts", "use --no-add-mlp-bias, or --no-add-bias-linear")


def _routing(c):
    if c.moe_router_topk > c.num_experts:
        yield Problem("--moe-router-topk", c.moe_router_topk, f"is more than --num-experts {c.num_experts}")
    if c.moe_router_score_function == "softmax" and c.moe_router_topk == 1 and not c.moe_router_pre_softmax:
        reason = "with --moe-router-topk 1 takes the softmax of one number, which teaches the router nothing"
        yield Problem("--no-moe-router-pre-softmax", None, reason, "leave it out")
    if c.moe_router_score_function == "sigmoid":
        if c.moe_router_pre_softmax:
            yield Problem("--moe-router-pre-softmax", None, "belongs to --moe-router-score-function softmax", "leave it out")
    elif c.moe_router_enable_expert_bias:
        reason = "is there for --moe-router-score-function sigmoid, whose scores it can be compared with"
        yield Problem("--moe-router-enable-expert-bias", None, reason, "add it")
    yield from _groups(c)


def _groups(c):
    groups, chosen = c.moe_router_num_groups, c.moe_router_group_topk
    if (groups is None) != (chosen is None):
        given, other = ("--moe-router-num-groups", "--moe-router-group-topk")[:: 1 if chosen is None else -1]
        yield Problem(given, groups or chosen, f"is half of what is needed; {other} is missing", f"add {other}")
    elif groups is not None:
        if c.num_experts % groups:
            yield Problem("--moe-router-num-groups", groups, f"does not divide --num-experts {c.num_experts}")
        if chosen > groups:
            yield Problem("--moe-router-group-topk", chosen, f"is more than --moe-router-num-groups {groups}")
        if c.moe_router_topk % chosen:
            # a group's score is the sum of its topk / group-topk best experts
            yield Problem("--moe-router-group-topk", chosen, f"does not divide --moe-router-topk {c.moe_router_topk}")
        elif c.moe_router_topk // chosen > c.num_experts // groups:
            reason = f"groups have {c.num_experts // groups} experts, and of each {c.moe_router_topk // chosen} are to be chosen"
            yield Problem("--moe-router-num-groups", groups, reason)


def _balance(c):
    kinds, weights = c.moe_router_load_balancing_type, c.moe_aux_loss_coeff
    if len(kinds) != len(weights):
        reason = f"are {len(weights)}, and there are {len(kinds)} of --moe-router-load-balancing-type"
        yield Problem("--moe-aux-loss-coeff", " ".join(f"{weight:g}" for weight in weights), reason, "give each its weight")
    if "moe_router_load_balancing_type" in c.typed and kinds != ("none",) and not any(weights) and "moe_aux_loss_coeff" in c.open:
        if not c.megatron_defaults:
            reason, way_out = "has no effect without --moe-aux-loss-coeff", "give its weight, or leave it out"
            yield Problem("--moe-router-load-balancing-type", " ".join(kinds), reason, way_out)
    if len(set(kinds)) < len(kinds):
        yield Problem("--moe-router-load-balancing-type", " ".join(kinds), "names one twice")
    if "none" in kinds and (len(kinds) > 1 or any(weights)):
        yield Problem("--moe-router-load-balancing-type", " ".join(kinds), "takes no loss, and is given one", "leave one out")
