"""Memory that a run's state takes on each process: weights, gradients, Adam's moments.

Bytes a parameter: weight 2 in 16 bits, fp32 gradient 4 (2 with `--grad-reduce-in-bf16`), fp32 master weight and two moments 12,
so 18; in fp32 16. ZeRO-1 over N data-parallel processes leaves a share of the optimizer's part on each: 6 + 12/N and
8 + 8/N (arXiv:1910.02054).
"""

from __future__ import annotations


def bytes_per_parameter(config, data_parallel: int) -> float:
    """Of the parameters that a process holds."""
    weight, optimizer = (2, 12) if config.training.bf16 or config.training.fp16 else (4, 8)
    gradient = 2 if config.optimizer.grad_reduce_in_bf16 else 4
    return weight + gradient + optimizer / (data_parallel if config.optimizer.zero_stage >= 1 else 1)


def state_bytes(config, parameters: int) -> float:
    """A process's share, where layers weigh the most: all `parameters` cut evenly over tensor and pipeline parallelism."""
    model_parallel = config.parallel.tensor_model_parallel_size * config.parallel.pipeline_model_parallel_size
    return bytes_per_parameter(config, config.world_size // model_parallel) * parameters / model_parallel
