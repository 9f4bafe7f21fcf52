"""Flags of the machine and of how the model is spread over processes (Megatron-LM's names)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.backend import cuda_only, pipeline


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
    context_parallel_size: int = flag(1, "processes that share each sample's tokens", least=1, front=True)
    cp_comm_type: str = flag(
        "all_gather",
        "how Transformer Engine's attention sees other processes' keys: all at once, one process's after the other, or heads for "
        "tokens",
        choices=("all_gather", "p2p", "a2a"),
    )
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
    attention_backend: str = flag(
        "auto",
        "whose attention kernel: what serves best, FlashAttention, cuDNN's (fused), products written out (unfused), torch's also "
        "in Transformer Engine's layers (local), FlexAttention also for plain causal attention (flex)",
        choices=("auto", "flash", "fused", "unfused", "local", "flex"),
    )
    fp8_format: str | None = flag(None, "multiply in 8 bits (Transformer Engine)", choices=("e4m3", "hybrid"))
    fp8_recipe: str = flag("delayed", "how fp8 finds its scales", choices=("delayed", "tensorwise", "mxfp8", "blockwise"))
    fp8_amax_history_len: int = flag(1, "steps whose largest values fp8's delayed scaling remembers", least=1)
    fp8_amax_compute_algo: str = flag("most_recent", "which of them it scales by", choices=("most_recent", "max"))
    fp8_param_gather: bool = flag(False, "keep weights in fp8 and gather them so (zero-stage 1)")
    tp_comm_overlap: bool = flag(False, "overlap tensor-parallel communication with matrix products (Transformer Engine)")
    gradient_accumulation_fusion: bool = flag(False, "add up weight gradients inside the matrix product (Apex's kernel)")
    cuda_graph_impl: str = flag("none", "capture each layer as a CUDA graph, megatron-core's way", choices=("none", "local"))
    cuda_graph_scope: tuple[str, ...] | None = flag(
        None, "parts of a layer that are captured [all]", choices=("attn", "mlp", "moe_router")
    )
    cuda_graph_warmup_steps: int = flag(3, "updates before the capture", least=0)
    empty_unused_memory_level: int = flag(
        0, "give unused GPU memory back: 1 after each forward and backward, 2 after each update too", choices=(0, 1, 2)
    )
    nvtx_ranges: bool = flag(False, "mark megatron-core's steps for NVIDIA's profilers")
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
        model_parallel = c.tensor_model_parallel_size * c.context_parallel_size * c.pipeline_model_parallel_size
        if c.world_size % model_parallel:
            yield Problem(
                "--tensor-model-parallel-size × --context-parallel-size × --pipeline-model-parallel-size",
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
        yield from _context_parallel(c)
        yield from _kernels(c)
        if c.num_layers_per_virtual_pipeline_stage is not None:
            yield from _layers_of_a_chunk(c)
        yield from pipeline.problems(c)


def _context_parallel(c):
    size = c.context_parallel_size
    if size > 1 and c.seq_length % (2 * size):
        reason = f"does not cut into the 2 × {size} chunks that --context-parallel-size {size} deals out"
        yield Problem("--seq-length", c.seq_length, reason, f"the nearest above is {-(-c.seq_length // (2 * size)) * 2 * size}")
    across = c.tensor_model_parallel_size * size
    if c.cp_comm_type == "a2a" and (c.num_attention_heads % across or c.num_query_groups % across):
        reason = f"deals heads out to {across} processes, and there are {c.num_attention_heads} of {c.num_query_groups} groups"
        yield Problem("--cp-comm-type", "a2a", reason, "use all_gather")
    if size == 1 and "cp_comm_type" in c.typed:
        yield Problem("--cp-comm-type", c.cp_comm_type, "has no effect without --context-parallel-size", "leave it out")


def _kernels(c):
    """What kernels ask of each other and of sizes."""
    yield from cuda_only.problems(vars(c), c.device, c.transformer_impl)
    for name, needed in _NEEDS.items():
        if name in c.typed and getattr(c, needed) in (None, "none"):
            option, other = ("--" + word.replace("_", "-") for word in (name, needed))
            yield Problem(option, getattr(c, name), f"has no effect without {other}", f"give {other} or leave it out")
    if c.tp_comm_overlap and not c.sequence_parallel:
        yield Problem("--tp-comm-overlap", None, "overlaps what --sequence-parallel communicates", "add --sequence-parallel")
    if c.cuda_graph_impl != "none" and c.recompute_granularity == "full":
        yield Problem("--cuda-graph-impl", c.cuda_graph_impl, "cannot recompute whole layers", "use one of the two")
    there, absent = ("mlp", "moe_router") if c.num_experts is None else ("moe_router", "mlp")
    if absent in (c.cuda_graph_scope or ()):
        yield Problem("--cuda-graph-scope", absent, "is in no layer of this model", f"layers have attn and {there}")
    if c.fp8_format is not None:
        yield from _fp8(c)


_NEEDS = {
    "fp8_recipe": "fp8_format",
    "fp8_amax_history_len": "fp8_format",
    "fp8_amax_compute_algo": "fp8_format",
    "fp8_param_gather": "fp8_format",
    "cuda_graph_scope": "cuda_graph_impl",
    "cuda_graph_warmup_steps": "cuda_graph_impl",
}


def _fp8(c):
    if not c.bf16:
        yield Problem("--fp8-format", c.fp8_format, "keeps all but the matrix products in bfloat16", "add --bf16")
    if c.fp8_param_gather and c.zero_stage == 0:
        yield Problem("--fp8-param-gather", None, "gathers weights that --zero-stage 1 shards", "set --zero-stage 1")
    for name in ("fp8_amax_history_len", "fp8_amax_compute_algo"):
        if name in c.typed and c.fp8_recipe != "delayed":
            option = "--" + name.replace("_", "-")
            yield Problem(option, getattr(c, name), f"is of delayed scaling, not of --fp8-recipe {c.fp8_recipe}", "leave it out")
    tensor = c.tensor_model_parallel_size
    tokens = c.micro_batch_size * c.seq_length
    if tokens % (8 * (tensor if c.sequence_parallel else 1) * c.context_parallel_size):
        what = "--micro-batch-size × --seq-length"
        yield Problem(what, tokens, "is not a multiple of 8 on each process, as fp8 asks")
    for option, width in (("--hidden-size", c.hidden_size), ("--ffn-hidden-size", c.ffn_hidden_size)):
        if width % (16 * tensor):
            yield Problem(option, width, f"is not a multiple of 16 on each of {tensor} tensor-parallel process(es), as fp8 asks")


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
