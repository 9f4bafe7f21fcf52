"""The router: which experts a token goes to, with what weight, and what it costs to send too many to the same.

    scores   s = softmax(x·W) of the chosen k (Mixtral, arXiv:2401.04088) or of all (Switch, arXiv:2101.03961), or sigmoid(x·W)
             divided by the sum of the chosen (DeepSeek-V3, arXiv:2412.19437, section 2.1.2)
    balance  E · Σ_i f_i · P_i, f_i the share of choices that fall on expert i, P_i its mean score: over a micro-batch
             (aux_loss, arXiv:2101.03961, equation 4), over each sequence (seq_aux_loss, arXiv:2412.19437, equation 17), or with
             the f_i of the global batch (global_aux_loss, arXiv:2501.11873): of all processes, and of the micro-batches so far
    z-loss   mean of logsumexp(x·W)² (ST-MoE, arXiv:2202.08906, equation 5)
    bias     no loss: b_i is added to the scores when experts are chosen, and moves by ± the rate after each update, towards
             those with too few tokens (arXiv:2408.15664)
    capacity while training, an expert takes factor · k · tokens / E of a process's tokens and no more (arXiv:2006.16668); not
             in evaluation or generation, where what a token gets must not depend on who else is there

The choice is megatron-core's. The losses are not: it weighs them by the tokens that a process holds (router.py, 0.16.1).
Here a loss over T tokens weighs T / (tokens of the update), so that coefficients mean the same on every layout.
`--moe-router-score-function`, `--moe-router-load-balancing-type`, `--moe-aux-loss-coeff` and others
"""

from __future__ import annotations

import torch
from megatron.core.transformer.moe.moe_utils import (
    MoEAuxLossAutoScaler,
    compute_routing_scores_for_aux_loss,
    get_capacity,
    topk_routing_with_score_function,
)
from megatron.core.transformer.moe.router import TopKRouter

from megatron_ext.models.moe.statistics import Seen


class Router(TopKRouter):
    """`[s, b, h]` → weights `[s·b, experts]`, 0 where a token does not go, and where it goes, a mask of the same shape.

    Attributes: seen: what went where while training, until somebody asks (statistics.py).
    """

    def __init__(self, config, pg_collection=None):
        super().__init__(config, pg_collection)
        for name in ("expert_bias", "local_tokens_per_expert", "global_tokens_per_expert", "ga_steps"):
            if name in self._buffers:  # which would be rounded with the weights to 16 bits, where counting ends at 256
                setattr(self, name, self._buffers.pop(name))
        self.seen = Seen(config.num_moe_experts)
        kinds, weights = config.moe_router_load_balancing_type, config.moe_aux_loss_coeff
        self.weights = {kind: weight for kind, weight in zip(kinds, weights, strict=True) if weight > 0}
        self.groups = {
            "aux_loss": self.tp_cp_group, "seq_aux_loss": self.tp_cp_group, "global_aux_loss": self.tp_dp_cp_group
        }  # fmt: skip

    def routing(self, logits: torch.Tensor, padding_mask: torch.Tensor | None = None):
        """logits: `[s, b, experts]`."""
        config, rows = self.config, logits.shape[1]
        logits = logits.flatten(0, 1)
        weights, chosen = topk_routing_with_score_function(
            logits,
            self.topk,
            use_pre_softmax=config.moe_router_pre_softmax,
            num_groups=config.moe_router_num_groups,
            group_topk=config.moe_router_group_topk,
            scaling_factor=config.moe_router_topk_scaling_factor,
            score_function=config.moe_router_score_function,
            expert_bias=self.expert_bias,
        )
        if not self.training:
            return weights, chosen
        kept_weights, kept = self._within_capacity(weights, chosen)
        if torch.is_grad_enabled():  # not in the first pass of what is computed again
            loss = self._loss(logits, rows)
            kept_weights = kept_weights if loss is None else MoEAuxLossAutoScaler.apply(kept_weights, loss)
            if self.expert_bias is not None:
                self.local_tokens_per_expert += chosen.sum(dim=0)
            self.seen.add(logits, chosen, kept, config.moe_router_score_function, loss)
        return kept_weights, kept

    def _within_capacity(self, weights: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        factor = self.config.moe_expert_capacity_factor
        if factor is None:
            return weights, chosen
        capacity = get_capacity(len(chosen) * self.topk, self.num_experts, factor)
        if self.config.moe_token_drop_policy == "position":
            kept = chosen & (chosen.cumsum(dim=0) <= capacity)
        else:
            best = weights.topk(min(capacity, len(weights)), dim=0).indices
            kept = chosen & torch.zeros_like(chosen).scatter(0, best, True)
        return weights * kept, kept

    def _loss(self, logits: torch.Tensor, rows: int) -> torch.Tensor | None:
        """This process's part of what is added to the update's loss, times the update's tokens."""
        losses = []
        if self.weights:
            chosen, scores = compute_routing_scores_for_aux_loss(logits, self.topk, self.config.moe_router_score_function)
            losses = [weight * self._balance(kind, scores, chosen, rows) for kind, weight in self.weights.items()]
        if self.config.moe_z_loss_coeff is not None:
            losses.append(self.config.moe_z_loss_coeff * torch.logsumexp(logits, dim=-1).square().sum())
        return sum(losses) if losses else None

    def _balance(self, kind: str, scores: torch.Tensor, chosen: torch.Tensor, rows: int) -> torch.Tensor:
        """This process's part of T · E · Σ_i f_i · P_i, summed over the sequences; T are the tokens that the f_i are counted in.

        scores, chosen: `[s·b, experts]`, a position's sequences after one another.
        """
        parts = rows if kind == "seq_aux_loss" else 1
        scores, chosen = (tensor.view(-1, parts, self.num_experts).sum(0) for tensor in (scores, chosen))
        counts, group = chosen.float(), self.groups[kind]
        if group.size() > 1:
            torch.distributed.all_reduce(counts, group=group)
        tokens = counts[0].sum() / self.topk
        if kind == "global_aux_loss":
            self.global_tokens_per_expert += counts[0]
            self.ga_steps += 1
            counts = self.global_tokens_per_expert / self.ga_steps
        return self.num_experts / (self.topk * tokens) * (counts * scores).sum()
