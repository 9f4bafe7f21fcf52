"""A model of ours, on one process, filled by global name or from a Hugging Face folder: what parity tests compare with others."""

from __future__ import annotations

import contextlib
import pathlib

import torch


def logits_and_gradients(launch, argv: list[str], weights: dict[str, torch.Tensor], tokens: torch.Tensor):
    """Build the model of `argv`, fill it with `weights`, and return `(logits [b, s, v], loss, gradients by name)`.

    The loss is the mean over all targets; gradients have the shapes that the weights were given in.
    """
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration(["--mock-data", "--train-iters", "1", "--device", "cpu", *argv], launch.world_size)
    with processes(launch, config):
        from megatron_ext.objectives import causal_lm

        model, parameters = filled(config, weights)
        logits, loss = _logits_and_loss(model, causal_lm, tokens)
        return logits, loss, {name: parameter.grad.reshape(weights[name].shape) for name, parameter in parameters.items()}


def of_folder(launch, folder: pathlib.Path, tokens: torch.Tensor):
    """The same of a Hugging Face folder, as `--load` reads it; gradients by place."""
    with opened(launch, folder) as (_, model):
        from megatron_ext.backend.placement import placements
        from megatron_ext.objectives import causal_lm

        logits, loss = _logits_and_loss(model, causal_lm, tokens)
        return logits, loss, {place: parameter.grad.view(place.local) for place, parameter in placements(model)}


def of_folder_and_batch(launch, folder: pathlib.Path, batch: dict[str, torch.Tensor]):
    """The same for a batch that is there."""
    with opened(launch, folder) as (_, model):
        from megatron_ext.backend.placement import placements

        logits, loss = _of_batch(model, batch)
        return logits, loss, {place: parameter.grad.view(place.local) for place, parameter in placements(model)}


def of_batch(launch, argv: list[str], weights: dict[str, torch.Tensor], batch: dict[str, torch.Tensor]):
    """The same of `argv` and weights; gradients by name, in the shapes that the weights were given in."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration(["--mock-data", "--device", "cpu", *argv], launch.world_size)
    with processes(launch, config):
        model, parameters = filled(config, weights)
        logits, loss = _of_batch(model, batch)
        return logits, loss, {name: parameter.grad.reshape(weights[name].shape) for name, parameter in parameters.items()}


def _of_batch(model, batch: dict[str, torch.Tensor]):
    _, arguments = type(model).arguments(batch, model.config)
    with torch.no_grad():
        found = model(**arguments | {"labels": None})
    several = found if isinstance(found, tuple) else (found,)  # an encoder's: also logits of sentences
    logits = several[0][..., : model.config.vocab_size], *several[1:]
    mask = batch["loss_mask"]
    asked = mask if "sentence_labels" not in batch else mask + (batch["sentence_labels"] >= 0)
    loss = (model(**arguments) * asked).sum() / mask.sum()
    loss.backward()
    return logits if len(logits) > 1 else logits[0], loss.item()


@torch.no_grad()
def beside_theirs(gradients: dict, reference, folder: pathlib.Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """`(ours, theirs)` by name: transformers saves its gradients as weights, and they are read by the family's mapping."""
    from megatron_ext.checkpoint.conversion.source import HuggingFaceSource

    for parameter in reference.parameters():
        parameter.copy_(parameter.grad)
    reference.save_pretrained(folder)
    theirs = HuggingFaceSource(folder)
    return {place.name: (gradient, theirs.block(place)) for place, gradient in gradients.items()}


@contextlib.contextmanager
def opened(launch, folder: pathlib.Path):
    """Inside, `(configuration, model)` of a Hugging Face folder."""
    from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
    from megatron_ext.training.layout import processes
    from megatron_ext.training.trained import of_folder

    config = of_folder(HuggingFaceSource(folder), ["--device", "cpu"])
    with processes(launch, config):
        from megatron_ext.checkpoint.load_model import load_weights

        model = _empty(config)
        load_weights(model, folder)
        yield config, model


def _logits_and_loss(model, causal_lm, tokens: torch.Tensor):
    batch = causal_lm.batch(tokens)
    arguments = (batch["input_ids"], batch["position_ids"], None)
    with torch.no_grad():
        logits = model(*arguments)[..., : model.config.vocab_size]
    total, count = causal_lm.loss(model(*arguments, labels=batch["labels"]), batch)
    loss = total / count
    loss.backward()
    return logits, loss.item()


def _empty(config):
    from megatron_ext.models import gpt
    from megatron_ext.models.config import model_config

    core = model_config(config, config.tokenizer.vocab_size, "local")
    return gpt.build(config.model, core, seed=None)[0].eval()


def filled(config, weights: dict[str, torch.Tensor]):
    """`(model, its parameters by name)` of a configuration, with these weights."""
    from megatron_ext.backend.placement import placements

    model = _empty(config)
    parameters = {place.name: parameter for place, parameter in placements(model)}
    assert parameters.keys() == weights.keys(), parameters.keys() ^ weights.keys()
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name].reshape(parameter.shape))
    return model, parameters


def interleave(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, groups: int) -> torch.Tensor:
    """Rows of the three projections in megatron-core's order: for each group its queries, its key, its value."""
    parts = [rows.reshape(groups, -1, *rows.shape[1:]) for rows in (query, key, value)]
    return torch.cat(parts, dim=1).reshape(-1, *query.shape[1:])
