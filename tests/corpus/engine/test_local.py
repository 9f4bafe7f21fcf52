"""Every item is done or named: workers that die are noticed in seconds, their items done again, and set aside at last."""

import contextlib
import os
import pathlib
import random
import signal
import threading
import time

import psutil
import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine.local import Done, StopAll, Workers, work


class Work:
    """Does what an item says. `folder` holds a mark for each time that an item was begun."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __call__(self, item):
        name, kind, value = item
        times = len(list(self.folder.glob(f"{name}.*")))
        (self.folder / f"{name}.{times}").touch()
        if kind == "die" and times < value:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "sleep":
            time.sleep(value)
        if kind == "refuse":
            raise UserError(value)
        if kind == "full":
            raise StopAll("no space left")
        if kind == "bug":
            raise ZeroDivisionError("of course")
        return name * 2


def numbers(count):
    return [(number, "number", 0) for number in range(count)]


@pytest.fixture(autouse=True)
def others():
    """Processes of other tests' pools, which these tests must not take for their own workers."""
    OTHERS.update(each.pid for each in psutil.Process().children())
    yield
    OTHERS.clear()


OTHERS: set[int] = set()


def workers_alive():
    mine = [each for each in psutil.Process().children() if each.pid not in OTHERS]
    return [each for each in mine if "spawn_main" in " ".join(each.cmdline())]


def begun(folder, name):
    return len(list(folder.glob(f"{name}.*")))


@pytest.mark.parametrize("workers", [1, 3])
def test_all_are_done_once(workers, tmp_path):
    done = list(work(Work, (tmp_path,), numbers(20), workers, 2))
    assert sorted(done) == [Done(item, item[0] * 2) for item in numbers(20)]
    assert [begun(tmp_path, number) for number in range(20)] == [1] * 20
    assert list(work(Work, (tmp_path,), [], workers, 2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_dead_worker_had_is_done_again(workers, tmp_path):
    start = time.monotonic()
    items = [*numbers(5), (7, "die", 1), (8, "die", 1), (9, "number", 0)]
    done = list(work(Work, (tmp_path,), items, workers, 2))
    assert sorted(done) == [Done(item, item[0] * 2) for item in items]
    assert begun(tmp_path, 7) == 2 and time.monotonic() - start < 30


def test_what_kills_twice_is_set_aside_and_named(tmp_path):
    items = [*numbers(5), (7, "die", 9), (9, "number", 0)]
    done = {each.item[0]: each for each in work(Work, (tmp_path,), items, 2, 2)}
    assert len(done) == 7 and begun(tmp_path, 7) == 2
    assert "2 workers died of it" in done[7].failure and "SIGKILL" in done[7].failure
    assert [each.failure for name, each in done.items() if name != 7] == [None] * 6


def test_what_is_refused_is_named_and_not_tried_again(tmp_path):
    done = {each.item[0]: each for each in work(Work, (tmp_path,), [*numbers(3), (7, "refuse", "x: is cut off")], 2, 2)}
    assert done[7].failure == "x: is cut off" and begun(tmp_path, 7) == 1 and len(done) == 4


def test_what_fails_for_all_stops_all(tmp_path):
    with pytest.raises(StopAll, match="no space left"):
        list(work(Work, (tmp_path,), [(0, "full", 0), *((n, "sleep", 60) for n in range(1, 9))], 2, 2))
    assert not workers_alive()


def test_a_bug_is_shown_with_its_place(tmp_path):
    with pytest.raises(RuntimeError, match="(?s)in worker .*ZeroDivisionError: of course"):
        list(work(Work, (tmp_path,), [(0, "bug", 0)], 1, 2))


@pytest.mark.parametrize("seed", range(3))
def test_workers_killed_at_random_moments(seed, tmp_path):
    """Kills from outside, as the kernel does when memory runs out; an item may be struck twice, so it has many attempts."""
    draw, over = random.Random(seed), threading.Event()

    def strike():
        while not over.wait(0.1 + 0.4 * draw.random()):
            with contextlib.suppress(psutil.NoSuchProcess):
                if alive := workers_alive():
                    draw.choice(alive).kill()

    killer = threading.Thread(target=strike)
    killer.start()
    try:
        items = [(number, "sleep", 0.05) for number in range(24)]
        found = []
        for done in work(Work, (tmp_path,), items, 2, 1000):
            found.append(done)
            if len(found) == 16:
                over.set()
    finally:
        over.set()
        killer.join()
    assert sorted(found) == [Done(item, item[0] * 2) for item in items]


class Pids:
    def __call__(self, item):
        if item == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()


def test_workers_stay_from_one_lot_to_the_next_and_those_that_died_are_replaced():
    with Workers(Pids, (), 2, 1) as workers:
        assert len({done.result for done in workers.work([0])}) == 1, "one item needs one worker"
        first = {done.result for done in workers.work(range(40))}
        assert {done.result for done in workers.work(range(40))} <= first and len(first) <= 2
        [died] = workers.work(["die"])
        assert "was killed by SIGKILL" in died.failure
        after = {done.result for done in workers.work(range(40))}
        assert after - first and len(after) <= 2
    assert not workers_alive()
