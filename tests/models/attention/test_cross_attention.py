"""Cross attention against scores written out: grouped queries, documents apart, several blocks, and who sees nothing."""

from __future__ import annotations

import pytest
import torch

HEADS, GROUPS, WIDTH, HIDDEN = 4, 2, 8, 32
SIZES = {"short": (9, 7), "several blocks": (150, 270)}


def attended(launch, line: str, sizes: tuple[int, int]):
    """`(output, gradients of both inputs, what a naive one gives of both)`; the first document's keys are left out of row 1."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    argv = (
        f"--architecture encoder-decoder --encoder-num-layers 1 --decoder-num-layers 1 --hidden-size {HIDDEN} --mock-data "
        f"--num-attention-heads {HEADS} --num-query-groups {GROUPS} --vocab-size 100 --train-iters 1 --device cpu {line}"
    )
    config = read_configuration(argv.split(), launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.attention.tokens import Tokens
        from megatron_ext.models.config import model_config

        module = gpt.build(config.model, model_config(config, 100, "local"), seed=1)[0].decoder.layers[1].cross_attention
        torch.manual_seed(0)
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        queries, keys = (torch.randn(size, 2, HIDDEN, requires_grad=True) for size in sizes)
        documents = [torch.arange(size).mul(3).div(size, rounding_mode="floor").repeat(2, 1) for size in sizes]
        documents[1][1, documents[1][1] == 0] = 1
        documents[0][0, -1] = -1  # padding, which sees none either
        tokens, found = Tokens.across(*documents), []
        for ways in (
            lambda: module(queries, None, key_value_states=keys, attention_bias=tokens),
            lambda: naive(module, queries, keys, documents),
        ):
            output, bias = ways()
            output = output if bias is None else output + bias
            gradients = torch.autograd.grad((output * torch.arange(HIDDEN)).sum(), (queries, keys))
            found.append((output.detach(), *gradients))
        return found


def naive(module, queries, keys, documents):
    query = module.linear_q(queries)[0].unflatten(-1, (HEADS, WIDTH))
    both = module.linear_kv(keys)[0].unflatten(-1, (GROUPS, 2, WIDTH)).repeat_interleave(HEADS // GROUPS, dim=2)
    scores = torch.einsum("qbhd,kbhd->bhqk", query, both[..., 0, :]) * WIDTH**-0.5
    seen = (documents[0][:, :, None] == documents[1][:, None])[:, None]
    shares = scores.masked_fill(~seen, -torch.inf).softmax(-1).nan_to_num(0.0)
    context = torch.einsum("bhqk,kbhd->qbhd", shares, both[..., 1, :]).flatten(2)
    return module.linear_proj(context)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("line", ["", "--add-bias-linear --position-embedding-type t5_bias", "--attention-backend unfused"])
def test_equals_scores_written_out(line, size, pool):
    ((ours, expected),) = pool.run(attended, 1, line, SIZES[size])
    for found, wanted in zip(ours, expected, strict=True):
        assert (found - wanted).norm() <= 1e-5 * wanted.norm()
