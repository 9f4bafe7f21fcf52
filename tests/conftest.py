"""The tiers: by default all but `full` and `soak`; `--full` and `--soak` add theirs; `gpu` runs where there is a GPU."""

import shutil

import hypothesis
import pytest

from tests.pool import Pool

# How long an example takes says how busy the machine is; what measures times is tools/benchmark.py.
hypothesis.settings.register_profile("untimed", parent=hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser):
    group = parser.getgroup("megatron-ext")
    group.addoption("--full", action="store_true", help="also run the tests marked full")
    group.addoption("--renew", action="store_true", help="write what tests measure in place of what is recorded (without -n)")
    group.addoption("--soak", action="store_true", help="also run the tests marked soak")


def pytest_collection_modifyitems(config, items):
    if config.option.markexpr:  # -m says it all
        return
    left_out = {tier for tier in ("full", "soak") if not config.getoption(tier)}
    if not shutil.which("nvidia-smi"):
        left_out.add("gpu")
    elif any(item.get_closest_marker("gpu") for item in items):
        import torch

        left_out |= set() if torch.cuda.is_available() else {"gpu"}
    left = {item for item in items if left_out & {mark.name for mark in item.iter_markers()}}
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def pool():
    """Four gloo workers for the session (tests/pool.py)."""
    workers = Pool()
    yield workers
    workers.close(patience=10)
