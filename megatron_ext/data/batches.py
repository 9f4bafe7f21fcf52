"""Which samples a process sees: global batch k holds samples k·B to (k+1)·B − 1, dealt out over micro-batches and processes.

The set of samples in a global batch does not depend on the micro-batch size or on the number of processes; so neither
does the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch


def micro_batches(
    samples, first_sample: int, count: int, micro_batch_size: int, data_parallel_rank: int, data_parallel_size: int
) -> Iterator[torch.Tensor]:
    """The `count` micro-batches of one global batch for one data-parallel rank: int64 `[micro_batch_size, seq_length + 1]`."""
    for number in range(count):
        begin = first_sample + (number * data_parallel_size + data_parallel_rank) * micro_batch_size
        yield torch.from_numpy(np.stack([samples[begin + i] for i in range(micro_batch_size)]))
