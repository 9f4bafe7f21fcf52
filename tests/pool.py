"""Four gloo worker processes for the whole test session, which re-make the parallel groups for each case.

A layout costs about a second this way, not the ten of a new torchrun. A case that outlives its time gets the pool killed
and started anew. After each case a worker tells how many file descriptors and threads it has; the session ends with a
check that they stay flat (megatron-core's own tear-down leaks both).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

SIZE = 4


class CaseFailed(AssertionError):
    """A case raised in a worker; the message holds the worker's traceback."""


class Pool:
    """`run(function, world_size, *args)` calls `function(launch, *args)` in each of the first `world_size` workers."""

    def __init__(self):
        self._workers: list[tuple[Any, Any]] = []
        self.usage: list[list[tuple[int, int]]] = [[] for _ in range(SIZE)]

    def run(self, function: Callable, world_size: int, *args: Any, timeout: float = 90) -> list[Any]:
        """The workers' results by rank; CaseFailed with the first traceback, TimeoutError after the pool was restarted."""
        if ended := [rank for rank, (process, _) in enumerate(self._workers) if not process.is_alive()]:
            self.close()  # the next case has a new pool
            raise CaseFailed(f"workers {ended} died between two cases")
        if not self._workers:
            self._start()
        for rank in range(world_size):
            self._workers[rank][1].send((function, world_size, args))
        try:
            return self._answers(world_size, timeout)
        except CaseFailed:
            raise
        except BaseException:  # a test's own timeout: the next case would get the answers to this one
            self.close()
            raise

    def _answers(self, world_size: int, timeout: float) -> list[Any]:
        results, failures = [], []
        for rank in range(world_size):
            process, pipe = self._workers[rank]
            if not pipe.poll(1 if failures else timeout):
                self.close()
                raise (
                    CaseFailed(failures[0])
                    if failures
                    else TimeoutError(f"rank {rank} of {world_size} gave no result in {timeout} s")
                )
            try:
                ok, value, usage = pipe.recv()
            except EOFError:
                self.close()
                raise CaseFailed(f"worker {rank} died with exit code {process.exitcode}") from None
            self.usage[rank].append(usage)
            (results if ok else failures).append(value)
        if failures:
            raise CaseFailed(failures[0])
        return results

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        port = _free_port()
        self.usage = [[] for _ in range(SIZE)]
        for rank in range(SIZE):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(rank, port, theirs), daemon=True)
            process.start()
            theirs.close()
            self._workers.append((process, ours))

    def close(self, patience: float = 0) -> None:
        """End the workers, and with them their own processes; by force those that do not end by themselves in `patience` s."""
        for _, pipe in self._workers:
            pipe.close()
        for process, _ in self._workers:
            process.join(patience)
            process.kill()
            process.join()
        self._workers = []


def _work(rank: int, port: int, pipe) -> None:
    """A worker's life: take a case, run it, answer."""
    os.environ.update(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    import torch

    from megatron_ext.backend import distributed

    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            function, world_size, args = pipe.recv()
            launch = distributed.Launch(
                rank=rank,
                world_size=world_size,
                local_rank=rank,
                local_world_size=world_size,
                master_addr="127.0.0.1",
                master_port=port,
                launcher="torchrun",
            )
            try:
                with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                    answer = (True, function(launch, *args))
            except BaseException:
                answer = (False, traceback.format_exc())
            finally:
                distributed.stop()
            pipe.send((*answer, (len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
