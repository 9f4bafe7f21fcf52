"""One forward pass for reading, through all pipeline stages: what goes in is on every process, logits come out on the last stage.

megatron-core's schedules move micro-batches of one fixed shape, forward and backward; here a stage waits for the one before
it, and a step is one token long.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from megatron.core import parallel_state

from megatron_ext.models.encoder import NO_SENTENCE
from megatron_ext.models.two_stacks import Stretches


def is_last_stage() -> bool:
    return parallel_state.is_pipeline_last_stage(ignore_virtual=True)


def forward(
    model, ids: torch.Tensor, positions: torch.Tensor, cache=None, encoder: torch.Tensor | None = None
) -> torch.Tensor | None:
    """fp32 logits over the real vocabulary, whole on every process of the last stage; None on the others.

    Args:
        model: this process's part of a GPT.
        ids, positions: `[b, s]`, the same on all processes that share the model.
        cache: a models.cache.Cache to which the tokens were announced: then logits are of each row's last token,
            `[b, 1, v]`; without one, of all, `[b, s, v]`.
        encoder: what the encoder reads of a model that has one before its decoder, `[b, s']`; `[b, 0]` once a cache has it.
    """
    if encoder is None:
        tokens = None if cache is None else cache.tokens
        inputs, settings = (ids, positions, None), {"extra_block_kwargs": {"attention_bias": tokens}}
    else:
        places = torch.arange(encoder.shape[1], device=ids.device).expand_as(encoder)
        inputs, settings = (encoder, places, ids, positions, Stretches.reading(cache, encoder.shape[1])), {}
    length = ids.shape[1] + (0 if encoder is None else encoder.shape[1])
    found = through(model, len(ids), length, *inputs, inference_context=cache, **settings)
    return None if found is None else found[..., : model.config.vocab_size].float()


def logits(model, batch: dict[str, torch.Tensor]) -> torch.Tensor | None:
    """The same of all tokens that are predicted from in a batch as training has it, `[b, s, v]`."""
    _, arguments = type(model).arguments(batch, model.config)
    length = sum(batch[name].shape[1] for name in ("input_ids", "decoder_input_ids") if name in batch)
    found = through(model, len(batch["input_ids"]), length, **arguments | {"labels": None})
    if found is None:
        return None
    words = found[0] if isinstance(found, tuple) else found  # without those of sentences
    return words[..., : model.config.vocab_size].float()


def together(samples: Sequence[dict[str, np.ndarray]], device: torch.device) -> dict[str, torch.Tensor]:
    """A batch of samples of one document each, numbered 0; padding at the end is another document's, and has no label."""
    batch = {}
    for name, first in samples[0].items():
        empty = 1 if name.endswith("documents") else NO_SENTENCE if name == "sentence_labels" else 0
        rows = [sample[name] for sample in samples]
        whole = np.full((len(rows), max(map(len, rows))), empty, first.dtype)
        for row, values in zip(whole, rows):
            row[: len(values)] = values
        batch[name] = torch.from_numpy(whole).to(device)
    return batch


def through(model, rows: int, length: int, *inputs, **settings):
    """What the model gives on the last stage; None on the others.

    Args:
        length: tokens that go through the layers, of all stretches together.
        inputs, settings: what the model is called with.
    """
    if not parallel_state.is_pipeline_first_stage(ignore_virtual=True):
        hidden = torch.empty((length, rows, model.config.hidden_size), dtype=model.config.params_dtype, device=_device(model))
        torch.distributed.recv(hidden, src=parallel_state.get_pipeline_model_parallel_prev_rank())
        model.set_input_tensor(hidden)
    output = model(*inputs, **settings, runtime_gather_output=True)
    if is_last_stage():
        return output
    torch.distributed.send(output.contiguous(), dst=parallel_state.get_pipeline_model_parallel_next_rank())
    return None


def _device(model) -> torch.device:
    return next(model.parameters()).device


def share(tensor: torch.Tensor) -> torch.Tensor:
    """Of the processes that hold one model, give all what the last stage's first has; in place."""
    group = parallel_state.get_model_parallel_group()
    ranks = torch.distributed.get_process_group_ranks(group)
    if len(ranks) > 1:  # stage by stage, each with its tensor-parallel processes in order
        torch.distributed.broadcast(tensor, src=ranks[-parallel_state.get_tensor_model_parallel_world_size()], group=group)
    return tensor
