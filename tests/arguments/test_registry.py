"""A registry is a folder, and the rule "one concept, one file, one name" holds for every one."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.flags import flags_of
from megatron_ext.arguments.registry import PACKAGE_ROOT, Registry
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


def test_values_are_compared_folded():
    registry = Registry("megatron_ext.models.norms")
    assert registry.canonical("RMS_Norm") == registry.canonical("rms-norm") == "rmsnorm"
    assert registry.canonical("batchnorm") is None


def test_unknown_value_names_the_folder():
    with pytest.raises(KeyError, match="megatron_ext.models.norms"):
        Registry("megatron_ext.models.norms").load("batchnorm")


def test_root_is_the_package():
    assert (PACKAGE_ROOT / "arguments" / "registry.py").exists()
