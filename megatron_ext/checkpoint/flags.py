"""Flags of checkpoints (Megatron-LM's names)."""

from __future__ import annotations

import glob
import os
import re

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem

# What concerns the start from --load alone: a run that goes on from its own --save goes on whole.
OF_LOAD = ("ckpt_step", "finetune", "no_load_optim", "no_load_rng")
_CHECKPOINT = re.compile(r"iter_0*(\d+)$")


@flag_group("checkpoint", "Saving and resuming")
class CheckpointFlags:
    save: str | None = flag(None, "the run's folder: checkpoints, run.yaml, metrics.jsonl; a run found there goes on", front=True)
    load: str | None = flag(
        None,
        "a folder to start from while --save has no checkpoint yet: of a run, of one checkpoint, Megatron-LM's (torch_dist), or "
        "Hugging Face's",
        front=True,
    )
    extend_vocab_from: str | None = flag(
        None,
        "as --load, for a new --tokenizer-model: tokens that the earlier tokenizer has keep their rows; training starts anew",
    )
    extend_vocab_new_rows: str = flag(
        "mean", "rows of new tokens: the mean of their pieces', or drawn as in a new run", choices=("mean", "random")
    )
    extend_vocab_tokenizer: str | None = flag(
        None, "the earlier tokenizer's file or folder, where it does not lie with --extend-vocab-from [the checkpoint's own]"
    )
    save_interval: int | None = flag(None, "updates between checkpoints [only at the end]", least=1, front=True)
    save_hf_interval: int | None = flag(
        None, "updates between Hugging Face folders, each written to SAVE/huggingface from the checkpoint just saved", least=1
    )
    async_save: bool = flag(False, "write checkpoints in the background while training goes on")
    keep_last: int | None = flag(None, "checkpoints to keep; older ones are deleted [all]", least=1)
    keep_every: int | None = flag(None, "with --keep-last: keep besides those of every so many updates", least=1)
    ckpt_step: int | None = flag(None, "the iteration to take from --load or --extend-vocab-from [its newest]", least=0)
    finetune: bool = flag(False, "take only the weights from --load: counts, optimizer and random states start anew")
    no_load_optim: bool = flag(False, "do not take the optimizer's state from --load")
    no_load_rng: bool = flag(False, "do not take the random states from --load")
    use_checkpoint_args: bool = flag(
        False, "take the flags of the model and its tokenizer that are not given from the checkpoint to start from"
    )
    override_opt_param_scheduler: bool = flag(
        False, "go on with the learning-rate schedule of the flags where the checkpoint's differs"
    )

    @staticmethod
    def check(c):
        for name in ("save_interval", "save_hf_interval", "async_save", "keep_last"):
            if getattr(c, name) and c.save is None:
                option = f"--{name.replace('_', '-')}"
                yield Problem(option, getattr(c, name), "needs a folder", "add --save FOLDER")
        if c.save_hf_interval is not None and (c.save_interval is None or c.save_hf_interval % c.save_interval):
            reason = f"is no multiple of --save-interval {c.save_interval or '(not given)'}, from whose checkpoints it takes"
            yield Problem("--save-hf-interval", c.save_hf_interval, reason, "give one that is")
        if c.save is not None and _weights_of_others(c.save):
            reason = "is a folder of Hugging Face's, and a run would write into it"
            yield Problem("--save", c.save, reason, "give another folder for the run, and this one to --load")
        if c.keep_every is not None and c.keep_last is None:
            yield Problem(
                "--keep-every", c.keep_every, "without --keep-last nothing is deleted", "add --keep-last, or leave it out"
            )
        for name in OF_LOAD:
            option = f"--{name.replace('_', '-')}"
            chosen_from = c.load if name != "ckpt_step" else c.load or c.extend_vocab_from
            if name in c.typed and getattr(c, name) not in (None, False) and chosen_from is None:
                yield Problem(option, getattr(c, name), "says what to take from --load, and there is none", "add --load FOLDER")
        if c.use_checkpoint_args and c.load is None and c.save is None and c.extend_vocab_from is None:
            yield Problem("--use-checkpoint-args", None, "takes flags from a checkpoint", "add --load FOLDER or --save FOLDER")
        if c.load is not None and not os.path.isdir(c.load) and not same_folder(c.load, c.save):
            yield Problem("--load", c.load, "is no folder", "give the folder that training saved to")
        yield from _check_extension(c)
        yield from _one_checkpoint(c)


def _check_extension(c):
    """`--extend-vocab-from` stands in place of `--load`, and begins another run."""
    option, folder = "--extend-vocab-from", c.extend_vocab_from
    if folder is None:
        for name in ("extend_vocab_tokenizer", "extend_vocab_new_rows"):
            if name in c.typed:
                given, way_out = f"--{name.replace('_', '-')}", f"give {option}, or leave this out"
                yield Problem(given, getattr(c, name), f"has no effect without {option}", way_out)
        return
    if c.load is not None and not same_folder(c.load, c.save):
        yield Problem(option, folder, f"and --load {c.load}: a run starts from one of them", "leave one of them out")
    if same_folder(folder, c.save):
        yield Problem(option, folder, "is this run's own folder, which keeps its vocabulary", "give another --save")
    elif not os.path.isdir(folder):
        yield Problem(option, folder, "is no folder", "give the folder that training saved to")
    if c.extend_vocab_tokenizer is not None and not os.path.exists(c.extend_vocab_tokenizer):
        yield Problem("--extend-vocab-tokenizer", c.extend_vocab_tokenizer, "is not there", "give a tokenizer's file or folder")


def _weights_of_others(folder: str) -> bool:
    """Whether `config.json` and safetensors lie in it."""
    return os.path.isfile(os.path.join(folder, "config.json")) and bool(
        glob.glob(os.path.join(glob.escape(folder), "*.safetensors"))
    )


def same_folder(load: str | None, save: str | None) -> bool:
    """Whether `--load` is the run's own folder, as Megatron-LM's scripts have it."""
    return load is not None and save is not None and os.path.realpath(load) == os.path.realpath(save)


def _one_checkpoint(c):
    """A checkpoint's own folder is one state of a run: nothing is chosen from it, and no run goes on in it."""
    saved = _taken_apart(c.save)
    if saved is not None:
        yield Problem("--save", c.save, "is one checkpoint of a run", f"give the run's folder: --save {saved[0]}")
        return
    for option, folder in (("--load", c.load), ("--extend-vocab-from", c.extend_vocab_from)):
        if (taken := _taken_apart(folder)) is None:
            continue
        run, step = taken
        if c.ckpt_step is not None:
            way_out = f"give the run's folder: {option} {run} --ckpt-step {step}"
            reason = f"chooses from a run's folder, and {option} {folder} is one checkpoint"
            yield Problem("--ckpt-step", c.ckpt_step, reason, way_out)
        elif same_folder(run, c.save):
            way_out = f"give another --save, with {option} {run} --ckpt-step {step}"
            reason = "is a checkpoint of this run's own folder, and the run goes on from its newest"
            yield Problem(option, folder, reason, way_out)


def _taken_apart(folder: str | None) -> tuple[str, int] | None:
    """`RUN/iter_0000200` as `(RUN, 200)` where that is a checkpoint."""
    path = None if folder is None else os.path.normpath(folder)
    found = None if path is None else _CHECKPOINT.match(os.path.basename(path))
    if found is None or not any(os.path.exists(os.path.join(path, name)) for name in ("manifest.json", ".metadata")):
        return None
    return os.path.dirname(path) or ".", int(found.group(1))
