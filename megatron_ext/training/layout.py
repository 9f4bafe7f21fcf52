"""The parallel layout of a run: how many processes do what, and which part this process has."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import torch

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.backend import cuda_only, distributed, pipeline
from megatron_ext.backend.kernels import transformer_impl
from megatron_ext.models.attention import backend


@contextlib.contextmanager
def processes(launch: distributed.Launch, config) -> Iterator[torch.device]:
    """Inside, this process is one of the run's: process groups are up, random states seeded, the device is chosen.

    ConfigurationError where the device that `auto` gave cannot do what the flags ask for.
    """
    parallel = config.parallel
    kind = distributed.resolve_device(parallel.device)
    layers = transformer_impl(parallel.transformer_impl, kind)
    flags = config.flat()
    if problems := [*cuda_only.problems(flags, kind, layers, starts=True), *backend.problems(flags, kind, layers)]:
        raise ConfigurationError(problems)
    device = distributed.start(launch, kind, parallel.distributed_timeout_minutes)
    try:
        distributed.initialize_model_parallel(
            tensor=parallel.tensor_model_parallel_size,
            pipeline=parallel.pipeline_model_parallel_size,
            virtual_pipeline=_interleaved(parallel),
            context=parallel.context_parallel_size,
            expert=parallel.expert_model_parallel_size,
            expert_tensor=parallel.expert_tensor_parallel_size,
            seed=config.training.seed,
            cuda_graphs=parallel.cuda_graph_impl == "local",
        )
        yield device
    finally:
        distributed.stop()


def _interleaved(parallel) -> int | None:
    """Model chunks a stage holds; None for one, which megatron-core would take for interleaving."""
    chunks = parallel.num_virtual_stages_per_pipeline_rank
    return chunks if chunks is not None and chunks > 1 else None


@dataclasses.dataclass(frozen=True)
class Layout:
    """Sizes of the parallel groups and this process's place in them.

    Attributes:
        split: what each chunk of the pipeline holds where they differ (`Et|tttL`), else None.
    """

    world_size: int
    rank: int
    tensor: int
    context: int
    pipeline: int
    virtual_stages: int
    data: int
    data_rank: int
    expert: int
    expert_tensor: int
    zero_stage: int
    split: str | None

    @classmethod
    def of(cls, config, rank: int) -> Layout:
        """The layout of a configuration; megatron-core's groups must be up."""
        from megatron.core import parallel_state

        parallel = config.parallel
        return cls(
            world_size=config.world_size,
            rank=rank,
            tensor=parallel.tensor_model_parallel_size,
            context=parallel.context_parallel_size,
            pipeline=parallel.pipeline_model_parallel_size,
            virtual_stages=parallel.num_virtual_stages_per_pipeline_rank or 1,
            data=parallel_state.get_data_parallel_world_size(),
            data_rank=parallel_state.get_data_parallel_rank(),
            expert=parallel.expert_model_parallel_size,
            expert_tensor=parallel.expert_tensor_parallel_size,
            zero_stage=config.optimizer.zero_stage,
            split="|".join(map(str, pipeline.chunks(config.model, parallel))) if pipeline.uneven(parallel) else None,
        )

    def __str__(self) -> str:
        """`TP2·PP2·DP1`; two runs with the same words have the same files in a checkpoint."""
        parts = [
            f"TP{self.tensor}",
            *([f"CP{self.context}"] if self.context > 1 else []),
            f"PP{self.pipeline}" + (f"×{self.virtual_stages}" if self.virtual_stages > 1 else ""),
            f"DP{self.data}",
        ]
        parts += [f"[{self.split}]"] if self.split else []
        parts += [f"EP{self.expert}×TP{self.expert_tensor}"] if self.expert > 1 or self.expert_tensor > 1 else []
        parts += [f"ZeRO-{self.zero_stage}"] if self.zero_stage else []
        return "·".join(parts)
