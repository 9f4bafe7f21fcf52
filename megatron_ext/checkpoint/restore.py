"""Bringing a run to where a checkpoint was saved, whole or in part, whatever layout wrote it."""

from __future__ import annotations

import dataclasses
import pathlib

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import all_or_none
from megatron_ext.checkpoint import manifest, megatron_lm
from megatron_ext.checkpoint.compatibility import (
    changed_updates,
    refuse_another_architecture,
    refuse_another_schedule,
    refuse_another_vocabulary,
)
from megatron_ext.checkpoint.conversion import inventory
from megatron_ext.checkpoint.conversion.families import meaning
from megatron_ext.checkpoint.conversion.folder import is_huggingface
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from megatron_ext.checkpoint.extended_vocabulary import ExtendedVocabulary
from megatron_ext.checkpoint.flags import OF_LOAD, same_folder
from megatron_ext.checkpoint.random_states import set_random_states
from megatron_ext.checkpoint.regions import Experts
from megatron_ext.checkpoint.source import Source, Wanted
from megatron_ext.checkpoint.store import PREFIXES
from megatron_ext.checkpoint.verification import is_foreign
from megatron_ext.data.fingerprint import refuse_changed
from megatron_ext.tokenizers.vocabulary_change import VocabularyChange

# Megatron-LM keeps fp32 weights with the optimizer's state, and the model's own in the type it computes in.
WEIGHT_NAMES = ("optimizer.state.fp32_param.", "optimizer.state.param.", "")


@dataclasses.dataclass(frozen=True)
class Parts:
    """What to take from a checkpoint besides the weights."""

    progress: bool = True
    optimizer: bool = True
    random_states: bool = True

    @classmethod
    def of_load(cls, flags) -> Parts:
        """What `--load` asks for."""
        whole = not flags.finetune
        return cls(progress=whole, optimizer=whole and not flags.no_load_optim, random_states=whole and not flags.no_load_rng)


WEIGHTS_ALONE = Parts(progress=False, optimizer=False, random_states=False)


def refuse_to_start_over(flags, path: pathlib.Path) -> None:
    """UserError where flags ask for a part of the run's own folder, which goes on whole from `path`."""
    asked = [f"--{name.replace('_', '-')}" for name in OF_LOAD if getattr(flags, name) not in (None, False)]
    if asked and same_folder(flags.load, flags.save):
        raise UserError(
            f"{' '.join(asked)}: --load is this run's own folder, and the run goes on whole from {path.name}; "
            "give another --save to start from a part of it",
            shared=True,
        )


def open_source(path: pathlib.Path, model_config) -> Source | HuggingFaceSource:
    """A checkpoint, or a Hugging Face folder, for a model of megatron-core's configuration `model_config`."""
    return _open(path, model_config, model_config.vocab_size)


def _open(path: pathlib.Path, model_config, vocab_size: int) -> Source | HuggingFaceSource:
    if is_huggingface(path):
        return HuggingFaceSource(path)
    return Source(path, model_config.num_layers, Experts.of(model_config), vocab_size)


def start_from_a_smaller_vocabulary(path: pathlib.Path, run, state, change: VocabularyChange) -> None:
    """Take the weights of a checkpoint or a Hugging Face folder for a larger vocabulary. Every process calls it.

    Args:
        path: a verified checkpoint, of this project or of Megatron-LM, or a Hugging Face folder.
        run: as of `restore`.
    """
    all_or_none(lambda: _what_agrees(path, run, WEIGHTS_ALONE, same_vocabulary=False))
    _refuse_strangers(path, state)
    source = all_or_none(lambda: _open(path, run.model_config, change.old_rows))
    new_rows = run.config.checkpoint.extend_vocab_new_rows
    all_or_none(lambda: ExtendedVocabulary(source, change, new_rows).read(_wanted(state.sharding, False)), f"loading {path}")
    state.sharding.loaded(0)
    run.monitor.say(change.sentence(new_rows))


def restore(path: pathlib.Path, run, state, parts: Parts = Parts()) -> None:
    """Bring `state` to where it was saved. Taken whole on the layout that saved it: bit for bit. Every process calls it.

    Args:
        path: a verified checkpoint, of this project or of Megatron-LM, or a Hugging Face folder.
        run: what stays the same: `config`, `layout`, `device`, `model_config`, and `record`, what must agree.
    """
    if all_or_none(lambda: has_weights_alone(path)):
        parts = WEIGHTS_ALONE
        run.monitor.say(f"{path} holds weights alone: counts, optimizer and random states start anew, as with --finetune")
    saved = all_or_none(lambda: _what_agrees(path, run, parts))
    same_layout = saved.get("layout") == str(run.layout) and saved.get("device", run.device.type) == run.device.type
    _refuse_strangers(path, state)
    all_or_none(lambda: _read(path, run, state, parts, parts.random_states and same_layout), f"loading {path}")
    if parts.progress:
        state.set_counts(saved["counts"])
    state.sharding.loaded(saved["counts"]["updates"] if parts.optimizer else 0)
    if parts.optimizer:
        state.sharding.load_scaler_state(saved["counts"].get("loss_scale", {}))


def _refuse_strangers(path: pathlib.Path, state) -> None:
    """UserError where a Hugging Face folder holds what is no parameter of the model."""
    if is_huggingface(path):
        places = inventory.of_pieces(state.sharding.pieces())
        all_or_none(lambda: HuggingFaceSource(path).refuse_strangers(places))


def has_weights_alone(path: pathlib.Path) -> bool:
    """Whether a checkpoint came from a Hugging Face folder, or is one."""
    return is_huggingface(path) or (not is_foreign(path) and manifest.read(path).get(manifest.WEIGHTS_ONLY, False))


def _what_agrees(path: pathlib.Path, run, parts: Parts, same_vocabulary: bool = True) -> dict:
    """The checkpoint's manifest; UserError where the run that goes on would be another."""
    ours = dict(run.record["architecture"])
    if not same_vocabulary:
        del ours["vocab_size"]
    if is_huggingface(path):
        source = HuggingFaceSource(path)
        theirs, own = meaning(source.values) | {"vocab_size": source.vocab_size}, meaning(vars(run.config.model))
        refuse_another_architecture(path, theirs, own | ({"vocab_size": ours["vocab_size"]} if same_vocabulary else {}))
        return {}
    saved = megatron_lm.content(path) if is_foreign(path) else manifest.read(path)
    refuse_another_architecture(path, saved.get("architecture", {}), ours)
    if same_vocabulary:
        refuse_another_vocabulary(path, saved.get("vocabulary"), run.record["vocabulary"])
    if parts.progress and not run.config.checkpoint.override_opt_param_scheduler:
        refuse_another_schedule(path, saved.get("schedule", {}), run.record["schedule"])
    if parts.progress and "data" in saved:
        refuse_changed(str(path), saved["data"], run.record["data"], run.config.data.accept_changed_data)
    if parts.progress:
        changed = changed_updates(path, saved.get("updates", {}), run.record["updates"], run.config.by_processes)
        if changed:
            run.monitor.warn(f"updates differ from now on: {'; '.join(changed)}")
    return saved


def _read(path: pathlib.Path, run, state, parts: Parts, random_states: bool) -> None:
    source = open_source(path, run.model_config)
    if parts.optimizer:
        _refuse_without_optimizer(source)
    source.read(_wanted(state.sharding, parts.optimizer))
    if random_states:
        set_random_states(source, run.layout.rank)


def _wanted(sharding, optimizer: bool):
    for piece in sharding.pieces():
        for name, target in piece.tensors.items():
            if name == "weight":
                yield Wanted(piece.place, piece.begin, piece.end, WEIGHT_NAMES, target)
            elif optimizer:
                yield Wanted(piece.place, piece.begin, piece.end, (PREFIXES[name],), target)


def _refuse_without_optimizer(source: Source) -> None:
    if not any(name.startswith("optimizer.state.exp_avg.") for name in source.names()):
        raise UserError(
            f"{source.path}: holds no optimizer state that fits every layout; --no-load-optim or --finetune goes on without it "
            "(Megatron-LM writes one with --dist-ckpt-optim-fully-reshardable, or without --use-distributed-optimizer)"
        )
