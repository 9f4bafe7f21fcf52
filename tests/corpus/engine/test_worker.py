"""A worker's start is not broken off, whichever thread hears the signal; what was heard is not lost."""

import signal
import threading
import time

import pytest

from megatron_ext.corpus.engine.worker import signals_deferred


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_another_thread_hears_wait_for_the_end(number):
    done, heard = [], []
    handlers = {each: signal.signal(each, lambda each, _: heard.append(each)) for each in (signal.SIGINT, signal.SIGTERM)}
    listening, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (listening.set(), stop.wait()))
    thread.start()
    listening.wait()
    try:
        with signals_deferred():
            signal.pthread_kill(thread.ident, number)
            for _ in range(10_000):  # the interpreter looks for signals many times meanwhile
                done.append(heard.copy())
        deadline = time.monotonic() + 10
        while not heard and time.monotonic() < deadline:
            time.sleep(0.01)  # the other thread has to be at work to hear it
        assert not any(done) and heard == [number]
        with signals_deferred():
            signal.raise_signal(number)  # to this thread, by the mask
            assert heard == [number]
        assert heard == [number, number]
    finally:
        stop.set()
        thread.join()
        for each, handler in handlers.items():
            signal.signal(each, handler)


def test_ctrl_c_is_a_keyboard_interrupt_after_it():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever other tests made of it
    try:
        with pytest.raises(KeyboardInterrupt):
            with signals_deferred():
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_it_does_no_harm():
    found = []

    def work():
        with signals_deferred():
            found.append(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]
