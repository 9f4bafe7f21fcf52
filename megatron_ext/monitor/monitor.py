"""The monitor: gathers what each update shows, and hands a record to console, metrics.jsonl and TensorBoard.

What cannot be written (a full disk, a closed terminal) is said once and tried again with the next record: like a save that
fails, it does not end a run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import statistics
import sys
import time
from collections.abc import Callable

import psutil
import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import first_alone, first_for_all
from megatron_ext.backend.kernels import peak_flops
from megatron_ext.models.architecture_flags import lengths
from megatron_ext.monitor.console import Console, duration
from megatron_ext.monitor.files import write_whole
from megatron_ext.monitor.jsonl import JsonLines
from megatron_ext.monitor.metrics import Record
from megatron_ext.monitor.straggler import gather
from megatron_ext.monitor.tensorboard import TensorBoard
from megatron_ext.planner.flops import training_flops_per_token
from megatron_ext.planner.parameters import count


class Monitor:
    """One a process; only rank 0 shows anything. Making one is collective, since all processes measure their peak at once.

    Args:
        attention: whose kernels attend, in words.
        samples: how full the first ones are, in words; None where there is nothing to say.
        seen: what the model itself saw since it was last asked, as fields of a record. Collective.
    """

    def __init__(
        self,
        config,
        layout,
        device: torch.device,
        dtype: torch.dtype,
        vocab_size: int,
        total_iters: int,
        attention: str,
        samples: str | None,
        seen: Callable[[], dict],
    ):
        self.config, self.layout, self.device, self.vocab_size, self.total = config, layout, device, vocab_size, total_iters
        self.attention, self.samples, self._seen = attention, samples, seen
        self.precision = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
        self.flops_per_token = training_flops_per_token(config.model, vocab_size)
        rate, origin = peak_flops(device.type, dtype)
        peak = torch.tensor(rate, dtype=torch.float64, device=device)
        torch.distributed.all_reduce(peak)
        self.peak, self.peak_origin = peak.item(), "GEMM rate" if origin == "measured" else "peak"
        self._sinks: list = []
        self._silent: list = []  # sinks that could not be written to
        self._before: Record | None = None  # of rank 0: the newest of the run that goes on

    def start(self, state) -> None:
        """Open the sinks and say what is about to be trained."""
        self._begin_stretch()
        self._from, self._began = state.iteration, time.monotonic()
        save, board = self.config.checkpoint.save, self.config.monitor.tensorboard_dir
        if save:
            first_alone(lambda: self._open_records(save, state), f"--save {save}: the run's records cannot be written")
        if board:
            what = f"--tensorboard-dir {board}: its files cannot be written"
            first_alone(lambda: self._sinks.append(TensorBoard(board, state.iteration)), what)
        if self.layout.rank == 0:
            console = Console(self.total, self.peak_origin, self.config.training.global_batch_size)
            console.started(state.iteration)
            self._sinks.append(console)
            self._introduce(state)

    def _open_records(self, save: str, state) -> None:
        records = JsonLines(save, state.iteration)
        self._sinks.append(records)
        self._before = records.last
        write_whole(pathlib.Path(save) / "run.yaml", self.config.to_yaml())

    def _introduce(self, state) -> None:
        config = self.config
        sizes = [config.training.global_batch_size * sum(lengths(config.model))]
        if config.training.rampup_batch_size:
            sizes.insert(0, config.training.rampup_batch_size[0] * sum(lengths(config.model)))
        tokens = " to ".join(f"{size:,}" for size in sizes)
        begins = "starting from the seed" if state.origin is None else f"starting from the weights of {state.origin}"
        origin = f"resuming after iteration {state.iteration}" if state.iteration else begins
        self._say(
            f"{count(config.model, self.vocab_size).total:,} parameters, vocabulary {self.vocab_size:,}; {self.layout} on "
            f"{self.layout.world_size} process(es), {self.device.type}, {self.precision}; "
            f"{self.total} updates of {tokens} tokens; {origin}"
        )
        self._say(f"attention: {self.attention}")
        if self.samples is not None:
            self._say(f"samples: {self.samples}")

    def _begin_stretch(self) -> None:
        self._losses: list[float] = []
        self._padded = 0.0
        self._tokens, self._seconds, self._busy = 0, 0.0, 0.0

    def step(self, state, result, measured: dict[str, float]) -> None:
        """Take in one update; at a log interval or an evaluation, write a record; `finish` writes what is left."""
        self._losses.append(result.loss)
        places = result.samples * sum(lengths(self.config.model))
        self._tokens += places
        self._padded += places * (result.padding or 0.0)
        self._seconds += result.seconds
        self._busy += result.busy
        self._last = result
        if measured or state.iteration % self.config.monitor.log_interval == 0:
            self._show(state, measured)
            self._begin_stretch()

    def _show(self, state, measured) -> None:
        """Collective, since busy times come from all processes."""
        measured = measured | self._seen()
        if self.layout.world_size > 1:
            measured = measured | gather(self._busy / len(self._losses), self.layout, self.device)._asdict()
        if self.layout.rank == 0:
            self._write(self._record(state, self._last, measured))

    def _record(self, state, result, measured) -> Record:
        rate = self._tokens / max(self._seconds, 1e-9)
        flops = rate * self.flops_per_token
        return Record(
            iteration=state.iteration,
            loss=statistics.fmean(self._losses),
            grad_norm=result.grad_norm,
            learning_rate=result.learning_rate,
            global_batch_size=result.samples,
            consumed_samples=state.consumed_samples,
            consumed_tokens=state.consumed_tokens,
            tokens_per_second=rate,
            flops_per_second=flops,
            flops_share=flops / self.peak,
            memory_bytes=self._memory(),
            skipped=state.skipped,
            loss_scale=result.loss_scale,
            padding_share=None if result.padding is None else self._padded / self._tokens,
            **measured,
        )

    def _memory(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated()
        return psutil.Process().memory_info().rss

    def ended_untested(self, state) -> bool:
        """Whether the run that goes on here ended with its last update, and without a test loss. Collective."""
        last = self._before
        ended = last is not None and last.iteration == state.iteration == self.total
        return first_for_all(lambda: ended and last.test_loss is None)

    def complete(self, measured: dict) -> None:
        """Put what was measured late into the record of the run's last update."""
        if self.layout.rank == 0 and measured:
            record = dataclasses.replace(self._before, **measured)
            self._each(lambda sink: sink.replace_last(record))

    def _write(self, record: Record) -> None:
        self._each(lambda sink: sink.write(record))

    def _each(self, act: Callable[[object], None]) -> None:
        for sink in self._sinks:
            try:
                act(sink)
            except (OSError, UserError) as error:
                if sink not in self._silent:
                    self._silent.append(sink)
                    why = getattr(error, "strerror", None) or error
                    self.warn(f"{sink.name}: cannot be written ({why}); the run goes on, and tries again at the next record")

    def warn(self, sentence: str) -> None:
        """Say on stderr what a person should know while the run goes on."""
        self._say(f"warning: {sentence}", sys.stderr)

    def say(self, sentence: str) -> None:
        """Say what a person should know, once."""
        self._say(sentence)

    def _say(self, sentence: str, where=None) -> None:
        if self.layout.rank == 0:
            with contextlib.suppress(OSError):
                print(sentence, file=where, flush=True)

    def finish(self, state, reason: str | None) -> None:
        """Write what no record has shown yet, close the sinks and say how the run ended."""
        if self._losses:
            self._show(state, {})
        self._each(lambda sink: sink.close())
        done = state.iteration - self._from
        why = f"stopped by {reason}" if reason else "done"
        took = duration(time.monotonic() - self._began)
        self._say(f"{why}: {done} update(s) in {took}, at iteration {state.iteration} of {self.total}")
