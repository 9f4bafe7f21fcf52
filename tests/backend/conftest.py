"""The session's workers (tests/pool.py), as ranks of a running world."""

from __future__ import annotations

import pytest

from megatron_ext.backend import distributed


def started(launch, function, *arguments):
    distributed.start(launch, "cpu", timeout_minutes=1)
    return function(*arguments)


@pytest.fixture(scope="session")
def together(pool):
    """`together(n, function, *arguments)`: what the function returns on each of n ranks."""
    return lambda world_size, function, *arguments: pool.run(started, world_size, function, *arguments)
