"""`--extend-vocab-from`: a run starts from the weights of a model with an earlier tokenizer (tokenizers/vocabulary_change.py)."""

from __future__ import annotations

import pathlib

import torch

from megatron_ext.arguments.config import Config, read
from megatron_ext.arguments.problems import ConfigurationError, UserError, option
from megatron_ext.backend.distributed import all_or_none
from megatron_ext.checkpoint import manifest
from megatron_ext.checkpoint.compatibility import refuse_another_vocabulary
from megatron_ext.checkpoint.conversion.folder import is_huggingface
from megatron_ext.checkpoint.regions import Experts
from megatron_ext.checkpoint.restore import start_from_a_smaller_vocabulary
from megatron_ext.checkpoint.store import Store
from megatron_ext.checkpoint.verification import is_foreign
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.files import named
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.tokenizers.vocabulary_change import vocabulary_change
from megatron_ext.training.trained import configuration_of


@torch.no_grad()
def start(run, state) -> None:
    """Fill the new run's weights. Collective; UserError on all processes.

    Args:
        run: `training.build.Run`.
    """
    flags = run.config.checkpoint
    store = Store(flags.extend_vocab_from, run.layout, flags, Experts.of(run.model_config))
    path = store.newest() if flags.ckpt_step is None else store.at(flags.ckpt_step)
    if path is None:
        what = f"--extend-vocab-from {flags.extend_vocab_from}"
        raise UserError(f"{what}: there is no whole checkpoint in this folder", shared=True)
    what = f"--extend-vocab-from {path}"
    change = all_or_none(lambda: vocabulary_change(earlier_tokenizer(path, flags.extend_vocab_tokenizer), run.tokenizer), what)
    start_from_a_smaller_vocabulary(path, run, state, change)
    state.origin = str(path)


def earlier_tokenizer(path: pathlib.Path, given: str | None) -> Tokenizer:
    """The tokenizer that a checkpoint was trained with: its own, or the one in `given`, a file or a folder.

    UserError where there is none, or where it is another one by what the checkpoint says.
    """
    foreign = is_foreign(path)
    if foreign and given is None:
        raise UserError("Megatron-LM keeps no tokenizer with its checkpoints; name it with --extend-vocab-tokenizer")
    flags = {} if given is None else named(given)
    if given is not None and not flags:
        raise UserError(f"--extend-vocab-tokenizer {given}: is of no known kind")
    try:
        config = _alone(flags) if foreign else configuration_of(path, **flags)
    except ConfigurationError as error:
        raise UserError(f"its tokenizer is not to be had; name it with --extend-vocab-tokenizer ({error.problems[0]})") from None
    if config.tokenizer.tokenizer_type == "null":
        raise UserError("it has no tokenizer that tells what its ids stand for; name it with --extend-vocab-tokenizer")
    tokenizer = build(config.tokenizer)
    if not foreign and not is_huggingface(path):
        refuse_another_vocabulary(path, manifest.read(path).get("vocabulary"), tokenizer.vocabulary)
    return tokenizer


def _alone(flags: dict[str, str]) -> Config:
    return read([TokenizerFlags], [word for name, value in flags.items() for word in (option(name), value)], "", "")
