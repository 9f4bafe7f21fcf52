"""A trained run, opened for use: its model in evaluation mode, whole or spread, and its tokenizer.

The layout is the tool's, whatever the run was trained on, and without sequence parallelism: what is read and written here is
a few tokens, not a batch. Layers are the local ones, whose attention can keep a cache; with Transformer Engine installed they
give the same function.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
import yaml

from megatron_ext.arguments.config import Config, read
from megatron_ext.arguments.problems import Problem, UserError, option
from megatron_ext.backend import distributed
from megatron_ext.backend.flags import ParallelFlags
from megatron_ext.checkpoint.compatibility import TOKENIZER
from megatron_ext.checkpoint.conversion.folder import is_huggingface
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from megatron_ext.checkpoint.conversion.tokenizer_files import tokenizer_of
from megatron_ext.checkpoint.load_model import load_weights
from megatron_ext.checkpoint.verification import find_checkpoint
from megatron_ext.models.flags import ModelFlags
from megatron_ext.tokenizers.files import PATHS, kept_in
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


def open_run(flags, device: torch.device, in_fp32: bool = False) -> Trained:
    """The newest checkpoint of `--load` (or the checkpoint that it is, or a Hugging Face folder), read by all processes.
    UserError says what is wrong.

    Args:
        in_fp32: compute so, whatever the run did.
    """
    checkpoint = distributed.first_for_all(lambda: find_checkpoint("--load", flags.load))
    if checkpoint is None:
        raise UserError(
            f"--load {flags.load}: there is no checkpoint in this folder; give the folder that training saved to (--save)",
            shared=True,
        )
    config = _configuration(checkpoint, flags, device, ["--no-bf16", "--no-fp16"] if in_fp32 else [])
    parallel = config.parallel
    distributed.initialize_model_parallel(
        tensor=parallel.tensor_model_parallel_size,
        pipeline=parallel.pipeline_model_parallel_size,
        expert_tensor=parallel.expert_tensor_parallel_size,
    )
    return _build(config, checkpoint, device)


def _configuration(checkpoint: pathlib.Path, flags, device: torch.device, argv: list[str]) -> Config:
    """The run's configuration, in the layout that the tool was asked for. ConfigurationError if the model cannot have it."""
    tensor, pipeline = str(flags.tensor_model_parallel_size), str(flags.pipeline_model_parallel_size)
    layout = ["--tensor-model-parallel-size", tensor, "--pipeline-model-parallel-size", pipeline]
    layout += ["--expert-tensor-parallel-size", tensor, "--transformer-impl", "local", "--device", device.type, *argv]
    if is_huggingface(checkpoint):
        return of_folder(HuggingFaceSource(checkpoint), [*layout, *_given_tokenizer(flags)], (_Stages,))
    if not (checkpoint / "run.yaml").exists():
        raise UserError(
            f"{checkpoint}: has no run.yaml, which tells the architecture; a checkpoint of Megatron-LM becomes a run by "
            "pretrain_gpt.py --load … --save …",
            shared=True,
        )
    return read(
        GROUPS,
        ["--config", str(checkpoint / "run.yaml"), *layout, *_tokenizer(checkpoint, flags)],
        "",
        "",
        _processes(),
        without=ParallelFlags,
        checked=(ModelFlags, TokenizerFlags, _Stages),
    )


def configuration_of(checkpoint: pathlib.Path, **tokenizer: str) -> Config:
    """A run's configuration, for one process on the CPU. `tokenizer`: flags by field that name it, where it is not its own."""
    names = ("tokenizer_type", *PATHS)
    alone = SimpleNamespace(tensor_model_parallel_size=1, pipeline_model_parallel_size=1, **dict.fromkeys(names) | tokenizer)
    return _configuration(checkpoint, alone, torch.device("cpu"), [])


def of_folder(source: HuggingFaceSource, argv: Sequence[str], checked: Sequence[type] = ()) -> Config:
    """The configuration that a Hugging Face folder means: its model, its weights' type, its tokenizer unless one is given."""
    kind = {torch.bfloat16: ["--bf16"], torch.float16: ["--fp16"]}.get(source.weights_dtype(), [])
    given = any(each in argv for each in ("--tokenizer-model", "--vocab-file", "--tokenizer-type"))
    whose = [] if given else tokenizer_of(source.path)
    size = ["--vocab-size", str(source.vocab_size)]
    checked = (ModelFlags, TokenizerFlags, *checked)
    base = source.learnt | source.values
    return read(GROUPS, [*kind, *whose, *size, *argv], "", "", _processes(), base=lambda _: base, checked=checked)


def _processes() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


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
    """Where the tokenizer is, as flags for what run.yaml says otherwise: it is kept in the checkpoint.

    In a checkpoint that has none, a path counts; a relative one was relative to the folder that the run was trained in: most
    often one above the run's own.
    """
    found = _given_tokenizer(flags)
    if any(getattr(flags, name) for name in PATHS):
        return found
    try:
        saved = yaml.safe_load((checkpoint / "run.yaml").read_text(encoding="utf-8"))
        given = {name: _from_above(checkpoint, saved[name]) for name in PATHS if saved.get(name)}
        if (checkpoint / TOKENIZER).is_dir():
            given = kept_in(checkpoint / TOKENIZER, saved)
    except (OSError, yaml.YAMLError, AttributeError):
        return found  # reading the configuration tells what is wrong with the file
    return [*found, *_words(given)]


def _given_tokenizer(flags) -> list[str]:
    names = ("tokenizer_type", *PATHS)
    return _words({name: getattr(flags, name) for name in names if getattr(flags, name) is not None})


def _words(values: Mapping[str, str]) -> list[str]:
    """Values by field, as they are typed."""
    return [word for name, value in values.items() for word in (option(name), value)]


def _from_above(checkpoint: pathlib.Path, path: str) -> str:
    """`path` from the nearest folder above where it is, or what has its name in the run's folder, or as it was."""
    own = checkpoint.resolve().parent / pathlib.PurePath(path).name
    found = (folder / path for folder in checkpoint.resolve().parents if (folder / path).exists())
    return str(next(found, own if own.exists() else path))


def _build(config: Config, checkpoint: pathlib.Path, device: torch.device) -> Trained:
    from megatron_ext.models import gpt
    from megatron_ext.models.config import model_config
    from megatron_ext.tokenizers.build import build

    tokenizer = build(config.tokenizer)
    core = model_config(config, tokenizer.model_entries, "local")
    # Norms too are of the type that was trained, as megatron-core's Float16Module has them.
    model = gpt.build(config.model, core, seed=None)[0].to(core.params_dtype).eval()
    load_weights(model, checkpoint)
    return Trained(config, model, tokenizer, device, config.model.max_position_embeddings)
