"""Memory that a run's state takes on each process: weights, gradients, Adam's moments.

Bytes a parameter: bf16 weight 2, fp32 gradient 4, fp32 master weight and two moments 12, so 18; in fp32 16. ZeRO-1
over N data-parallel processes leaves a share of the optimizer's part on each: 6 + 12/N and 8 + 8/N (arXiv:1910.02054).
"""

from __future__ import annotations


def bytes_per_parameter(bf16: bool, zero_stage: int, data_parallel: int) -> float:
    """Of the parameters that a process holds."""
    model, optimizer = (6, 12) if bf16 else (8, 8)
    return model + optimizer / (data_parallel if zero_stage >= 1 else 1)


def state_bytes(config, parameters: int) -> float:
    """A process's share, where layers weigh the most: all `parameters` cut evenly over tensor and pipeline parallelism."""
    model_parallel = config.parallel.tensor_model_parallel_size * config.parallel.pipeline_model_parallel_size
    each = bytes_per_parameter(config.training.bf16, config.optimizer.zero_stage, config.world_size // model_parallel)
    return each * parameters / model_parallel
