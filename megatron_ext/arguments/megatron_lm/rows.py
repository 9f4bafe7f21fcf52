"""What the table is made of: a row is a flag of Megatron-LM and its fate here.

A flag is written with its arity: `--swiglu` takes no value, `--spec=` one, `--recompute-modules=*` any number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from megatron_ext.arguments.registry import fold

PRETRAIN = "pretrain_gpt.py"
PREPROCESS = "preprocess_data.py"

OURS = "ours"
TRANSLATED = "translated"
TAKEN = "taken"
REFUSED = "refused"


@dataclasses.dataclass(frozen=True)
class Row:
    """A flag of Megatron-LM.

    Attributes:
        option: as it is typed.
        arity: "" no value, "=" one, "=*" any number.
        fate: OURS: the same flag is here; TRANSLATED: it means another flag; TAKEN: it has no effect; REFUSED.
        why: what it means here, why it has no effect, or what to use instead.
        becomes: of a TRANSLATED flag, values by our field; `...` stands for the value that follows it.
        only: the values for which this holds; any other is refused with `otherwise`.
        programs: the programs that know it.
    """

    option: str
    arity: str
    fate: str
    why: str = ""
    becomes: tuple[tuple[str, Any], ...] = ()
    only: tuple[str, ...] = ()
    otherwise: str = ""
    programs: tuple[str, ...] = (PRETRAIN,)

    @property
    def usage(self) -> str:
        """The flag as it is written in help: `--spec VALUE…`."""
        return self.option + {"": "", "=": " VALUE", "=*": " VALUE…"}[self.arity]

    @property
    def meaning(self) -> str:
        """What a TRANSLATED flag means here: `--activation swiglu`."""
        return " ".join(_written(field, value) for field, value in self.becomes)

    def unfit(self, value: Any) -> str | None:
        """The first of the values that are not those of `only`; None: all fit."""
        if not self.only:
            return None
        known = {fold(word) for word in self.only}
        words = value if isinstance(value, list) else [value]
        return next((word for word in words if fold(word) not in known), None)


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of one of our flags that Megatron-LM spells otherwise or that is not there.

    Attributes:
        field: the flag's field.
        spelling: Megatron-LM's word.
        ours: our word; None: there is none.
        fate: TRANSLATED, TAKEN or REFUSED.
        why: why it has no effect, what to use instead, or what else there is to say.
        its_own: whether only Megatron-LM has this word, so that whoever types it brings a script of Megatron-LM's.
    """

    field: str
    spelling: str
    ours: str | None
    fate: str
    why: str
    its_own: bool = True


@dataclasses.dataclass(frozen=True)
class Section:
    """Rows that belong together, under a title."""

    title: str
    rows: tuple[Row, ...]


def section(title: str, *parts: Iterable[Row], programs: tuple[str, ...] = (PRETRAIN,)) -> Section:
    return Section(title, tuple(dataclasses.replace(row, programs=programs) for part in parts for row in part))


def ours(flags: str) -> list[Row]:
    """Flags that are here under the same name."""
    return [Row(option, arity, OURS) for option, arity in _split(flags)]


def becomes(flag: str, why: str = "", *, only: str = "", otherwise: str = "", **fields: Any) -> list[Row]:
    """A flag that means other flags here; without `fields`, defaults.py knows what it does."""
    ((option, arity),) = _split(flag)
    return [Row(option, arity, TRANSLATED, why, tuple(fields.items()), tuple(only.split()), otherwise)]


def taken(flags: str, why: str, *, only: str = "", otherwise: str = "") -> list[Row]:
    """Flags without effect: it is so here already, or they change nothing but speed and display."""
    return [Row(option, arity, TAKEN, why, only=tuple(only.split()), otherwise=otherwise) for option, arity in _split(flags)]


def refused(flags: str, why: str) -> list[Row]:
    """Flags that are not there, and what to use instead."""
    return [Row(option, arity, REFUSED, why) for option, arity in _split(flags)]


def spelled(field: str, why: str = "", *, its_own: bool = True, **words: str) -> list[Value]:
    """Other spellings (one word or several) of our values; `why` is what else there is to say."""
    return [Value(field, word, name, TRANSLATED, why, its_own) for name, spellings in words.items() for word in spellings.split()]


def absent(field: str, words: str, why: str, fate: str = REFUSED) -> list[Value]:
    """Values that are not there: refused, or TAKEN without effect."""
    return [Value(field, word, None, fate, why) for word in words.split()]


def _written(field: str, value: Any) -> str:
    option = field.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} {'VALUE' if value is ... else value}"


def _split(flags: str) -> list[tuple[str, str]]:
    words = [word.partition("=") for word in flags.split()]
    return [(option, equals + star) for option, equals, star in words]
