"""The groups of flags that a training run has, and how long the run is."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from megatron_ext.arguments.config import Config, read
from megatron_ext.arguments.flags import flags_of
from megatron_ext.arguments.megatron_lm.defaults import MegatronFlags
from megatron_ext.backend.flags import ParallelFlags
from megatron_ext.checkpoint.flags import CheckpointFlags
from megatron_ext.data.flags import DataFlags
from megatron_ext.models.flags import ModelFlags
from megatron_ext.monitor.flags import MonitorFlags
from megatron_ext.objectives.reading.flags import ObjectiveFlags
from megatron_ext.optim.flags import OptimizerFlags
from megatron_ext.reliability.preemption import Preemption
from megatron_ext.tokenizers.files import PATHS
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.training.flags import TrainingFlags, length_in_updates

# Megatron-LM's habits are resolved before all else, then what is learnt, which decides what is to be built.
GROUPS = (
    MegatronFlags,
    ObjectiveFlags,
    ModelFlags,
    DataFlags,
    TokenizerFlags,
    TrainingFlags,
    OptimizerFlags,
    ParallelFlags,
    CheckpointFlags,
    MonitorFlags,
)
_PRECISION = ("bf16", "fp16")
_TOKENIZER = tuple(flag.name for flag in flags_of(TokenizerFlags) if flag.name != "vocab_size")
# What is given of the first stands for all of the second.
_ONE_OF = ((_PRECISION, _PRECISION), (("tokenizer_type", *PATHS), _TOKENIZER))
DESCRIPTION = "Train a language model. The same flags run on a laptop's CPU and, under torchrun or srun, on a cluster."


def read_configuration(argv: Sequence[str], world_size: int, without: type | None = None) -> Config:
    """The frozen configuration of a training run. Of a group `without`, a YAML file's values are passed over."""
    return read(GROUPS, argv, "pretrain_gpt.py", DESCRIPTION, world_size, without, base=_from_checkpoint)


def _from_checkpoint(given: dict[str, Any]) -> dict[str, Any]:
    """With `--use-checkpoint-args`, the flags of the model and its tokenizer, of the checkpoint that the run starts from."""
    if not given.get("use_checkpoint_args"):
        return {}
    from megatron_ext.checkpoint.saved_arguments import saved_arguments  # imports torch

    extended = given.get("extend_vocab_from")
    option, start = ("--extend-vocab-from", extended) if extended else ("--load", given.get("load"))
    found = saved_arguments(given.get("save"), start, given.get("ckpt_step"), option)
    if extended:  # which brings its own tokenizer
        found = {name: value for name, value in found.items() if name not in (*_TOKENIZER, "vocab_size")}
    for names, alike in _ONE_OF:
        if any(given.get(name) is not None for name in names):
            found = {name: value for name, value in found.items() if name not in alike}
    return found


def preemption_of(config: Config, speak: bool) -> Preemption:
    """What notes the run's exit signal. Where nothing is saved, there is nothing to wait for."""
    training = config.training
    heeded = training.exit_signal_handler and config.checkpoint.save is not None
    return Preemption(training.exit_signal if heeded else None, speak)


def train_iterations(config: Config) -> int:
    """Updates in the whole run; samples and tokens are rounded up to whole updates."""
    return length_in_updates(SimpleNamespace(**vars(config.training), **vars(config.model)))
