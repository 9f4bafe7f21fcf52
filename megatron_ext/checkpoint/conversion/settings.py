"""Hugging Face's config.json, read and written: each value by the keys that it has had, refused by file, key and value.

transformers 5 keeps rotary positions in `rope_parameters` and the type in `dtype`, transformers 4 in `rope_theta`,
`rope_scaling` and `torch_dtype`. Both are read. Both are written: 4.57 does not see `rope_parameters`, and would take base
10000 without a word.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from megatron_ext.arguments.problems import UserError

CONFIG = "config.json"
_NEEDED = object()
# Their names: the plain activation and the gated one of ours.
_ACTIVATIONS = {
    "silu": ("silu", "swiglu"),
    "swish": ("silu", "swiglu"),
    "gelu": ("gelu", "geglu"),
    "gelu_pytorch_tanh": ("gelu_tanh", "geglu_tanh"),
    "gelu_new": ("gelu_tanh", "geglu_tanh"),
    "gelu_fast": ("gelu_tanh", "geglu_tanh"),
    "quick_gelu": ("quick_gelu", "quick_geglu"),
    "relu": ("relu", "reglu"),
    "relu2": ("squared_relu", None),
    "sigmoid": (None, "glu"),
}
_SLIDING, _FULL = "sliding_attention", "full_attention"


class Settings:
    """A config.json. UserError names the file, the key and what was found."""

    def __init__(self, values: Mapping[str, Any], path: str | pathlib.Path = CONFIG):
        self.values, self.path = values, path

    def get(self, *keys: str, default: Any = _NEEDED) -> Any:
        """The value of the first of its names that is there and not null. A size may be written 48.0; a text is refused where
        the default is a number, and what is not true, false, 1 or 0 where it is true or false."""
        key = next((key for key in keys if self.values.get(key) is not None), keys[0])
        found = default if self.values.get(key) is None else self.values[key]
        if found is _NEEDED:
            raise UserError(f"{self.path}: has no {keys[0]}")
        if isinstance(default, bool) and found not in (True, False):  # "no" would be true
            self.refuse(key, found, "there is true or false")
        if isinstance(default, (int, float)) and isinstance(found, str):
            self.refuse(key, found, "there are numbers")
        return int(found) if isinstance(found, float) and found.is_integer() else found

    def refuse(self, key: str, value: Any, way_out: str) -> None:
        raise UserError(f"{self.path}: {key} is {json.dumps(value)}, which is not there; {way_out}")

    def only(self, key: str, *allowed: Any, of: Mapping[str, Any] | None = None) -> None:
        """Refuse a value that we have nothing for. A key that is null or not there says the first of `allowed`."""
        value = (self.values if of is None else of).get(key)
        value = allowed[0] if value is None else value
        if value not in allowed:
            self.refuse(key, value, f"there is {' or '.join(json.dumps(each) for each in allowed)}")

    def activation(self, *keys: str, gated: bool, default: str | None = None) -> str:
        """Ours. The exact kinds of gelu that differ by rounding alone are one."""
        name = self.get(*keys, **({} if default is None else {"default": default}))
        found = _ACTIVATIONS.get(name, (None, None))[gated]
        if found is None:
            self.refuse(keys[0], name, f"there is {', '.join(key for key, both in _ACTIVATIONS.items() if both[gated])}")
        return found

    def rotary(
        self, share: float | None = None, base_keys: Sequence[str] = ("rope_theta",), base: float | None = 10000.0
    ) -> dict[str, Any]:
        """Rotary positions.

        Args:
            share: of a head's channels where config.json does not say; None: the family rotates all of them.
            base: where config.json does not say; None: versions of transformers differ in what they take.
        """
        both = self.values.get("rope_parameters") or {}
        scaling = self.values.get("rope_scaling") or {}
        for key, found in (("rope_parameters", both), ("rope_scaling", scaling)):
            kind = found.get("rope_type", found.get("type", "default"))
            if kind != "default":
                self.refuse(key, found, "positions are not rescaled here")
        if (found := both.get("rope_theta")) is not None:
            base = found
        else:
            base = self.get(*base_keys, **({} if base is None else {"default": base}))
        if base != int(base):
            self.refuse(base_keys[0], base, "the base is a whole number")
        found = both.get("partial_rotary_factor", self.get("partial_rotary_factor", "rotary_pct", default=share or 1.0))
        if share is None and found != 1:
            self.refuse("partial_rotary_factor", found, "this class rotates whole heads")
        return dict(position_embedding_type="rope", rotary_base=int(base), rotary_percent=float(found))

    def window(self, uses: bool, layer_types: Sequence[str] | None = None) -> dict[str, Any]:
        """`attention_pattern` and `sliding_window`.

        Args:
            uses: whether layers have the window where `layer_types` is not there.
            layer_types: of the family where config.json has none.
        """
        layers, size = self.get("num_hidden_layers"), self.get("sliding_window", default=None)
        types = self.get("layer_types", default=layer_types) or [_SLIDING if uses and size is not None else _FULL] * layers
        for kind in types:
            if kind not in (_SLIDING, _FULL):
                self.refuse("layer_types", kind, f"there is {_SLIDING} and {_FULL}")
        if _SLIDING not in types or size is None:
            return dict(attention_pattern=("causal",))
        names = ["sliding_window" if kind == _SLIDING else "causal" for kind in types]
        turn = next(n for n in range(1, layers + 1) if all(names[i] == names[i % n] for i in range(layers)))
        return dict(attention_pattern=tuple(names[:turn]), sliding_window=size)


def read_settings(folder: pathlib.Path) -> Settings:
    """The config.json of a folder. What no family has is refused here."""
    path = folder / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: is not there; a Hugging Face folder has one") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: is no JSON object")
    settings = Settings(values, path)
    if settings.get("quantization_config", default=None) is not None:
        settings.refuse("quantization_config", values["quantization_config"], "take the folder with weights in 16 or 32 bits")
    return settings


def activation(name: str, gated: bool) -> str | None:
    """Their name of an activation of ours in a class whose MLP is gated, or is not; None where there is none."""
    return next((theirs for theirs, ours in _ACTIVATIONS.items() if ours[gated] == name), None)


def rotary(values: Mapping[str, Any]) -> dict[str, Any]:
    """Both styles of keys."""
    base = float(values["rotary_base"])
    return {"rope_theta": base, "rope_scaling": None, "rope_parameters": {"rope_type": "default", "rope_theta": base}}


def layer_types(values: Mapping[str, Any]) -> list[str]:
    """What each layer shows, from the patterns that are taken in turn."""
    turn = values["attention_pattern"]
    return [_SLIDING if turn[layer % len(turn)] == "sliding_window" else _FULL for layer in range(values["num_layers"])]
