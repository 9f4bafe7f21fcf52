"""From what was typed to values of our flags: Megatron-LM's spellings become ours, or are taken, or refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from megatron_ext.arguments.flags import Flag
from megatron_ext.arguments.megatron_lm.rows import REFUSED, TAKEN, Row, Value
from megatron_ext.arguments.megatron_lm.values import VALUES
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import fold

_BY_WORD = {(value.field, fold(value.spelling)): value for value in VALUES}


class Given(dict[str, Any]):
    """Values by field, as they were typed, and what else is known of them.

    Attributes:
        options: field -> the option by which it was set (`--disable-bias-linear`, not `--add-bias-linear`).
        renamed: our option -> the one that was typed for it, where it was Megatron-LM's.
        spelled: option of Megatron-LM's -> its value (True for one that takes none).
        its_own: what was typed that only Megatron-LM has, as it is shown to the user.
        without_effect: option or option and value -> why it has none.
        remarks: what else there is to say at the start of a run.
    """

    def __init__(self):
        super().__init__()
        self.options: dict[str, str] = {}
        self.renamed: dict[str, str] = {}
        self.spelled: dict[str, Any] = {}
        self.its_own: list[str] = []
        self.without_effect: dict[str, str] = {}
        self.remarks: list[str] = []

    def as_typed(self, problem: Problem) -> Problem:
        """A problem of one of our flags, under the name that the user typed."""
        typed = self.renamed.get(problem.flag)
        return problem if typed is None else dataclasses.replace(problem, flag=f"{typed} (here {problem.flag})")


@dataclasses.dataclass(frozen=True)
class Word:
    """An option that was typed: its flag or the table's row, and the value that followed (of flags without one: the value
    that it stands for)."""

    option: str
    target: Flag | Row
    value: Any


def known_value(field: str, value: Any) -> Value | None:
    """What the table says of a value of one of our flags (of a flag with several, where one is given)."""
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return _BY_WORD.get((field, fold(value))) if isinstance(value, str) else None


def gather(words: Iterable[Word], flags: dict[str, Flag]) -> tuple[Given, list[Problem]]:
    """`(values by field, problems)`. Of one option given twice, the last counts; two options must not contradict."""
    given, problems = Given(), []
    said: dict[str, dict[str, Any]] = {}
    for word in words:
        if isinstance(word.target, Flag):
            settings = {word.target.name: word.value}
        else:
            problem, settings = _settings(word, given)
            problems += [problem] if problem else []
        for name, value in settings.items():
            # One flag's --x and --no-x are one option, so that the last of them counts.
            key = flags[name].option if isinstance(word.target, Flag) else word.option
            given.renamed.pop(flags[name].option, None)
            if isinstance(word.target, Row):
                given.renamed[flags[name].option] = word.option
            said.setdefault(name, {}).pop(key, None)
            said[name][key] = value
            given[name], given.options[name] = value, word.option
    for name, values in said.items():
        problems += _contradiction(flags[name], values)
    for name in list(given):
        problems += _spelling(given, name)
    return given, problems


def _settings(word: Word, given: Given) -> tuple[Problem | None, dict[str, Any]]:
    """`(problem, values by field)` of an option in the table."""
    row, value = word.target, word.value
    shown = None if value is True else " ".join(value) if isinstance(value, list) else value
    if row.fate == REFUSED:
        return Problem(word.option, shown, row.why), {}
    unfit = row.unfit(value)
    if unfit is not None:
        return Problem(word.option, unfit, row.otherwise), {}
    given.spelled[row.option] = value
    given.its_own.append(word.option)
    if row.fate == TAKEN:
        given.without_effect[word.option] = row.why
    return None, {name: value if fixed is ... else fixed for name, fixed in row.becomes}


def _contradiction(flag: Flag, values: dict[str, Any]) -> list[Problem]:
    """The problem of several options that say different things about one flag."""
    if len({str(_converted(flag, value)) for value in values.values()}) < 2:
        return []
    named = [
        f"{option} {value}" if isinstance(value, str) and option == flag.option else option for option, value in values.items()
    ]
    return [Problem(" and ".join(named), None, "contradict each other", "give one")]


def _converted(flag: Flag, value: Any) -> Any:
    known = known_value(flag.name, value)
    try:
        return flag.convert(known.ours if known else value)
    except ValueError:
        return value


def _spelling(given: Given, name: str) -> list[Problem]:
    """Put our word in place of Megatron-LM's."""
    known = known_value(name, given[name])
    if known is None:
        if name == "split":  # the LLaMA script's quotes arrive inside the value: '99,1,0'
            given[name] = given[name].strip("'\"")
        return []
    shown = f"{given.options[name]} {known.spelling}"
    if known.fate == REFUSED:
        del given[name]
        return [Problem(given.options[name], known.spelling, known.why)]
    if known.its_own:
        given.its_own.append(shown)
    if known.fate == TAKEN:
        given.without_effect[shown] = known.why
        del given[name]
    else:
        given[name] = known.ours
        given.remarks += [f"{shown}: {known.why}"] if known.why else []
    return []
