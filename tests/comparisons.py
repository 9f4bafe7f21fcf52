"""What is compared with what: read off the tests that do it, so that docs/architectures.md cannot say more than they do.

    @pytest.mark.compares("transformers' activation", within="1e-12", activation="name")
    @pytest.mark.parametrize("name", TRANSFORMERS)

says that the test compares values of `--activation`, namely those of its parameter `name`; a list stands for itself, and True
for a flag that has no registry of values. `models="family"` says that the parameter's values make whole models
(parity/families.py): they are compared in whatever flags their command lines set.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from megatron_ext.arguments.flags import Flag, flags_of
from megatron_ext.arguments.registry import Registry
from megatron_ext.checkpoint.conversion.families import family_of
from megatron_ext.checkpoint.conversion.settings import Settings
from megatron_ext.models.flags import ModelFlags
from megatron_ext.training.configuration import read_configuration

TESTS = pathlib.Path(__file__).resolve().parent
RUN = "--mock-data --train-iters 1 --device cpu --tokenizer-type null --vocab-size 100 --seq-length 16".split()


class Comparison(NamedTuple):
    """Attributes: what: the other side, in words; model: of it, where it is a whole one; within: the largest difference."""

    what: str
    model: str | None
    within: str


def registries_of_models() -> Iterator[Flag]:
    """Flags of the models' room whose values are concepts, a file each."""
    for flag in flags_of(ModelFlags):
        if isinstance(flag.choices, Registry) and flag.name != "preset":
            yield flag


def comparisons() -> dict[tuple[str, Any], list[Comparison]]:
    """By flag (as a field) and value, or True for one without a registry."""
    registries = {flag.name: flag.choices for flag in registries_of_models()}
    found: dict[tuple[str, Any], list[Comparison]] = {}
    for test in _marked():
        marks = {mark.name: mark for mark in test.pytestmark if mark.name == "compares"}
        parameters = {mark.args[0]: mark.args[1] for mark in test.pytestmark if mark.name == "parametrize"}
        compares = marks["compares"]
        flags = dict(compares.kwargs)
        if models := flags.pop("models", None):
            for family in parameters[models]:
                _add_model(found, registries, compares.args[0], family)
            continue
        comparison = Comparison(compares.args[0], None, flags.pop("within"))
        for flag, values in flags.items():
            values = parameters[values] if isinstance(values, str) else [values] if values is True else values
            for value in values:
                if flag not in registries or value in registries[flag].names():
                    found.setdefault((flag, value), []).append(comparison)
    return found


def _marked() -> Iterator[Callable]:
    for path in sorted(TESTS.rglob("test_*.py")):
        if "mark.compares(" in path.read_text(encoding="utf-8"):
            module = importlib.import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))
            tests = [value for name, value in vars(module).items() if name.startswith("test_")]
            yield from (test for test in tests if any(mark.name == "compares" for mark in getattr(test, "pytestmark", ())))


def _add_model(found, registries, whose: str, family: Callable) -> None:
    """All values of registries that a model has, and the other flags that it sets otherwise than they are by default."""
    found_model = family()
    reference = found_model[0] if isinstance(found_model, tuple) else found_model
    name = re.sub(r"For[A-Z]\w+|LMHeadModel", "", type(reference).__name__)
    measured = json.loads((TESTS / "parity" / "measured.json").read_text())
    comparison = Comparison(whose, name, f"{measured[family.__name__]:.0e}")
    plain = read_configuration(RUN, 1).model
    if isinstance(found_model, tuple):  # with its flags; the others are families of checkpoint/huggingface/
        model = vars(read_configuration([*RUN, *found_model[1]], 1).model)
    else:
        settings = Settings(reference.config.to_dict())
        model = family_of(settings).flags(settings)
        if model["position_embedding_type"] != "learned_absolute":  # else it changes nothing
            model["max_position_embeddings"] = plain.max_position_embeddings
        for name in ("moe_router_load_balancing_type", "moe_aux_loss_coeff"):  # what is compared has no loss of balance
            model[name] = getattr(plain, name)
    for flag in flags_of(ModelFlags):
        value = model[flag.name]
        if flag.name in registries:
            values = value if isinstance(value, tuple) else (value,)
        else:
            values = () if value == getattr(plain, flag.name) else (True,)
        for value in values:
            found.setdefault((flag.name, value), []).append(comparison)
