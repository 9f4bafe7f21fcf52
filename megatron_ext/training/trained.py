"""A trained run, opened for use: its model in evaluation mode, whole or spread, and its tokenizer.

The layout is the tool's, whatever the run was trained on, and without sequence parallelism: what is read and written here is
a few tokens, not a batch. Layers are the local ones, whose attention can keep a cache; with Transformer Engine installed they
give the same function.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import torch
import yaml

from megatron_ext.arguments.config import Config, read
from megatron_ext.arguments.problems import Problem, UserError
from megatron_ext.backend import distributed
from megatron_ext.backend.flags import ParallelFlags
from megatron_ext.checkpoint.load_model import load_weights
from megatron_ext.checkpoint.verification import find_checkpoint
from megatron_ext.models.flags import ModelFlags
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.training.configuration import GROUPS


@dataclasses.dataclass(frozen=True)
class Trained:
    """Attributes: model: this process's part; window: the most tokens that the model takes at once."""

    config: Config
    model: torch.nn.Module
    tokenizer: Any
    device: torch.device
    window: int


@contextlib.contextmanager
def joined(flags, launch: distributed.Launch) -> Iterator[torch.device]:
    """Inside, this process is one of the tool's; nothing is read yet, so that the tool can look at its other inputs first.

    Args:
        flags: `training.flags.TrainedFlags`, checked.
    """
    device = distributed.start(launch, distributed.resolve_device(flags.device), flags.distributed_timeout_minutes)
    try:
        yield device
    finally:
        distributed.stop()


def open_run(flags, device: torch.device) -> Trained:
    """The newest checkpoint of `--load` (or the checkpoint that it is), read by all processes. UserError says what is wrong."""
    checkpoint = distributed.first_for_all(lambda: find_checkpoint("--load", flags.load))
    if checkpoint is None:
        raise UserError(
            f"--load {flags.load}: there is no checkpoint in this folder; give the folder that training saved to (--save)",
            shared=True,
        )
    config = _configuration(checkpoint, flags, device)
    parallel = config.parallel
    distributed.initialize_model_parallel(
        tensor=parallel.tensor_model_parallel_size,
        pipeline=parallel.pipeline_model_parallel_size,
        expert_tensor=parallel.expert_tensor_parallel_size,
    )
    return _build(config, checkpoint, device)


def _configuration(checkpoint: pathlib.Path, flags, device: torch.device) -> Config:
    """The run's configuration, in the layout that the tool was asked for. ConfigurationError if the model cannot have it."""
    if not (checkpoint / "run.yaml").exists():
        raise UserError(
            f"--load {checkpoint}: has no run.yaml, which tells the architecture; a checkpoint of Megatron-LM becomes a run by "
            "pretrain_gpt.py --load … --save …",
            shared=True,
        )
    tensor, pipeline = str(flags.tensor_model_parallel_size), str(flags.pipeline_model_parallel_size)
    layout = ["--tensor-model-parallel-size", tensor, "--pipeline-model-parallel-size", pipeline]
    layout += ["--expert-tensor-parallel-size", tensor, "--transformer-impl", "local", "--device", device.type]
    return read(
        GROUPS,
        ["--config", str(checkpoint / "run.yaml"), *layout, *_tokenizer(checkpoint, flags)],
        "",
        "",
        torch.distributed.get_world_size(),
        without=ParallelFlags,
        checked=(ModelFlags, TokenizerFlags, _Stages),
    )


class _Stages:
    """Stages are even here, however the run's were."""

    @staticmethod
    def check(c):
        if c.num_layers % c.pipeline_model_parallel_size:
            yield Problem(
                "--pipeline-model-parallel-size",
                c.pipeline_model_parallel_size,
                f"does not divide the model's {c.num_layers} layers",
            )


def _tokenizer(checkpoint: pathlib.Path, flags) -> list[str]:
    """Where the tokenizer is, as flags for what run.yaml says otherwise.

    A relative path was relative to the folder that the run was trained in: most often one above the run's own.
    """
    found = ["--tokenizer-type", flags.tokenizer_type] if flags.tokenizer_type else []
    files = ("tokenizer_model", "vocab_file", "merge_file")
    given = {name: getattr(flags, name) for name in files if getattr(flags, name) is not None}
    if not given:
        try:
            saved = yaml.safe_load((checkpoint / "run.yaml").read_text(encoding="utf-8"))
            given = {name: _from_above(checkpoint, saved[name]) for name in files if saved.get(name)}
        except (OSError, yaml.YAMLError, AttributeError):
            pass  # reading the configuration tells what is wrong with the file
    for name, path in given.items():
        found += ["--" + name.replace("_", "-"), path]
    return found


def _from_above(checkpoint: pathlib.Path, path: str) -> str:
    """`path` from the nearest folder above where it is, or as it was."""
    return next((str(folder / path) for folder in checkpoint.resolve().parents if (folder / path).exists()), path)


def _build(config: Config, checkpoint: pathlib.Path, device: torch.device) -> Trained:
    from megatron_ext.models import gpt
    from megatron_ext.models.config import model_config
    from megatron_ext.tokenizers.build import build

    tokenizer = build(config.tokenizer)
    core = model_config(config, tokenizer.vocab_size, "local")
    # Norms too are of the type that was trained, as megatron-core's Float16Module has them.
    model = gpt.build(config.model, core, seed=None)[0].to(core.params_dtype).eval()
    load_weights(model, checkpoint)
    return Trained(config, model, tokenizer, device, config.model.max_position_embeddings)
