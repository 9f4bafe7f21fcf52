"""From a command line to one frozen configuration: defaults < preset < YAML < flags → resolve → check → freeze.

Megatron-LM's defaults come between ours and the preset, where its scripts are run (`megatron_lm/defaults.py`).

`read` is the only way to make a `Config`. All problems come out together (`ConfigurationError`), nothing is changed
afterwards, and `to_yaml` writes what was resolved so that `--config run.yaml` gives the same configuration again.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import yaml

from megatron_ext.arguments.command_line import parse_command_line
from megatron_ext.arguments.flags import Flag, flags_of
from megatron_ext.arguments.megatron_lm import defaults
from megatron_ext.arguments.megatron_lm.rows import TRANSLATED
from megatron_ext.arguments.megatron_lm.translate import Given, known_value
from megatron_ext.arguments.problems import ConfigurationError, Problem, did_you_mean

PRESETS = "megatron_ext.models.presets"


class Config(SimpleNamespace):
    """The frozen configuration: one attribute a group (`config.model.num_layers`), and the number of processes.

    `notes` are lines to show at the start of a run; being no part of the configuration, they are not compared.
    """

    __slots__ = ("notes",)

    def __init__(self, world_size: int, notes: Sequence[str] = (), **groups: Any):
        super().__init__(world_size=world_size, **groups)
        object.__setattr__(self, "notes", tuple(notes))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"the configuration is frozen: {name} cannot be set")

    def groups(self) -> Iterator[Any]:
        return (value for name, value in vars(self).items() if name != "world_size")

    def flat(self) -> dict[str, Any]:
        """Every flag's resolved value by field name."""
        return {flag.name: getattr(group, flag.name) for group in self.groups() for flag in flags_of(type(group))}

    def to_yaml(self) -> str:
        """The resolved configuration as YAML, a section a group; what is None is left out."""
        sections = []
        for group in self.groups():
            values = {flag.name: getattr(group, flag.name) for flag in flags_of(type(group))}
            lines = {
                name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value is not None
            }
            if lines:
                sections.append(f"# {group.group_title}\n" + yaml.safe_dump(lines, sort_keys=False, allow_unicode=True))
        return "\n".join(sections)


def read(
    groups: Sequence[type],
    argv: Sequence[str],
    program: str,
    description: str,
    world_size: int = 1,
    without: type | None = None,
    base: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Config:
    """Parse, resolve, check and freeze. Prints help and exits 0 when asked to; raises ConfigurationError otherwise.

    Args:
        groups: the classes of flags on offer.
        world_size: processes of this run, which checks may look at.
        without: a group whose values in YAML are passed over (another layout than the one that wrote the file).
        base: from what was given to values that stand above the preset's and below YAML's (a checkpoint's own).
    """
    flags = {flag.name: flag for group in groups for flag in flags_of(group)}
    given, yaml_path, problems = parse_command_line(groups, argv, program, description)
    from_yaml: dict[str, Any] = {}
    if yaml_path is not None:
        from_yaml, yaml_problems = _read_yaml(yaml_path, flags)
        problems += yaml_problems
        for flag in flags_of(without) if without else ():
            from_yaml.pop(flag.name, None)
    problems += _convert(flags, from_yaml, "{name} in " + str(yaml_path))
    problems += _convert(flags, given, "{option}")
    if problems:
        raise ConfigurationError(problems)
    explicit = {**from_yaml, **given}
    whose = defaults.decide(flags, explicit, given)
    above = _preset(explicit.get("preset")) | (base(explicit) if base else {}) | explicit
    fallback = {name: flag.default for name, flag in flags.items()} | whose
    draft = SimpleNamespace(**fallback | above, world_size=world_size, given=frozenset(explicit), typed=frozenset(given))
    draft.fallback, draft.open, draft.spelled, draft.notes = fallback, flags.keys() - above.keys(), given.spelled, []
    for group in groups:
        getattr(group, "resolve", lambda c: None)(draft)
    problems = [given.as_typed(problem) for group in groups for problem in getattr(group, "check", lambda c: ())(draft)]
    if problems:
        raise ConfigurationError(problems)
    return Config(
        world_size,
        defaults.notes(flags, draft, given),
        **{group.group_name: group(**{flag.name: getattr(draft, flag.name) for flag in flags_of(group)}) for group in groups},
    )


def _convert(flags: dict[str, Flag], values: dict[str, Any], place: str) -> list[Problem]:
    """Convert `values` in place to their flags' types; what cannot be is returned and dropped."""
    problems = []
    for name in list(values):
        flag, known = flags[name], known_value(name, values[name])
        option = values.options[name] if isinstance(values, Given) else flag.option
        where = place.format(name=name, option=option)
        if known is not None:
            if known.fate != TRANSLATED:
                problems.append(Problem(where, values.pop(name), known.why))
                continue
            values[name] = known.ours
        try:
            values[name] = flag.convert(values[name])
        except ValueError as error:
            close = did_you_mean(str(values[name]), map(str, flag.choices)) if flag.choices is not None else ""
            problems.append(Problem(where, values.pop(name), str(error), close))
    return problems


def _preset(name: str | None) -> dict[str, Any]:
    """The values of a preset: fields that the command line and YAML may still override."""
    if name is None:
        return {}
    return dict(importlib.import_module(f"{PRESETS}.{name}").PRESET)


def _read_yaml(path: str, flags: dict[str, Flag]) -> tuple[dict[str, Any], list[Problem]]:
    """The keys of a YAML file, written as fields or as flags; unknown ones become problems."""
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file) or {}
    except OSError as error:
        return {}, [Problem("--config", path, f"cannot be read: {error.strerror}")]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return {}, [Problem("--config", path, "is not valid YAML: " + " ".join(str(error).split()))]
    if not isinstance(content, dict):
        return {}, [Problem("--config", path, f"expected `flag: value` lines, found {type(content).__name__}")]
    values, problems = {}, []
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name in flags:
            values[name] = value
        else:
            problems.append(Problem(f"{key} in {path}", None, "is not a flag", did_you_mean(name, flags)))
    return values, problems
