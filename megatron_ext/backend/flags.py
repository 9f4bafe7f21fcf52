"""Flags of the machine and of how the model is spread over processes (Megatron-LM's names)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem


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
    expert_model_parallel_size: int = flag(1, "processes that share the experts of a layer", least=1)
    expert_tensor_parallel_size: int = flag(1, "processes that share one expert's matrices", least=1)
    sequence_parallel: bool = flag(False, "split norms and dropout along the sequence over the tensor-parallel processes")
    distributed_timeout_minutes: float = flag(
        10.0, "minutes after which a collective that does not complete ends the run", positive=True
    )

    @staticmethod
    def resolve(c):
        stages = c.pipeline_model_parallel_size
        chunk = c.num_layers_per_virtual_pipeline_stage
        if chunk is not None and c.num_virtual_stages_per_pipeline_rank is None and c.num_layers % (stages * chunk) == 0:
            c.num_virtual_stages_per_pipeline_rank = c.num_layers // (stages * chunk)

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
        yield from _virtual_stages(c)


def _virtual_stages(c):
    chunks, stages = c.num_virtual_stages_per_pipeline_rank, c.pipeline_model_parallel_size
    if c.num_layers_per_virtual_pipeline_stage is not None:
        each = c.num_layers_per_virtual_pipeline_stage
        if c.num_layers % (stages * each):
            yield Problem(
                "--num-layers-per-virtual-pipeline-stage",
                each,
                f"times {stages} stages does not divide --num-layers {c.num_layers}",
            )
        elif chunks != c.num_layers // (stages * each):
            yield Problem(
                "--num-virtual-stages-per-pipeline-rank",
                chunks,
                f"contradicts --num-layers-per-virtual-pipeline-stage {each}",
                "give one of the two",
            )
    if chunks is None or chunks == 1:
        return
    if stages == 1:
        yield Problem(
            "--num-virtual-stages-per-pipeline-rank",
            chunks,
            "interleaves pipeline stages, and there is one",
            "set --pipeline-model-parallel-size 2 or more",
        )
    elif c.num_layers % (stages * chunks):
        yield Problem(
            "--num-virtual-stages-per-pipeline-rank", chunks, f"times {stages} stages does not divide --num-layers {c.num_layers}"
        )
