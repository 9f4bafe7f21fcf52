"""What is wrong with a configuration: every problem at once, each as flag, value, reason and the way out."""

from __future__ import annotations

import contextlib
import difflib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One sentence's worth of what is wrong."""

    flag: str
    value: Any
    reason: str
    way_out: str = ""

    def __str__(self) -> str:
        head = self.flag if self.value is None else f"{self.flag} {self.value}"
        return f"{head}: {self.reason}" + (f"; {self.way_out}" if self.way_out else "")


def option(name: str) -> str:
    """A flag as it is typed, from its field: `lr_decay_style` → `--lr-decay-style`."""
    return "--" + name.replace("_", "-")


class UserError(ValueError):
    """Something the user can mend (a missing file, a broken checkpoint): shown as one sentence, without a traceback.

    `shared` says that all processes of the run raise it, so that one of them can speak for all.
    """

    def __init__(self, message: str, shared: bool = False):
        super().__init__(message)
        self.shared = shared


class ConfigurationError(UserError):
    """Raised once, with all problems."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        count = len(self.problems)
        title = "1 problem" if count == 1 else f"{count} problems"
        text = "\n".join([f"the configuration has {title}:"] + [f"  - {problem}" for problem in self.problems])
        super().__init__(text, shared=True)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean --x?`, or nothing when no known word is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""


def exit_status(work: Callable[[], None], program: str, interrupted: str | None = None) -> int:
    """Do a program's work; its exit status: 0, or with the error reported 2 for wrong flags, 1 for what else a user can mend.
    Where nobody reads what it prints (`| head`) the program ends with NO_READER.

    Args:
        interrupted: what to say on Ctrl-C, and on a scheduler's SIGTERM, which then ends as cleanly: 130.
    """
    try:
        if interrupted is not None:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        with ending_without_a_reader():
            work()
    except UserError as error:
        report(error, program)
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        print(f"{program}: interrupted; {interrupted}", file=sys.stderr)
        return 130
    return 0


NO_READER = 128 + signal.SIGPIPE
"""The status of a program whose output nobody reads any more, as a shell shows it of others."""


@contextlib.contextmanager
def ending_without_a_reader() -> Iterator[None]:
    """Inside, a program whose output goes to a pipe that was closed (`| head`) ends with status NO_READER and without a word."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        closed = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
        if not closed:
            raise  # it was a pipe of ours
        for stream in closed:  # else the interpreter would try once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(NO_READER)


def _has_no_reader(stream: Any) -> bool:
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):  # it was closed, or is no file
        return False
    return any(events & select.POLLERR for _, events in poll.poll(0))


def report(error: UserError, program: str) -> None:
    """Print an error as a person should see it. Of many ranks, rank 0 speaks for a problem that all of them share.

    Under torchrun the others wait meanwhile: it ends all processes as soon as one has left, and would cut rank 0 short.
    """
    rank = os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or "0"
    if error.shared and rank != "0":
        time.sleep(10 if "TORCHELASTIC_RUN_ID" in os.environ else 0)
    else:
        print(f"{program}: {error}", file=sys.stderr, flush=True)
