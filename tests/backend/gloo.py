"""Worker processes on this machine that run a function together, as ranks of a world that is made anew for each call.

Importing torch and megatron-core takes seconds and a fork of a process that has them takes none, so a fork server imports
them once. (For the backend's own tests; the session-wide pool of the layout tests is another one.)
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import socket
import traceback
import warnings

from megatron_ext.backend import distributed

PRELOAD = ["torch", "megatron.core", "megatron.core.models.gpt", "megatron.core.optimizer", "megatron_ext.backend.cpu"]


class Workers:
    """`size` processes; `run(n, function, *arguments)` has the first n of them make a world of n and call the function."""

    def __init__(self, size: int):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        port = _free_port()
        self.pipes, self.processes = [], []
        for rank in range(size):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there, rank, port), daemon=True)
            process.start()
            there.close()
            self.pipes.append(here)
            self.processes.append(process)

    def run(self, world_size: int, function, *arguments, timeout: float = 60) -> list:
        """What the function returned on each rank. RuntimeError if it raised on one, TimeoutError if one does not answer."""
        for pipe in self.pipes[:world_size]:
            pipe.send((world_size, function, arguments))
        answers = []
        for rank, pipe in enumerate(self.pipes[:world_size]):
            if not pipe.poll(timeout):
                self.close()
                raise TimeoutError(f"rank {rank} of {world_size} did not answer in {timeout} s")
            answers.append(pipe.recv())
        failures = [f"rank {rank}: {failure}" for rank, (_, failure) in enumerate(answers) if failure]
        if failures:
            raise RuntimeError("\n".join(failures))
        return [answer for answer, _ in answers]

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()


def _work(pipe, rank: int, port: int) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    gc.freeze()  # torch's and megatron-core's objects stay: collecting after each world then takes no time
    while True:
        try:
            world_size, function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            launch = distributed.Launch(rank, world_size, rank, world_size, "localhost", port, "torchrun")
            distributed.start(launch, "cpu", timeout_minutes=1)
            try:
                answer = function(*arguments), None
            finally:
                distributed.stop()
        except BaseException:
            answer = None, traceback.format_exc()
        pipe.send(answer)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]
