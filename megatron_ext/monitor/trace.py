"""A Chrome trace of some updates: what ran when, on the CPU and the GPU (chrome://tracing, ui.perfetto.dev). `--profile`

Updates `--profile-step-start` + 1 to `--profile-step-end` are recorded by torch.profiler on `--profile-ranks`, and written as
`trace_rank0.json.gz` into the run's folder. A trace that cannot be written is said on stderr; the run goes on.
"""

from __future__ import annotations

import os
import pathlib
import sys

import torch


class Trace:
    """The trace of one process, or nothing where none was asked for."""

    def __init__(self, flags, folder: str | None, rank: int, device: torch.device):
        self.flags, self._profiler = flags, None
        self.wanted = flags.profile and rank in flags.profile_ranks
        self.path = pathlib.Path(folder or ".") / f"trace_rank{rank}.json.gz"
        self._kinds = [torch.profiler.ProfilerActivity.CPU]
        if device.type == "cuda":
            self._kinds.append(torch.profiler.ProfilerActivity.CUDA)

    def before(self, iteration: int) -> None:
        """To be called before an update, with the number of updates done."""
        if self.wanted and iteration == self.flags.profile_step_start:
            self._profiler = torch.profiler.profile(activities=self._kinds)
            self._profiler.start()

    def after(self, iteration: int) -> None:
        """To be called after an update, with the number of updates done."""
        if self._profiler is not None and iteration >= self.flags.profile_step_end:
            self.finish()

    def finish(self) -> None:
        """Write what was recorded, if anything; also when the run ends in the middle of it."""
        if self._profiler is None:
            return
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        partial = self.path.with_name(f".{self.path.name.removesuffix('.gz')}.partial.gz")
        try:
            profiler.export_chrome_trace(str(partial))
            os.replace(partial, self.path)
        except (OSError, RuntimeError) as error:
            print(f"warning: --profile: {self.path} could not be written ({error}); the run goes on", file=sys.stderr, flush=True)
