"""The signal is noted whatever the main thread does, a second one ends the process, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from megatron_ext.reliability.preemption import STATUS, STATUS_FILE, Preemption


def wait_for(condition) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def traces():
    """What listening could leave behind: handler, wake-up socket, descriptors, threads."""
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    return signal.getsignal(signal.SIGUSR1), wakeup, len(os.listdir("/proc/self/fd")), threading.active_count()


def test_a_signal_is_noted_and_nothing_is_left_behind():
    before, preemption = traces(), Preemption("SIGUSR1")
    with preemption.listening():
        assert not preemption.received
        os.kill(os.getpid(), signal.SIGUSR1)
        assert wait_for(lambda: preemption.received)
    assert traces() == before


def test_other_signals_are_left_alone():
    heard, handler = [], signal.signal(signal.SIGUSR2, lambda *_: heard.append(1))
    try:
        with Preemption("SIGUSR1").listening() as preemption:
            os.kill(os.getpid(), signal.SIGUSR2)
            assert wait_for(lambda: heard)
            time.sleep(0.05)
            assert not preemption.received
    finally:
        signal.signal(signal.SIGUSR2, handler)


def test_outside_the_main_thread_nothing_is_touched():
    before, inside = traces(), []

    def other():
        with Preemption("SIGUSR1").listening():
            inside.append(signal.getsignal(signal.SIGUSR1))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert inside == [before[0]] and traces() == before


# The main thread locks a plain mutex twice: no signal gets it out of there, as from a collective whose partner is gone.
STUCK = """
import ctypes
from megatron_ext.reliability import preemption
preemption.REPEAT = 0.5
with preemption.Preemption("SIGTERM", speak=True).listening():
    mutex, lock = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock
    lock(mutex)
    print("stuck", flush=True)
    lock(mutex)
"""


@pytest.fixture
def stuck():
    process = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "stuck\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_signal_ends_a_process_that_hangs(stuck):
    stuck.send_signal(signal.SIGTERM)
    assert "SIGTERM: stopping after the update at hand" in stuck.stderr.readline()
    time.sleep(0.7)
    stuck.send_signal(signal.SIGTERM)
    assert stuck.wait(10) == 128 + signal.SIGTERM


def test_the_same_request_on_two_ways_is_one(stuck):
    stuck.send_signal(signal.SIGTERM)
    assert "SIGTERM" in stuck.stderr.readline()
    stuck.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        stuck.wait(1)


# A run that was told to stop, has stopped, and takes its time to close: twice told again meanwhile.
LEAVING = """
import atexit, sys, time
from megatron_ext.reliability import preemption
preemption.REPEAT = 0.1
atexit.register(lambda: (print("closing", flush=True), sys.stdin.readline()))
with preemption.Preemption("SIGTERM").listening() as told:
    print("listening", flush=True)
    sys.stdin.readline()
    told.obeyed = True
    print("saved", flush=True)
    sys.stdin.readline()
preemption.leave(preemption.STATUS)
"""


def test_what_is_saved_is_not_told_again_on_its_way_out():
    """Launchers send SIGTERM to the other processes once the first has left."""
    process = subprocess.Popen([sys.executable, "-c", LEAVING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        for word in ("listening", "saved", "closing"):
            assert process.stdout.readline() == f"{word}\n"
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            process.stdin.write("\n")
            process.stdin.flush()
        assert process.wait(10) == STATUS
    finally:
        process.kill()
        process.communicate()


TOLD = """
import sys
from megatron_ext.reliability import preemption
print("a line for the log")
if "begin" in sys.argv:
    preemption.begin()
preemption.leave(int(sys.argv[1]))
"""


@pytest.mark.parametrize(("words", "left"), [
    (["0"], ""), (["1"], ""), (["1", "begin"], "begun"), (["75", "begin"], "75"), (["75"], "75"),
])  # fmt: skip
def test_word_is_left_of_how_a_process_ended(words, left, tmp_path):
    """Also where the log's disk is full: the interpreter would end with 120."""
    file = tmp_path / "status"
    file.touch()
    environ = os.environ | {STATUS_FILE: str(file), "PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w") as full:
        ended = subprocess.run([sys.executable, "-c", TOLD, *words], env=environ, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (int(words[0]), "")
    assert file.read_text().strip() == left


def test_a_status_file_that_cannot_be_written_ends_nothing(tmp_path):
    environ = os.environ | {STATUS_FILE: str(tmp_path / "none" / "status")}
    assert subprocess.run([sys.executable, "-c", TOLD, "75", "begin"], env=environ).returncode == STATUS
