"""Which of Hugging Face's classes holds a model, and what a config.json says in our flags.

A family need not say what it cannot hold. Its `config` writes what it has words for, its `flags` reads that back, and where
the two differ from the model's own flags, the family cannot hold them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

from megatron_ext.arguments.flags import flags_of
from megatron_ext.arguments.problems import UserError, did_you_mean
from megatron_ext.arguments.registry import Registry
from megatron_ext.checkpoint.compatibility import FREE
from megatron_ext.checkpoint.conversion.experts import layers_with_experts
from megatron_ext.checkpoint.conversion.mapping import Rule
from megatron_ext.checkpoint.conversion.settings import Settings
from megatron_ext.models.flags import ModelFlags

FAMILIES = Registry("megatron_ext.checkpoint.huggingface")
_FIRST = ("llama", "gpt2", "gpt_neox")  # where several classes hold a model; the others by name


@dataclasses.dataclass(frozen=True)
class Family:
    """A class of Hugging Face's: `name` is its `model_type`."""

    name: str
    module: ModuleType

    @classmethod
    def named(cls, name: str) -> Family:
        return cls(name, FAMILIES.load(name))

    @property
    def model_type(self) -> str:
        return getattr(self.module, "MODEL_TYPE", self.name)

    def flags(self, settings: Settings) -> dict[str, Any]:
        """All flags of the model that a config.json means, resolved; UserError names the key that is not there."""
        settings = Settings({**getattr(self.module, "DEFAULTS", {}), **settings.values}, settings.path)
        try:
            found = self.module.flags(settings)
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{settings.path}: holds a value of the wrong kind ({error})") from None
        return resolved(_of_their_kinds({"seq_length": found["max_position_embeddings"], **found}, settings))

    @property
    def learnt(self) -> dict[str, str]:
        """Flags of the task that its models were pretrained on, where it is not what their architecture is mostly for."""
        return getattr(self.module, "LEARNT", {})

    def config(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """config.json's keys of a model, without those of the vocabulary and the type."""
        return {
            "architectures": [self.module.ARCHITECTURE],
            "model_type": self.model_type,
            **self.module.config(values),
            "tie_word_embeddings": not values["untie_embeddings_and_output_weights"],
        }

    def tensors(self, values: Mapping[str, Any]) -> Mapping[str, Rule]:
        return self.module.tensors(values) if hasattr(self.module, "tensors") else self.module.TENSORS

    def in_folder(self, settings: Settings, names: Iterable[str]) -> Settings:
        """A config.json without what the folder's tensors, by their names, do not keep of its word."""
        if not hasattr(self.module, "in_folder"):
            return settings
        return Settings({**settings.values, **self.module.in_folder(settings, names)}, settings.path)

    def cannot_hold(self, values: Mapping[str, Any]) -> list[str]:
        """The flags of a model that this class has no words for, as they would be typed."""
        try:
            back = meaning(self.flags(Settings(self.config(values))))
        except UserError as error:
            return [str(error)]
        return [
            f"--{name.replace('_', '-')} {value}" for name, value in meaning(values).items() if not _equal(back.get(name), value)
        ]


def family_of(settings: Settings) -> Family:
    """The family of a config.json; UserError where there is none."""
    name = str(settings.get("model_type")).replace("-", "_")
    known = FAMILIES.names()
    if name not in known:
        settings.refuse("model_type", name, did_you_mean(name, known) or f"there is {', '.join(known)}")
    return Family.named(name)


def family_for(values: Mapping[str, Any], asked: str | None = None) -> Family:
    """The first class that holds a model, or the one asked for; UserError names the flags that none, or it, can hold."""
    order = [asked] if asked else sorted(FAMILIES.names(), key=lambda name: (name not in _FIRST, name))
    missing: dict[str, list[str]] = {}
    for name in order:
        family = Family.named(name)
        missing[name] = family.cannot_hold(values)
        if not missing[name]:
            return family
    nearest = min(missing, key=lambda name: (not missing[name][0].startswith("--"), len(missing[name])))
    whose = f"{Family.named(nearest).module.ARCHITECTURE} cannot hold this model"
    raise UserError(
        (whose if asked else f"no class of Hugging Face's holds this model; the nearest, {nearest}, lacks words for")
        + f": {', '.join(missing[nearest])}"
    )


def _of_their_kinds(found: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Flags, each a value of its kind and within its bounds; UserError names the flag, since several keys may make it up."""
    kinds = {flag.name: flag for flag in flags_of(ModelFlags)}
    converted = {}
    for name, value in found.items():
        try:
            converted[name] = kinds[name].convert(value) if value else value  # 0 experts are none
        except ValueError as error:
            raise UserError(
                f"{settings.path}: means {kinds[name].option} {json.dumps(value)}, which is no such value; {error}"
            ) from None
    return converted


def resolved(flags: Mapping[str, Any]) -> dict[str, Any]:
    """All flags of the model by field name, from those that are given."""
    defaults = {flag.name: flag.default for flag in flags_of(ModelFlags)}
    draft = SimpleNamespace(**defaults | dict(flags), open=defaults.keys() - flags.keys())
    ModelFlags.resolve(draft)
    del draft.open
    return vars(draft)


def meaning(values: Mapping[str, Any]) -> dict[str, Any]:
    """Resolved flags in one form: what several of them say alike becomes the same, what changes no function is left out."""
    found = {name: value for name, value in values.items() if name not in FREE}
    found["add_qkv_bias"] = found.pop("add_bias_linear") or values["add_qkv_bias"]
    turn = values["attention_pattern"]
    found["attention_pattern"] = [turn[layer % len(turn)] for layer in range(values["num_layers"])]
    found["softmax_scale"] = values["softmax_scale"] or values["kv_channels"] ** -0.5
    for name in ("embedding_scale", "logit_scale"):
        found[name] = values[name] or 1.0
    if values["position_embedding_type"] not in ("rope", "xpos"):
        del found["rotary_base"], found["rotary_percent"]
    if values["position_embedding_type"] == "learned_absolute":
        found["max_position_embeddings"] = values["max_position_embeddings"]
    _experts_in_one_form(found, values)
    return found


def same_function(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two models' resolved flags mean the same, further predictions left out."""
    mine, theirs = meaning(one), meaning(other)
    return all(name == "mtp_num_layers" or _equal(value, theirs.get(name)) for name, value in mine.items())


def _experts_in_one_form(found: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Also the width of the dense layers, where there is one."""
    layers = layers_with_experts(values)
    found["moe_layer_freq"] = list(layers)
    found["moe_router_topk_scaling_factor"] = values["moe_router_topk_scaling_factor"] or 1.0
    if values["moe_router_num_groups"] == values["moe_router_group_topk"]:  # all groups
        found["moe_router_num_groups"] = found["moe_router_group_topk"] = None
    if all(layers):
        del found["ffn_hidden_size"]
    if not any(layers):
        for name in [name for name in found if name.startswith("moe_")]:
            del found[name]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-9 * max(abs(one), abs(other))
    return one == other
