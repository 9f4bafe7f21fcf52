"""The router against its papers, token by token: weights, losses and their gradients, capacity, the bias."""

from __future__ import annotations

import math

import pytest
import torch

from tests.layouts.training_case import outcome

EXPERTS, TOPK, LENGTH, ROWS, WIDTH = 6, 2, 10, 3, 8
BASE = f"--preset tiny --hidden-size {WIDTH} --num-attention-heads 2 --num-experts {EXPERTS} --moe-router-topk {TOPK}".split()


def route(launch, argv, training, batches, bias=None):
    """One router's `(weights, where tokens go, gradient of the inputs by the losses alone)` for each micro-batch."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*argv, "--mock-data", "--vocab-size", "50", "--device", "cpu"], launch.world_size)
    with processes(launch, config):
        from megatron.core.transformer.moe.moe_utils import get_default_pg_collection

        from megatron_ext.models.config import model_config
        from megatron_ext.models.moe.router import Router

        router = Router(model_config(config, 50, "local"), get_default_pg_collection()).train(training)
        torch.manual_seed(0)
        with torch.no_grad():
            router.weight.normal_()
            if bias is not None:
                router.expert_bias.copy_(bias)
        found = []
        for batch in batches:
            inputs = batch.clone().requires_grad_()
            weights, chosen = router(inputs)
            (weights.sum() * 0).backward()
            found.append((weights.detach(), chosen, inputs.grad))
        return found, router.weight.detach(), router.seen.take(), router.local_tokens_per_expert


def one(pool, *argv, training=True, count=1, bias=None):
    """`(batches, what route gave)`"""
    torch.manual_seed(1)
    batches = [torch.randn(LENGTH, ROWS, WIDTH) for _ in range(count)]
    return batches, pool.run(route, 1, [*BASE, *argv], training, batches, bias)[0]


def naive(logits, scores_of, groups=1, of_groups=1, bias=None, scale=1.0):
    """Weights `[tokens, experts]` by a loop over tokens."""
    weights = torch.zeros_like(logits)
    for row, token in enumerate(logits):
        ranked = token if bias is None else torch.sigmoid(token) + bias
        if of_groups < groups:
            parts = ranked.view(groups, -1)
            best = sorted(range(groups), key=lambda g: -parts[g].topk(TOPK // of_groups).values.sum())[:of_groups]
            ranked = torch.stack([parts[g] if g in best else torch.full_like(parts[g], -math.inf) for g in range(groups)]).view(
                -1
            )
        chosen = sorted(range(EXPERTS), key=lambda e: -ranked[e])[:TOPK]
        for expert, weight in zip(chosen, scores_of(token, chosen), strict=True):
            weights[row, expert] = weight * scale
    return weights


def mixtral(token, chosen):
    return torch.softmax(token[chosen], dim=0)


def switch(token, chosen):
    return torch.softmax(token, dim=0)[chosen]


def deepseek(token, chosen):
    return torch.sigmoid(token)[chosen] / torch.sigmoid(token)[chosen].sum()


BIAS = torch.tensor([0.3, -0.4, 0.0, 0.2, -0.1, 0.5])
SIGMOID = ["--moe-router-score-function", "sigmoid"]


@pytest.mark.compares(
    "the papers' formulas, token by token", within="1e-5", moe_router_topk=True, moe_router_score_function=True,
    moe_router_pre_softmax=True, moe_router_topk_scaling_factor=True, moe_router_num_groups=True, moe_router_group_topk=True,
    moe_router_enable_expert_bias=True,
)  # fmt: skip
@pytest.mark.parametrize(("argv", "bias", "expected"), [
    ([], None, lambda logits: naive(logits, mixtral)),
    (["--moe-router-pre-softmax"], None, lambda logits: naive(logits, switch)),
    ([*SIGMOID, "--moe-router-topk-scaling-factor", "2.5"], None, lambda logits: naive(logits, deepseek, scale=2.5)),
    ([*SIGMOID, "--moe-router-enable-expert-bias"], BIAS, lambda logits: naive(logits, deepseek, bias=BIAS)),
    (["--moe-router-num-groups", "3", "--moe-router-group-topk", "1"], None, lambda logits: naive(logits, mixtral, 3, 1)),
    ([*SIGMOID, "--moe-router-enable-expert-bias", "--moe-router-num-groups", "3", "--moe-router-group-topk", "2"], BIAS,
     lambda logits: naive(logits, deepseek, 3, 2, BIAS)),
])  # fmt: skip
def test_weights_are_the_papers(argv, bias, expected, pool):
    (batch,), ([(weights, chosen, _)], matrix, *_) = one(pool, *argv, bias=bias)
    wanted = expected((batch @ matrix.T).flatten(0, 1))
    torch.testing.assert_close(weights, wanted)
    assert torch.equal(chosen, wanted > 0)


def balance(logits, chosen_of, scores):
    """E · Σ f_i · P_i of one group of tokens, `chosen_of` the tokens that f is counted in."""
    f = torch.stack([sum(row) for row in zip(*chosen_of, strict=True)]) / (TOPK * len(chosen_of))
    return EXPERTS * (f * scores.mean(dim=0)).sum()


def chosen_rows(logits):
    rows = torch.zeros_like(logits)
    for row, token in zip(rows, logits, strict=True):
        row[token.topk(TOPK).indices] = 1.0
    return list(rows)


def losses_by_hand(kind, batches, matrix, sigmoid=False):
    """What each micro-batch adds to the sum of losses over tokens, with gradients."""
    seen, found = [], []
    for batch in batches:
        logits = batch @ matrix.T  # [s, b, E]
        scores = torch.sigmoid(logits) if sigmoid else logits.softmax(-1)
        scores = scores / scores.sum(-1, keepdim=True)
        flat, flat_scores = logits.flatten(0, 1), scores.flatten(0, 1)
        tokens = len(flat)
        seen += chosen_rows(flat.detach())
        if kind == "z":
            found.append(flat.logsumexp(-1).square().mean() * tokens)
        elif kind == "seq_aux_loss":
            each = [balance(logits[:, row], chosen_rows(logits[:, row].detach()), scores[:, row]) for row in range(ROWS)]
            found.append(sum(each) * LENGTH)
        else:
            counted = chosen_rows(flat.detach()) if kind == "aux_loss" else seen
            found.append(balance(flat, counted, flat_scores) * tokens)
    return found


@pytest.mark.compares(
    "the papers' formulas, gradients too", within="1e-4", moe_router_load_balancing_type=True, moe_aux_loss_coeff=True,
    moe_z_loss_coeff=True,
)  # fmt: skip
@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("kind", ["aux_loss", "seq_aux_loss", "global_aux_loss", "z"])
def test_losses_weigh_by_the_tokens_they_are_taken_over(kind, sigmoid, pool):
    weight = 0.3
    argv = ["--moe-z-loss-coeff", str(weight)]
    if kind != "z":
        argv = ["--moe-router-load-balancing-type", kind, "--moe-aux-loss-coeff", str(weight)]
    batches, (found, matrix, seen, _) = one(pool, *argv, *(SIGMOID if sigmoid else []), count=3)
    inputs = [batch.clone().requires_grad_() for batch in batches]
    losses = losses_by_hand(kind, inputs, matrix, sigmoid)
    sum(weight * loss for loss in losses).backward()
    for (_, _, gradient), leaf in zip(found, inputs, strict=True):
        torch.testing.assert_close(gradient, leaf.grad, rtol=1e-4, atol=1e-6)
    assert seen[-1].item() == pytest.approx(weight * sum(losses).item(), rel=1e-5)


def test_several_losses_add_up(pool):
    kinds = ["--moe-router-load-balancing-type", "aux_loss", "seq_aux_loss", "--moe-aux-loss-coeff"]
    both, first, second = (one(pool, *kinds, *pair.split())[1][0][0][2] for pair in ("1 2", "1 0", "0 2"))
    torch.testing.assert_close(both, first + second)


@pytest.mark.compares("its rule, choice by choice", within="0", moe_expert_capacity_factor=True, moe_token_drop_policy=True)
@pytest.mark.parametrize("policy", ["position", "probs"])
def test_no_expert_takes_more_than_its_capacity(policy, pool):
    _, ([(all_weights, wanted, _)], *_) = one(pool)
    argv = ["--moe-expert-capacity-factor", "0.7", "--moe-token-drop-policy", policy]
    _, ([(weights, kept, _)], _, seen, _) = one(pool, *argv)
    capacity = math.ceil(0.7 * TOPK * LENGTH * ROWS / EXPERTS)
    expected = torch.zeros_like(wanted)
    for expert in range(EXPERTS):
        tokens = [token for token in range(LENGTH * ROWS) if wanted[token, expert]]
        if policy == "probs":
            tokens.sort(key=lambda token: -all_weights[token, expert])
        expected[tokens[:capacity], expert] = True
    assert torch.equal(kept, expected) and (wanted.sum(0) > capacity).any()
    torch.testing.assert_close(weights, all_weights * expected)
    assert seen[EXPERTS + 1] == (wanted.sum() - expected.sum())  # left out


def test_nobody_is_left_out_outside_training(pool):
    _, ([(weights, chosen, gradient)], _, seen, _) = one(
        pool, "--moe-expert-capacity-factor", "0.5", "--moe-aux-loss-coeff", "1", training=False
    )
    assert (chosen.sum(-1) == TOPK).all() and not gradient.any() and not seen.any()


def test_who_comes_late_does_not_push_out_who_came_before(pool):
    """With the policy `position`, where a token goes depends on no later position of any sequence."""
    torch.manual_seed(1)
    batch = torch.randn(LENGTH, ROWS, WIDTH)
    changed = batch.clone()
    changed[LENGTH // 2 :] = torch.randn(LENGTH - LENGTH // 2, ROWS, WIDTH)
    argv = [*BASE, "--moe-expert-capacity-factor", "0.5"]
    before, after = (pool.run(route, 1, argv, True, [each])[0][0][0][1] for each in (batch, changed))
    early = LENGTH // 2 * ROWS
    assert torch.equal(before[:early], after[:early]) and not torch.equal(before, after)


@pytest.mark.compares("its rule", within="0", moe_router_bias_update_rate=True)
def test_the_bias_moves_towards_those_with_too_few_tokens(pool, tmp_path):
    argv = [*BASE, *SIGMOID, "--moe-router-enable-expert-bias", "--moe-router-bias-update-rate", "0.25", "--mock-data"]
    run = outcome(pool, [*argv, "--vocab-size", "50", "--train-iters", "1"], 1, tmp_path)
    loads = run.records[0]["expert_load"]
    assert len(loads) == 4
    for layer, load in loads.items():
        expected = 0.25 * torch.sign(1 - torch.tensor(load))
        assert torch.equal(run.final[f"decoder.layers.{layer}.mlp.router.expert_bias"], expected) and expected.any()


def test_counts_are_exact_in_16_bits(pool):
    """megatron-core's counters are buffers, which bfloat16 would keep: 257 would be 256."""
    argv = [*BASE, *SIGMOID, "--moe-router-enable-expert-bias", "--bf16"]
    batches = [torch.ones(LENGTH, ROWS, WIDTH).bfloat16()] * 11
    _, _, seen, counted = pool.run(route, 1, argv, True, batches)[0]
    assert counted.dtype == torch.float32 and sorted(counted.tolist()) == [0.0] * 4 + [330.0] * 2
    assert torch.equal(seen[:EXPERTS], counted.double())
