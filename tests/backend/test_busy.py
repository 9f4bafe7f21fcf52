"""Busy time is the time that a process works, not the time it waits for another, in any kind of collective."""

from __future__ import annotations

import pytest

COLLECTIVES = ("all_reduce", "asynchronous", "reduce_scatter", "all_to_all", "receive", "barrier")


def meets_later(launch, kind):
    """Rank 1 comes half a second late to a collective; each rank's busy seconds."""
    import time

    import torch
    import torch.distributed as dist

    from megatron_ext.backend import distributed
    from megatron_ext.backend.busy import BusyClock

    clock = BusyClock(distributed.start(launch, "cpu"))
    try:
        dist.barrier()
        clock.start()
        if launch.rank == 1:
            time.sleep(0.5)
        ones, two = torch.ones(2), torch.ones(1)
        if kind == "all_reduce":
            dist.all_reduce(ones)
        elif kind == "asynchronous":
            dist.all_reduce(ones, async_op=True).wait()
        elif kind == "reduce_scatter":
            dist.reduce_scatter_tensor(two, ones)
        elif kind == "all_to_all":
            dist.all_to_all_single(ones, ones.clone())
        elif kind == "barrier":
            dist.barrier()
        elif launch.rank == 0:
            for request in dist.batch_isend_irecv([dist.P2POp(dist.irecv, two, 1)]):
                request.wait()
        else:
            dist.send(two, 0)
        return clock.seconds()
    finally:
        distributed.stop()


@pytest.mark.parametrize("kind", COLLECTIVES)
def test_waiting_is_not_being_busy(kind, pool):
    early, late = pool.run(meets_later, 2, kind)
    assert late >= 0.5
    assert early < late / 2, "half a second of waiting counts as work"
