"""The loop: from a restored state to the end of the run, in plain sight.

Named collaborators, no callbacks: `train_step` moves the state, `due_measures` evaluates it, the store keeps it, the monitor
shows it, the trace records it.
"""

from __future__ import annotations

import time

import torch

from megatron_ext.training.evaluate import due_measures, test_is_due
from megatron_ext.training.memory import collect, garbage_by_hand
from megatron_ext.training.state import Stop, TrainState
from megatron_ext.training.step import train_step


def train(run) -> TrainState:
    """Train until the run's end or one of the reasons to stop earlier; returns the state."""
    with run.own_folder():
        return _train(run)


def _train(run) -> TrainState:
    state = run.restore()
    started = time.monotonic()
    run.monitor.start(state)
    stop = run.asked_to_stop()  # a signal may have come before the first update
    untested = test_is_due(run, state) and run.monitor.ended_untested(state)
    if untested and stop is None:  # trained to the end, when a signal cut the last evaluation short
        measures = due_measures(run, state)
        run.monitor.complete(measures)
        untested = "test_loss" not in measures
    with garbage_by_hand(run.config.training):
        while state.iteration < run.total_iters and stop is None:
            run.trace.before(state.iteration)
            result = train_step(run, state)
            run.trace.after(state.iteration)
            measures = due_measures(run, state)
            run.monitor.step(state, result, measures)
            untested = test_is_due(run, state) and "test_loss" not in measures
            run.poll()
            if _due(state.iteration, run.config.checkpoint.save_interval):
                run.save(state, last=False)
            if _due(state.iteration, run.config.checkpoint.save_hf_interval):
                run.export(state)
            stop = _reason_to_stop(run, state, time.monotonic() - started)
            collect(run.config.training, state.iteration)
    run.trace.finish()
    if state.iteration >= run.total_iters:
        stop = run.asked_to_stop() if untested else None  # done, whatever was asked for meanwhile, once the test data is measured
    if state.iteration > 0:
        run.save(state, last=True)
    run.monitor.finish(state, stop and stop.why)
    state.stopped_by_signal = stop is not None and stop.by_signal
    run.preemption.obeyed = True
    # Launchers end the other processes once one has left with a status, and the first may still be writing.
    torch.distributed.barrier()
    return state


def _due(iteration: int, interval: int | None) -> bool:
    return interval is not None and iteration % interval == 0


def _reason_to_stop(run, state: TrainState, seconds: float) -> Stop | None:
    """Why the run should save and stop now, the same on all processes; None goes on."""
    flags = run.config.training
    if _due(state.iteration, flags.exit_interval):
        return Stop(f"--exit-interval {flags.exit_interval}")
    return run.asked_to_stop(flags.exit_duration_in_mins is not None and seconds > 60 * flags.exit_duration_in_mins)
