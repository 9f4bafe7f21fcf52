"""What must agree between a checkpoint and the run that goes on from it: the architecture, the schedule, the data.

Shapes alone do not tell (the number of heads, the base of rotary positions), and a changed schedule or data set trains on
without a word. Whatever differs is named, with the flag that accepts it.
"""

from __future__ import annotations

import pathlib

from megatron_ext.arguments.problems import UserError
from megatron_ext.models.moe.layers import with_experts

TOKENIZER = "tokenizer"  # in a checkpoint's folder, the folder of its tokenizer's files

# Flags of the model that say how it is trained: which probabilities and tokens are dropped, which losses are added, what of a
# sample's several documents a token sees.
_OF_TRAINING = {
    "hidden_dropout", "attention_dropout", "activation_dropout",
    "moe_router_load_balancing_type", "moe_aux_loss_coeff", "moe_z_loss_coeff",
    "moe_router_bias_update_rate", "moe_expert_capacity_factor", "moe_token_drop_policy", "mtp_loss_scaling_factor",
    "reset_position_ids", "reset_attention_mask",
}  # fmt: skip
# Flags of the model that may change while a run goes on: they change no function of the weights.
FREE = _OF_TRAINING | {
    "preset", "seq_length", "encoder_seq_length", "decoder_seq_length", "max_position_embeddings", "make_vocab_size_divisible_by",
    "decoder_start_token_id", "init_method_std", "deepnorm_beta",
    "moe_token_dispatcher_type",
}  # fmt: skip


# Flags of training that change what an update does.
_OF_AN_UPDATE = ("global_batch_size", "rampup_batch_size", "bf16", "fp16")
# Flags of the optimizer that say how the work is spread, not what it is.
_OF_LAYOUT = {"zero_stage", "overlap_grad_reduce", "overlap_param_gather"}


def architecture(config, vocab_size: int) -> dict:
    """The flags that say what the weights mean."""
    values = _as_json(vars(config.model), FREE) | {"vocab_size": vocab_size}
    return _by_layers(values, values["num_layers"])


def _by_layers(values: dict, layers: int) -> dict:
    """Which layers have experts is said in several ways: here layer by layer."""
    frequency = values.get("moe_layer_freq")
    if not isinstance(frequency, str):
        return values
    return values | {"moe_layer_freq": [int(there) for there in with_experts(frequency, layers)]}


def schedule(config, decay: int, in_samples: bool) -> dict:
    """What decides the learning rate of each update; the decay ends after so many updates or samples."""
    flags = {name: value for name, value in vars(config.optimizer).items() if "lr" in name.split("_")}
    return {**flags, "lr_decay_samples" if in_samples else "lr_decay_iters": decay}


def updates(config, tokenizer: str) -> dict:
    """What an update depends on besides: a run may go on with other values, but says so. `tokenizer` is its fingerprint."""
    optimizer = {name: value for name, value in vars(config.optimizer).items() if "lr" not in name.split("_")}
    training = {name: getattr(config.training, name) for name in _OF_AN_UPDATE}
    model = {name: getattr(config.model, name) for name in _OF_TRAINING}
    flags = vars(config.objective) | training | optimizer | model
    return _as_json(flags, _OF_LAYOUT) | {"tokenizer": tokenizer}


def _as_json(values: dict, without: set[str]) -> dict:
    """Values as a manifest gives them back: tuples as lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if name not in without}


def changed_updates(path: pathlib.Path, saved: dict, ours: dict, by_processes: frozenset[str]) -> list[str]:
    """What an update will do otherwise than before, in words.

    UserError where that is the batch, and nobody asked for it: it followed the number of processes.
    """
    now = ours["global_batch_size"]
    before = saved.get("global_batch_size", now)
    if "global_batch_size" in by_processes and before != now:
        raise UserError(
            f"{path}: was trained with --global-batch-size {before}, and without the flag it follows the number of processes, "
            f"here to {now}; give --global-batch-size"
        )
    words = _differences({name: value for name, value in saved.items() if name != TOKENIZER}, ours)
    if saved.get(TOKENIZER, ours[TOKENIZER]) != ours[TOKENIZER]:
        words.append("the tokenizer splits text otherwise, or another token ends a document")
    return words


def refuse_another_architecture(path: pathlib.Path, saved: dict, ours: dict) -> None:
    """UserError naming every flag of the architecture that differs from those a checkpoint was saved with."""
    different = _differences(_by_layers(saved, ours["num_layers"]), ours)
    if different:
        raise UserError(
            f"{path}: was saved with another architecture: {'; '.join(different)}; give the saved flags "
            "(--use-checkpoint-args takes them from it), or another --save"
        )


def refuse_another_vocabulary(path: pathlib.Path, saved: str | None, ours: str | None) -> None:
    """UserError where ids stand for other texts than those that a model was trained on; None is told by no text."""
    if saved is not None and ours is not None and saved != ours:
        raise UserError(
            f"{path}: was trained with another tokenizer, whose ids stand for other texts; give its own ({path}/{TOKENIZER}), or "
            "--extend-vocab-from in place of --load, which gives each token of the new one its row"
        )


def refuse_another_schedule(path: pathlib.Path, saved: dict, ours: dict) -> None:
    """UserError naming every flag of the schedule that differs."""
    different = _differences(saved, ours)
    if different:
        raise UserError(
            f"{path}: the run that goes on would have another learning-rate schedule: {'; '.join(different)} (without "
            "--lr-decay-iters the decay is as long as the run); give the saved flags, or "
            "--override-opt-param-scheduler to go on with the new ones"
        )


def _differences(saved: dict, ours: dict) -> list[str]:
    return [
        f"--{name.replace('_', '-')} was {saved[name]}, is {ours[name]}"
        for name in ours
        if name in saved and saved[name] != ours[name]
    ]
