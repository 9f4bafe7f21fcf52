"""One forward pass for reading, through all pipeline stages: what goes in is on every process, logits come out on the last stage.

megatron-core's schedules move micro-batches of one fixed shape, forward and backward; here a stage waits for the one before
it, and a step is one token long.
"""

from __future__ import annotations

import torch
from megatron.core import parallel_state


def is_last_stage() -> bool:
    return parallel_state.is_pipeline_last_stage(ignore_virtual=True)


def forward(model, ids: torch.Tensor, positions: torch.Tensor, cache=None) -> torch.Tensor | None:
    """fp32 logits over the real vocabulary, whole on every process of the last stage; None on the others.

    Args:
        model: this process's part of a GPT.
        ids, positions: `[b, s]`, the same on all processes that share the model.
        cache: a models.cache.Cache to which the tokens were announced: then logits are of each row's last token,
            `[b, 1, v]`; without one, of all, `[b, s, v]`.
    """
    if not parallel_state.is_pipeline_first_stage(ignore_virtual=True):
        shape = (ids.shape[1], ids.shape[0], model.config.hidden_size)
        hidden = torch.empty(shape, dtype=model.config.params_dtype, device=ids.device)
        torch.distributed.recv(hidden, src=parallel_state.get_pipeline_model_parallel_prev_rank())
        model.set_input_tensor(hidden)
    output = model(
        ids,
        positions,
        None,
        inference_context=cache,
        runtime_gather_output=True,
        extra_block_kwargs={"attention_bias": None if cache is None else cache.tokens},
    )
    if not is_last_stage():
        torch.distributed.send(output.contiguous(), dst=parallel_state.get_pipeline_model_parallel_next_rank())
        return None
    return output[..., : model.config.vocab_size].float()


def share(tensor: torch.Tensor) -> torch.Tensor:
    """Of the processes that hold one model, give all what the last stage's first has; in place."""
    group = parallel_state.get_model_parallel_group()
    ranks = torch.distributed.get_process_group_ranks(group)
    if len(ranks) > 1:  # stage by stage, each with its tensor-parallel processes in order
        torch.distributed.broadcast(tensor, src=ranks[-parallel_state.get_tensor_model_parallel_world_size()], group=group)
    return tensor
