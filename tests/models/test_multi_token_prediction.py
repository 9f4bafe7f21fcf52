"""Multi-token prediction against its paper, document by document and without shifting anything."""

from __future__ import annotations

import pytest
import torch

WORD, EOD, ROWS, LENGTH, DEPTH = 50, 49, 3, 17, 2
BASE = (
    "--preset tiny --num-layers 2 --mock-data --tokenizer-type null --device cpu --reset-attention-mask --reset-position-ids "
    f"--vocab-size {WORD} --seq-length {LENGTH} --mtp-num-layers {DEPTH} --mtp-loss-scaling-factor 0.7"
).split()


def costs(launch, argv, tokens, eod_mask_loss):
    """`(what the model adds up, by hand)`: nats and targets of each depth, and the gradient of all losses by every parameter."""
    from megatron_ext.objectives import Reading, causal_lm
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration(argv, launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.attention.tokens import Tokens
        from megatron_ext.models.config import model_config

        model = gpt.build(config.model, model_config(config, WORD, "local"), seed=1)[0].train()
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        batch = causal_lm.batch(tokens, Reading(EOD, True, True, eod_mask_loss))
        packed = Tokens.whole(LENGTH, tokens.device, batch["documents"])
        total, _ = causal_lm.loss(
            model(
                batch["input_ids"], batch["position_ids"], None, labels=batch["labels"], loss_mask=batch["loss_mask"],
                extra_block_kwargs={"attention_bias": packed},
            ),
            batch,
        )  # fmt: skip
        total.backward()
        taken = [layer.take().tolist() for layer in model.mtp.layers]
        gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        model.zero_grad()
        nats, by_hand = _by_hand(model, batch, config.model.mtp_loss_scaling_factor)
        by_hand.backward()
        return taken, nats, gradients, {name: parameter.grad for name, parameter in model.named_parameters()}


def _by_hand(model, batch, factor):
    sums, total = [[0.0, 0.0] for _ in range(DEPTH)], 0.0
    for row in range(ROWS):
        for number in batch["documents"][row].unique():
            here = batch["documents"][row] == number
            ids, labels, mask = (batch[name][row, here][None] for name in ("input_ids", "labels", "loss_mask"))
            count = ids.shape[1]
            places = torch.arange(count)[None]
            _, angles, *_ = model._preprocess(ids, places)
            hidden = model.decoder(
                model.embedding(ids, places), None, rotary_pos_emb=angles[:, None] if angles.dim() == 3 else angles
            )
            total = total + (_nats(model, hidden, labels) * mask).sum()
            for depth, layer in enumerate(model.mtp.layers, start=1):
                if depth >= count:
                    break
                embedded = model.embedding(ids[:, depth:], places[:, depth:])
                both = torch.cat([layer.enorm(embedded), layer.hnorm(hidden[: count - depth])], dim=-1)
                output, _ = layer.transformer_layer(
                    torch.nn.functional.linear(both, layer.eh_proj.weight),
                    attention_mask=None,
                    rotary_pos_emb=angles[: count - depth],
                )
                hidden = layer.final_layernorm(output)
                nats = (_nats(model, hidden, labels[:, depth:]) * mask[:, depth:]).sum()
                total = total + factor / DEPTH * nats
                sums[depth - 1][0] += nats.item()
                sums[depth - 1][1] += mask[:, depth:].sum().item()
    return sums, total


def _nats(model, hidden, labels):
    logits = torch.nn.functional.linear(hidden, model.embedding.word_embeddings.weight)[..., :WORD].transpose(0, 1)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)


@pytest.mark.parametrize(("extra", "eod_mask_loss"), [
    ([], False), (["--eod-mask-loss"], True), (["--recompute-granularity", "full"], False)
])  # fmt: skip
def test_losses_and_gradients_are_those_of_each_document_alone(extra, eod_mask_loss, pool):
    torch.manual_seed(3)
    tokens = torch.randint(0, EOD, (ROWS, LENGTH + 1))
    for row, ends in enumerate(([4, 5, 6, 12], [16], [])):
        tokens[row, ends] = EOD
    found, expected, gradients, wanted = pool.run(costs, 1, [*BASE, *extra], tokens, eod_mask_loss)[0]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[1] == theirs[1] > 0 and ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert gradients.keys() == wanted.keys() and any(name.startswith("mtp.") for name in wanted)
    for name, gradient in wanted.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-4, msg=name)


def test_evaluation_goes_without_them(pool):
    torch.manual_seed(3)
    tokens = torch.randint(0, EOD, (ROWS, LENGTH + 1))
    losses = pool.run(evaluated, 1, BASE, tokens)[0]
    assert losses[0] == losses[1]


def evaluated(launch, argv, tokens):
    """The model's loss in evaluation, with the further layers and after they were spoilt."""
    from megatron_ext.objectives import causal_lm
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration(argv, launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        model = gpt.build(config.model, model_config(config, WORD, "local"), seed=1)[0].eval()
        batch = causal_lm.batch(tokens)
        found = []
        for _ in range(2):
            with torch.no_grad():
                arguments = batch["input_ids"], batch["position_ids"], None
                found.append(causal_lm.loss(model(*arguments, labels=batch["labels"]), batch)[0].item())
                assert model(*arguments).shape[:2] == (ROWS, LENGTH)
                for parameter in model.mtp.parameters():
                    parameter.fill_(float("nan"))
        return found
