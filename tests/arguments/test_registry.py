"""A registry is a folder, and the rule "one concept, one file, one name" holds for every one."""

from __future__ import annotations

import ast
import pathlib

import pytest

from megatron_ext.arguments.config import PRESETS
from megatron_ext.arguments.flags import flags_of
from megatron_ext.arguments.registry import PACKAGE_ROOT, Families, Registry, fold
from megatron_ext.training.configuration import GROUPS

CHOICES = [(flag.name, flag.choices) for group in GROUPS for flag in flags_of(group) if isinstance(flag.choices, Registry)]


@pytest.mark.parametrize(("name", "registry"), CHOICES, ids=[name for name, _ in CHOICES])
def test_every_value_is_a_file_that_says_what_it_is(name, registry):
    assert registry.names()
    for value in registry.names():
        module = registry.load(value)
        assert module.__doc__, f"{value} does not open with what it is"
        assert f"--{name.replace('_', '-')} {value.replace('_', '-')}" in module.__doc__.replace("_", "-"), (
            f"{value} does not name its flag"
        )


@pytest.mark.parametrize(("name", "registry"), [(name, registry) for name, registry in CHOICES if type(registry) is Registry])
def test_a_value_is_its_files_stem(name, registry):
    for value in registry.names():
        assert registry.load(value).__name__ == f"{registry.package}.{value}"


@pytest.mark.parametrize("registry", [PRESETS])
def test_a_value_of_a_family_begins_with_its_files_stem(registry):
    assert registry in [choices for _, choices in CHOICES if isinstance(choices, Families)]
    for family in registry.families():
        stem = family.__name__.rpartition(".")[2]
        for value in family.PRESETS:
            assert registry.load(value) is family
            assert value == stem or value.startswith(f"{stem}_")
            assert registry.entry(value) is family.PRESETS[value]


def test_no_two_values_read_the_same():
    """Folded, `llama_3_3b` and `llama3_3b` would be one."""
    for name, registry in CHOICES:
        assert len({fold(value) for value in registry.names()}) == len(registry.names()), name


def test_a_family_is_plain_data():
    """They are imported for `--help`: no file imports anything."""
    for family in PRESETS.families():
        nodes = ast.walk(ast.parse(pathlib.Path(family.__file__).read_text(encoding="utf-8")))
        assert not [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))], family


def test_values_are_compared_folded():
    registry = Registry("megatron_ext.models.norms")
    assert registry.canonical("RMS_Norm") == registry.canonical("rms-norm") == "rmsnorm"
    assert registry.canonical("batchnorm") is None


def test_unknown_value_names_the_folder():
    with pytest.raises(KeyError, match="megatron_ext.models.norms"):
        Registry("megatron_ext.models.norms").load("batchnorm")
    with pytest.raises(KeyError, match="megatron_ext.models.presets"):
        PRESETS.load("llama_8b")


def test_root_is_the_package():
    assert (PACKAGE_ROOT / "arguments" / "registry.py").exists()
