"""From a command line to one frozen configuration: defaults < preset < YAML < flags → resolve → check → freeze.

Megatron-LM's defaults come between ours and the preset, where its scripts are run (`megatron_lm/defaults.py`).

`read` is the only way to make a `Config`. All problems come out together (`ConfigurationError`), nothing is changed
afterwards, and `to_yaml` writes what was resolved so that `--config run.yaml` gives the same configuration again.

Values that nobody gave and `resolve` derived (the MLP's width from the hidden size) stand in a section of their own,
`derived`. Read back, such a value stands, unless flags typed besides change it: it is derived with and without them, and
where the two differ, the new one is taken. So `--config run.yaml --hidden-size 512` is a model of 512, all through. What was
derived from the number of processes (the global batch) is no property of the file, and stands as if it had been given.
"""

from __future__ import annotations

import dataclasses
import pathlib
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
from megatron_ext.arguments.registry import Families

PRESETS = Families("megatron_ext.models.presets", "PRESETS")
DERIVED = "derived"


class Config(SimpleNamespace):
    """The frozen configuration: one attribute a group (`config.model.num_layers`), the number of processes, derived names.

    `notes` are lines to show at the start of a run, `by_processes` names of values that nobody gave and that follow from the
    number of processes. Both are no part of the configuration, and not compared.
    """

    __slots__ = ("by_processes", "notes")

    def __init__(
        self,
        world_size: int,
        notes: Sequence[str] = (),
        derived: frozenset[str] = frozenset(),
        by_processes: frozenset[str] = frozenset(),
        **groups: Any,
    ):
        super().__init__(world_size=world_size, derived=derived, **groups)
        object.__setattr__(self, "notes", tuple(notes))
        object.__setattr__(self, "by_processes", by_processes)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"the configuration is frozen: {name} cannot be set")

    def groups(self) -> Iterator[Any]:
        return (value for name, value in vars(self).items() if name not in ("world_size", "derived"))

    def flat(self) -> dict[str, Any]:
        """Every flag's resolved value by field name."""
        return {flag.name: getattr(group, flag.name) for group in self.groups() for flag in flags_of(type(group))}

    def to_yaml(self, without: Sequence[str] = ()) -> str:
        """The resolved configuration as YAML, a section a group and one of what was derived; what is None is left out, and so are
        the names in `without`."""
        sections, derived = [], {}
        for group in self.groups():
            values = {flag.name: getattr(group, flag.name) for flag in flags_of(type(group)) if flag.name not in without}
            lines = {
                name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value is not None
            }
            derived |= {name: lines.pop(name) for name in list(lines) if name in self.derived}
            if lines:
                sections.append(f"# {group.group_title}\n" + _dump(lines))
        if derived:
            sections.append("# Derived from the above; with --config they stand unless flags besides change them\n")
            sections[-1] += _dump({DERIVED: derived})
        return "\n".join(sections)


def read(
    groups: Sequence[type],
    argv: Sequence[str],
    program: str,
    description: str,
    world_size: int = 1,
    without: type | None = None,
    base: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    checked: Sequence[type] | None = None,
) -> Config:
    """Parse, resolve, check and freeze. Prints help and exits 0 when asked to; raises ConfigurationError otherwise.

    Args:
        groups: the classes of flags on offer.
        world_size: processes of this run, which checks may look at.
        without: a group whose values in YAML are passed over (another layout than the one that wrote the file).
        base: from what was given to values that stand above the preset's and below YAML's (a checkpoint's own).
        checked: the groups whose checks count, where a saved run's model is used and the rest of it is past [all].
    """
    flags = {flag.name: flag for group in groups for flag in flags_of(group)}
    given, yaml_path, problems = parse_command_line(groups, argv, program, description)
    from_yaml, recorded = {}, {}
    if yaml_path is not None:
        from_yaml, recorded, yaml_problems = _read_yaml(yaml_path, flags)
        problems += yaml_problems
        for flag in flags_of(without) if without else ():
            from_yaml.pop(flag.name, None)
            recorded.pop(flag.name, None)
    problems += _convert(flags, from_yaml, "{name} in " + str(yaml_path))
    problems += _convert(flags, recorded, DERIVED + ": {name} in " + str(yaml_path))
    problems += _convert(flags, given, "{option}")
    if problems:
        raise ConfigurationError(problems)
    explicit = {**from_yaml, **given}
    whose = defaults.decide(flags, explicit, given)
    saved = base(explicit) if base else {}
    sources = _Sources(groups, flags, {name: flag.default for name, flag in flags.items()} | whose, saved, from_yaml, explicit)
    draft = sources.resolved(given, given.spelled, world_size)
    unset = sources.unset(given)
    if recorded:
        without_typed = sources.resolved({}, {}, world_size)
        for name in unset & recorded.keys():
            if getattr(draft, name) == getattr(without_typed, name):
                setattr(draft, name, recorded[name])
    checks = [group.check for group in checked or groups if hasattr(group, "check")]
    problems = [given.as_typed(problem) for check in checks for problem in check(draft)]
    if problems:
        raise ConfigurationError(problems)
    own, other = vars(draft), vars(sources.resolved(given, given.spelled, 2 * world_size))
    by_processes = frozenset(name for name in unset if name not in recorded and own[name] != other[name])
    return Config(
        world_size,
        defaults.notes(flags, draft, given),
        frozenset(name for name in unset - by_processes if own[name] is not None),
        by_processes,
        **{group.group_name: group(**{flag.name: getattr(draft, flag.name) for flag in flags_of(group)}) for group in groups},
    )


@dataclasses.dataclass
class _Sources:
    """Where values come from, lower to upper: defaults (whosever), the preset, a checkpoint's own, YAML, what was typed.

    Of YAML and what was typed, only what is left in `explicit` counts.
    """

    groups: Sequence[type]
    flags: dict[str, Flag]
    fallback: dict[str, Any]
    saved: dict[str, Any]
    from_yaml: dict[str, Any]
    explicit: dict[str, Any]

    def resolved(self, typed: dict[str, Any], spelled: dict, world_size: int) -> Any:
        """The flat draft after every group's `resolve`, as if `typed` had been typed, with these spellings."""
        given, above = self._given(typed), self._above(typed)
        draft = SimpleNamespace(**self.fallback | above, world_size=world_size, given=frozenset(given), typed=frozenset(typed))
        draft.fallback, draft.open, draft.spelled, draft.notes = self.fallback, self.flags.keys() - above.keys(), spelled, []
        for group in self.groups:
            getattr(group, "resolve", lambda c: None)(draft)
        return draft

    def unset(self, typed: dict[str, Any]) -> set[str]:
        """Names of what nobody gave and has no default: what is derived, or stays None."""
        values = self.fallback | self._above(typed)
        return {name for name in self.flags if values[name] is None}

    def _given(self, typed: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in {**self.from_yaml, **typed}.items() if name in self.explicit}

    def _above(self, typed: dict[str, Any]) -> dict[str, Any]:
        given = self._given(typed)
        return _preset(given.get("preset")) | self.saved | given


def _convert(flags: dict[str, Flag], values: dict[str, Any], place: str) -> list[Problem]:
    """Convert `values` in place to their flags' types; what cannot be is returned and dropped."""
    problems = []
    for name in list(values):
        flag, known = flags[name], known_value(name, values[name])
        option = values.options[name] if isinstance(values, Given) else flag.option
        where = place.replace("{name}", name, 1).replace("{option}", option, 1)
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
    return dict(PRESETS.entry(name))


def all_values(path: pathlib.Path) -> dict[str, Any]:
    """The values in a run.yaml that `to_yaml` wrote, the derived ones too, by field name."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    values = {**content.pop(DERIVED, {}), **content}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _dump(values: dict) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _read_yaml(path: str, flags: dict[str, Flag]) -> tuple[dict[str, Any], dict[str, Any], list[Problem]]:
    """`(values, derived values, problems)` of a YAML file; keys are written as fields or as flags, unknown ones are problems."""
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file) or {}
    except OSError as error:
        return {}, {}, [Problem("--config", path, f"cannot be read: {error.strerror}")]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return {}, {}, [Problem("--config", path, "is not valid YAML: " + " ".join(str(error).split()))]
    if not isinstance(content, dict):
        return {}, {}, [Problem("--config", path, f"expected `flag: value` lines, found {type(content).__name__}")]
    derived = content.pop(DERIVED, None) or {}
    if not isinstance(derived, dict):
        return {}, {}, [Problem(f"{DERIVED} in {path}", None, f"expected `flag: value` lines, found {type(derived).__name__}")]
    values, problems = _known(content, flags, path)
    recorded, more = _known(derived, flags, path)
    return values, recorded, problems + more


def _known(content: dict, flags: dict[str, Flag], path: str) -> tuple[dict[str, Any], list[Problem]]:
    """`(values by field, a problem for each key that is no flag)`."""
    values, problems = {}, []
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name in flags:
            values[name] = value
        else:
            problems.append(Problem(f"{key} in {path}", None, "is not a flag", did_you_mean(name, flags)))
    return values, problems
