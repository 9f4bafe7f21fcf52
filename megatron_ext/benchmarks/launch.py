"""A command in processes of its own: what it took by the clock, of all cores, and how large its largest process became."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from megatron_ext.arguments.problems import UserError


class Ran(NamedTuple):
    """Seconds by the clock and of all cores; bytes of the largest process."""

    wall: float
    cpu: float
    memory: float


_LAUNCH = (  # from a small process: what a child is said to have held begins with its parent's
    "import json, os, resource, subprocess, sys, time\n"
    "start = time.monotonic()\n"
    "code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode\n"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
    "print(json.dumps([time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))\n"
    "sys.exit(code)"
)


def launch(words: Sequence[str], name: str, environment: Mapping[str, str] | None = None) -> Ran:
    """Run a command. UserError: it failed; what it said last is told."""
    command = [sys.executable, "-S", "-c", _LAUNCH, *words]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | dict(environment or {}))
    if ran.returncode != 0:
        raise UserError(f"{name} failed: {(ran.stderr.strip().splitlines() or ['without a word'])[-1]}")
    return Ran(*json.loads(ran.stdout))
