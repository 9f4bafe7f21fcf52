"""Flags of the machine and of how the model is spread over processes (Megatron-LM's names)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.backend import pipeline


@flag_group("parallel", "Device and parallel layout")
class ParallelFlags:
    device: str = flag(
        "auto", "where the model runs; auto takes a GPU if there is one", choices=("auto", "cpu", "cuda"), front=True
    )
    transformer_impl: str = flag(
        "auto",
        "whose layers run: Transformer Engine's where it is installed (GPU), else the local ones",
        choices=("auto", "local", "transformer_engine"),
    )
    tensor_model_parallel_size: int = flag(1, "processes that share each layer's matrices", least=1, front=True)
    pipeline_model_parallel_size: int = flag(1, "stages that share the layers", least=1, front=True)
    num_virtual_stages_per_pipeline_rank: int | None = flag(None, "model chunks a stage holds (interleaved 1F1B)", least=1)
    num_layers_per_virtual_pipeline_stage: int | None = flag(None, "the same, told by the layers in a chunk", least=1)
    decoder_first_pipeline_num_layers: int | None = flag(None, "layers of the first stage; the others share the rest", least=1)
    decoder_last_pipeline_num_layers: int | None = flag(None, "layers of the last stage; the others share the rest", least=1)
    account_for_embedding_in_pipeline_split: bool = flag(False, "count the embedding as a layer when stages share the layers")
    account_for_loss_in_pipeline_split: bool = flag(
        False, "count the output and its loss as a layer when stages share the layers"
    )
    pipeline_model_parallel_layout: str | None = flag(
        None, "every chunk's content: E embedding, t layer, L loss, | between chunks, *n repeats, e.g. 'Et*3|(tt|)*2,tL'"
    )
    expert_model_parallel_size: int = flag(1, "processes that share the experts of a layer", least=1)
    expert_tensor_parallel_size: int = flag(1, "processes that share one expert's matrices", least=1)
    sequence_parallel: bool = flag(False, "split norms and dropout along the sequence over the tensor-parallel processes")
    distributed_timeout_minutes: float = flag(
        10.0, "minutes after which a collective that does not complete ends the run", positive=True
    )

    @staticmethod
    def resolve(c):
        if c.num_virtual_stages_per_pipeline_rank is None:
            if c.pipeline_model_parallel_layout is not None:
                c.num_virtual_stages_per_pipeline_rank = pipeline.chunks_in(
                    c.pipeline_model_parallel_layout, c.pipeline_model_parallel_size
                )
            elif c.num_layers_per_virtual_pipeline_stage is not None:
                c.num_virtual_stages_per_pipeline_rank = _virtual_stages(c)

    @staticmethod
    def check(c):
        model_parallel = c.tensor_model_parallel_size * c.pipeline_model_parallel_size
        if c.world_size % model_parallel:
            yield Problem(
                "--tensor-model-parallel-size × --pipeline-model-parallel-size",
                model_parallel,
                f"does not divide the {c.world_size} process(es) of this run",
                f"start a multiple of {model_parallel} processes: torchrun --nproc-per-node {model_parallel} pretrain_gpt.py …",
            )
        experts = c.expert_model_parallel_size * c.expert_tensor_parallel_size * c.pipeline_model_parallel_size
        if c.world_size % experts:
            yield Problem(
                "--expert-model-parallel-size",
                c.expert_model_parallel_size,
                f"with expert tensor and pipeline parallelism asks for multiples of {experts} processes, found {c.world_size}",
            )
        if c.sequence_parallel and c.tensor_model_parallel_size == 1:
            yield Problem(
                "--sequence-parallel",
                None,
                "splits over tensor-parallel processes, and there is one",
                "set --tensor-model-parallel-size 2 or more, or --no-sequence-parallel",
            )
        if c.device == "cpu" and c.transformer_impl == "transformer_engine":
            yield Problem(
                "--transformer-impl", "transformer_engine", "has no CPU kernels", "use --transformer-impl local or auto"
            )
        if c.num_layers_per_virtual_pipeline_stage is not None:
            yield from _layers_of_a_chunk(c)
        yield from pipeline.problems(c)


def _virtual_stages(c) -> int | None:
    """Chunks a stage holds when a chunk has so many layers; None where that does not come out even."""
    units = c.num_layers + c.account_for_embedding_in_pipeline_split + c.account_for_loss_in_pipeline_split
    each = c.pipeline_model_parallel_size * c.num_layers_per_virtual_pipeline_stage
    return units // each if units % each == 0 else None


def _layers_of_a_chunk(c):
    option, each = "--num-layers-per-virtual-pipeline-stage", c.num_layers_per_virtual_pipeline_stage
    split = (c.decoder_first_pipeline_num_layers, c.decoder_last_pipeline_num_layers, c.pipeline_model_parallel_layout)
    if any(value is not None for value in split):
        yield Problem(
            option,
            each,
            "says that all chunks have as many layers, and another flag that stages differ",
            "give --num-virtual-stages-per-pipeline-rank instead",
        )
    elif _virtual_stages(c) is None:
        stages = c.pipeline_model_parallel_size
        yield Problem(option, each, f"times {stages} stages does not divide --num-layers {c.num_layers}")
    elif c.num_virtual_stages_per_pipeline_rank != _virtual_stages(c):
        chunks = c.num_virtual_stages_per_pipeline_rank
        yield Problem("--num-virtual-stages-per-pipeline-rank", chunks, f"contradicts {option} {each}", "give one of the two")
