"""Order is kept, errors arrive, and a worker's death is noticed at once and named."""

import os
import signal
import threading
import time

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.preprocess.workers import AHEAD, ordered_map


class Work:
    """Does what each item says."""

    def __init__(self, factor=1, broken=None):
        if broken:
            raise UserError(broken)
        self.factor = factor

    def __call__(self, item):
        kind, value = item
        if kind == "sleep":
            time.sleep(value)
        elif kind == "die":
            os.kill(os.getpid(), value)
        elif kind == "exit":
            os._exit(value)
        elif kind == "raise":
            raise value
        elif kind == "large":
            return b"x" * value
        elif kind == "pid":
            return os.getpid()
        return value * self.factor


def items(count):
    return [("sleep", 0.02 * (number % 3)) if number % 5 == 0 else ("number", number) for number in range(count)]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    assert list(ordered_map(Work, (2,), items(40), workers)) == [value * 2 for _, value in items(40)]
    assert list(ordered_map(Work, (), [], workers)) == []


def test_work_is_done_in_other_processes_and_in_this_one_where_one_is_enough():
    assert set(ordered_map(Work, (), [("pid", 0)] * 3, 1)) == {os.getpid()}
    assert os.getpid() not in set(ordered_map(Work, (), [("pid", 0)] * 3, 2))


def test_only_a_few_items_are_taken_ahead():
    taken = []

    def source():
        for number in range(100):
            taken.append(number)
            yield "number", number

    results = ordered_map(Work, (), source(), 2)
    for done in range(20):
        next(results)
        assert len(taken) <= done + 1 + AHEAD * 2 + 1
    results.close()


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (("die", signal.SIGKILL), r"worker \d \(process \d+\) was killed by SIGKILL, which is what happens when memory runs out"),
        (("die", signal.SIGSEGV), r"worker \d \(process \d+\) was killed by SIGSEGV"),
        (("exit", 3), r"worker \d \(process \d+\) ended with status 3"),
    ],
)
def test_a_dead_worker_is_named_at_once(item, said):
    start = time.monotonic()
    with pytest.raises(UserError, match=said):
        list(ordered_map(Work, (), [("number", 1)] * 5 + [item] + [("sleep", 60)] * 5, 2))
    assert time.monotonic() - start < 10


def test_a_worker_killed_while_it_answers_is_noticed_too():
    """Answers of 50 MB: at most times a kill falls into the middle of one."""
    pids = {}

    def source():
        yield "pid", 0
        yield "pid", 0
        while True:
            yield "large", 50_000_000

    for attempt in range(3):
        results = ordered_map(Work, (), source(), 2)
        pids = {next(results), next(results)}
        killer = threading.Timer(0.05 + 0.03 * attempt, os.kill, (max(pids), signal.SIGKILL))
        killer.start()
        with pytest.raises(UserError, match="SIGKILL"):
            for _ in results:
                pass
        killer.join()


def test_errors_arrive_with_their_cause():
    with pytest.raises(UserError, match="^no such thing$"):
        list(ordered_map(Work, (1, "no such thing"), [("number", 1)], 2))
    with pytest.raises(RuntimeError, match="(?s)in worker .*ZeroDivisionError: of course"):
        list(ordered_map(Work, (), [("raise", ZeroDivisionError("of course"))], 2))


def test_an_error_of_the_source_ends_the_workers():
    def source():
        yield "number", 1
        yield "sleep", 60
        raise UserError("the file is cut off")

    start = time.monotonic()
    with pytest.raises(UserError, match="cut off"):
        list(ordered_map(Work, (), source(), 2))
    assert time.monotonic() - start < 10


def test_no_process_is_left_when_the_taker_stops():
    results = ordered_map(Work, (), [("pid", 0)] * 4 + [("sleep", 60)] * 4, 2)
    pids = {next(results) for _ in range(4)}
    results.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
