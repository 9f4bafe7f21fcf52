"""One dataclass field makes the flag, its help and its YAML key.

    @flag_group("optimizer", "How weights are updated")
    class OptimizerFlags:
        lr: float = flag(3e-4, "peak learning rate", front=True)

gives `--lr`, `lr:` in YAML and a line in `--help`. A group may bring two static methods, both on the flat draft of the
whole configuration: `resolve(c)` fills what was left to be derived (a None), `check(c)` yields `Problem`s.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from megatron_ext.arguments.registry import Registry, fold


def flag(
    default: Any,
    help: str,
    *,
    choices: Iterable[Any] | Registry | None = None,
    front: bool = False,
    positive: bool = False,
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """Declare a flag.

    Args:
        default: value when nobody says anything; None means "derived, see resolve" or "not given".
        help: one line, with the unit where there is one.
        choices: fixed values, or a Registry whose file stems are the values.
        front: whether plain `--help` shows it.
        positive, least, most: bounds that are checked for every given value.
    """
    meta = dict(help=help, choices=choices, front=front, positive=positive, least=least, most=most)
    return dataclasses.field(default=default, metadata=meta)


def flag_group(name: str, title: str) -> Callable[[type], type]:
    """Make a class of flags a frozen dataclass that knows its group's name and title."""

    def decorate(cls: type) -> type:
        cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        cls.group_name, cls.group_title = name, title
        return cls

    return decorate


@dataclasses.dataclass(frozen=True)
class Flag:
    """A declared flag, as parser, YAML, help and docs read it."""

    name: str
    group: str
    kind: type
    many: bool
    optional: bool
    default: Any
    help: str
    choices: Any
    front: bool
    positive: bool
    least: float | None
    most: float | None

    @property
    def option(self) -> str:
        return "--" + self.name.strip("_").replace("_", "-")  # from_: `from` is a word of Python's own

    @property
    def opposite(self) -> str:
        """The option that says no to a yes-or-no flag: `--no-bf16`, and `--load-optim` to `--no-load-optim`."""
        return "--" + self.option.removeprefix("--no-") if self.option.startswith("--no-") else "--no-" + self.option[2:]

    def convert(self, value: Any) -> Any:
        """A command-line or YAML value in this flag's type; ValueError says what was expected."""
        if value is None:
            if self.optional:
                return None
            raise ValueError(f"expected {self.expected()}, found nothing")
        if self.many:
            items = value if isinstance(value, (list, tuple)) else [value]
            return tuple(self._bounded(self._scalar(item)) for item in items)
        if isinstance(value, (list, tuple)):
            raise ValueError(f"expected {self.expected()}, found a list")
        return self._bounded(self._scalar(value))

    def expected(self) -> str:
        if self.choices is not None:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        return {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}[self.kind]

    def _scalar(self, value: Any) -> Any:
        if self.kind is bool:
            if isinstance(value, bool):
                return value
            raise ValueError("expected true or false")
        if isinstance(value, bool):
            raise ValueError(f"expected {self.expected()}")
        try:
            converted = _whole(value) if self.kind is int else self.kind(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"expected {self.expected()}") from None
        if isinstance(self.choices, Registry):
            name = self.choices.canonical(converted)
        elif self.choices is not None:
            name = {fold(str(choice)): choice for choice in self.choices}.get(fold(str(converted)))
        else:
            return converted
        if name is None:
            raise ValueError(f"expected {self.expected()}")
        return name

    def _bounded(self, value: Any) -> Any:
        if self.kind is float and not math.isfinite(value):
            raise ValueError("must be finite")
        if self.positive and not value > 0:
            raise ValueError("must be above 0")
        if self.least is not None and not value >= self.least:
            raise ValueError(f"must be at least {self.least:g}")
        if self.most is not None and not value <= self.most:
            raise ValueError(f"must be at most {self.most:g}")
        return value


def _whole(value: Any) -> int:
    """Accepts 2000, "2_000" and "2e9": a token budget is rarely typed digit by digit."""
    try:
        return int(value) if not isinstance(value, float) else _integral(value)
    except ValueError:
        return _integral(float(value))


def _integral(value: float) -> int:
    if value != int(value):
        raise ValueError(value)
    return int(value)


def flags_of(group: type) -> Iterator[Flag]:
    """The flags that a group declares, in the order of the file."""
    hints = typing.get_type_hints(group)
    for field in dataclasses.fields(group):
        kind, many, optional = _shape(hints[field.name])
        yield Flag(
            name=field.name,
            group=group.group_name,
            kind=kind,
            many=many,
            optional=optional,
            default=field.default,
            **field.metadata,
        )


def _shape(hint: Any) -> tuple[type, bool, bool]:
    """`(element type, is it a list, may it be None)` of an annotation."""
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        optional, hint = len(members) < len(typing.get_args(hint)), members[0]
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True, optional
    return hint, False, optional
