"""A trained run, opened for use: model, tokenizer and configuration on one process, for generation and evaluation."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import torch

from megatron_ext.arguments.config import Config
from megatron_ext.backend.distributed import Launch
from megatron_ext.backend.flags import ParallelFlags
from megatron_ext.checkpoint.load_model import find_checkpoint, load_weights
from megatron_ext.training.configuration import read_configuration
from megatron_ext.training.layout import processes


@dataclasses.dataclass(frozen=True)
class Trained:
    """Attributes: window: the most tokens that the model takes at once."""

    config: Config
    model: torch.nn.Module
    tokenizer: Any
    device: torch.device
    window: int


@contextlib.contextmanager
def trained_model(folder: str, device: str) -> Iterator[Trained]:
    """The newest checkpoint of a run's folder (or the checkpoint that `folder` is), in evaluation mode."""
    checkpoint = find_checkpoint(folder)
    # What the run was spread over does not matter for using it: one process holds it whole.
    config = read_configuration(
        ["--config", str(checkpoint / "run.yaml"), "--device", device], world_size=1, without=ParallelFlags
    )
    with processes(
        Launch(rank=0, world_size=1, local_rank=0, local_world_size=1, master_addr="", master_port=0, launcher="python"), config
    ) as where:
        from megatron_ext.backend.kernels import transformer_impl
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config
        from megatron_ext.tokenizers.build import build

        tokenizer = build(config.tokenizer)
        core = model_config(config, tokenizer.vocab_size, transformer_impl(config.parallel.transformer_impl, where.type))
        model = gpt.build(config.model, core, seed=None)[0].eval()
        load_weights(model, checkpoint)
        yield Trained(config, model, tokenizer, where, config.model.max_position_embeddings)
