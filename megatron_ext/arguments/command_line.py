"""The command line: dataclass fields become argparse options, and help in three sizes.

argparse takes the line apart; converting and judging the values is `config.py`'s work, since argparse would stop at the
first one that is wrong. Megatron-LM's spellings are options too, by the table in `megatron_lm/`.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import textwrap
from collections.abc import Container, Sequence
from typing import Any, NoReturn

from megatron_ext.arguments.flags import Flag, flags_of
from megatron_ext.arguments.megatron_lm import page
from megatron_ext.arguments.megatron_lm.rows import OURS, REFUSED, Row
from megatron_ext.arguments.megatron_lm.table import rows
from megatron_ext.arguments.megatron_lm.translate import Given, Word, gather
from megatron_ext.arguments.problems import ConfigurationError, Problem, did_you_mean, ending_without_a_reader


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """argparse's own complaints (a value missing), in our form."""
        flag, _, reason = message.removeprefix("argument ").partition(": ")
        raise ConfigurationError([Problem(flag, None, reason) if reason else Problem("command line", None, message)])


class _Record(argparse.Action):
    """Notes an option in the order of the line, with the value that follows or that it stands for."""

    def __init__(self, words: list[Word], target: Flag | Row, **more: Any):
        super().__init__(**more)
        self.words, self.target = words, target

    def __call__(self, parser, namespace, values, option_string=None):
        self.words.append(Word(option_string, self.target, self.const if self.nargs == 0 else values))


def parse_command_line(
    groups: Sequence[type], argv: Sequence[str], program: str, description: str
) -> tuple[Given, str | None, list[Problem]]:
    """`(values as given, path of --config, problems)`; prints help and exits when it was asked for."""
    _answer_help(groups, argv, program, description)
    parser = _Parser(prog=program, add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("--config")
    words: list[Word] = []
    flags = {flag.name: flag for group in groups for flag in flags_of(group)}
    for flag in flags.values():
        _add(parser, flag, words)
    known = parser._option_string_actions
    for option, row in rows(program).items():
        if row.fate != OURS and option not in known and all(name in flags for name, _ in row.becomes):
            how = {"": dict(nargs=0, const=True), "=": {}, "=*": dict(nargs="*")}[row.arity]
            parser.add_argument(option, dest=option, action=_Record, words=words, target=row, **how)
    argv, dashed = _with_dashes(argv, known)
    found, unknown = parser.parse_known_args(argv)
    words = [dataclasses.replace(word, option=dashed.get(word.option, word.option)) for word in words]
    given, problems = gather(words, flags)
    offered = [option for option, action in known.items() if getattr(getattr(action, "target", None), "fate", OURS) != REFUSED]
    return given, getattr(found, "config", None), _unknown(unknown, offered) + problems


def _add(parser: argparse.ArgumentParser, flag: Flag, words: list[Word]) -> None:
    how = dict(dest=flag.name, action=_Record, words=words, target=flag)
    if flag.kind is bool:
        parser.add_argument(flag.option, nargs=0, const=True, **how)
        parser.add_argument(flag.opposite, nargs=0, const=False, **how)
    else:
        parser.add_argument(flag.option, nargs="+" if flag.many else None, **how)


def _with_dashes(argv: Sequence[str], known: Container[str]) -> tuple[list[str], dict[str, str]]:
    """`--num_layers` as `--num-layers`: `(the line, options as they were typed by options with dashes)`."""
    line, typed = [], {}
    for word in argv:
        option, equals, value = word.partition("=")
        dashed = option.replace("_", "-")
        if option.startswith("--") and option not in known and dashed in known:
            typed[dashed] = option
            word = dashed + equals + value
        line.append(word)
    return line, typed


def _unknown(words: Sequence[str], offered: Sequence[str]) -> list[Problem]:
    """Problems of what argparse could not place."""
    problems = []
    for word in words:
        if word.startswith("--"):
            option = word.partition("=")[0]
            problems.append(Problem(option, None, "is not a flag", did_you_mean(option, offered) or "see --help all"))
        elif not problems:
            problems.append(Problem(word, None, "belongs to no flag", "flags begin with --, see --help all"))
    return problems


def _answer_help(groups: Sequence[type], argv: Sequence[str], program: str, description: str) -> None:
    """`--help` shows the flags that matter, `--help GROUP` one group, `--help all` everything."""
    asked = [i for i, word in enumerate(argv) if word in ("--help", "-h")]
    if not asked:
        return
    after = argv[asked[0] + 1 : asked[0] + 2]
    topic = after[0] if after and not after[0].startswith("-") else ""
    names = [group.group_name for group in groups]
    if topic and topic != "all" and topic not in names:
        hint = did_you_mean(topic, names) or f"groups are {', '.join(names)}, or all"
        raise ConfigurationError([Problem("--help", topic, "is not a group of flags", hint)])
    with ending_without_a_reader():
        print(help_text(groups, topic, program, description))
    sys.exit(0)


def help_text(groups: Sequence[type], topic: str, program: str, description: str) -> str:
    """The text of `--help [topic]`."""
    width = min(shutil.get_terminal_size((110, 40)).columns, 130)
    lines = [f"usage: {program} [--config FILE.yaml] [--flag value …]", "", description, ""]
    for group in groups:
        shown = [flag for flag in flags_of(group) if topic in ("all", group.group_name) or (not topic and flag.front)]
        if shown:
            lines += [f"{group.group_title} ({group.group_name}):", *(_line(flag, width) for flag in shown), ""]
        if topic == group.group_name == "megatron":
            lines += page.summary(width)
    if not topic:
        names = ", ".join(group.group_name for group in groups)
        lines.append(
            textwrap.fill(
                f"These are the flags that matter most. --help GROUP shows one group ({names}), --help all "
                "every flag. --config reads the same names from YAML.",
                width,
            )
        )
    return "\n".join(lines)


def _line(flag: Flag, width: int) -> str:
    both = flag.kind is bool and flag.opposite.startswith("--no-")
    left = f"  --[no-]{flag.option[2:]}" if both else f"  {flag.option}"
    about = flag.help
    if flag.choices is not None:
        about += " {" + ", ".join(str(choice) for choice in flag.choices) + "}"
    if flag.default not in (None, ()):
        default = (
            " ".join(map(str, flag.default)) if flag.many else str(flag.default).lower() if flag.kind is bool else flag.default
        )
        about += f" [{default}]"
    indent = " " * 40
    body = textwrap.wrap(about, max(width - len(indent), 40))
    first = f"{left:<40}{body[0]}" if len(left) < 39 else f"{left}\n{indent}{body[0]}"
    return "\n".join([first, *(indent + line for line in body[1:])])
