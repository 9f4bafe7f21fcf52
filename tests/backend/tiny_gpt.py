"""Trains a tiny GPT of megatron-core's for a few steps under any layout: what the tests of the CPU path compare.

Every parameter is drawn by its global name and then cut, and every batch by its step, so that two layouts train the same
model on the same data and must report the same losses.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

SEQUENCE, VOCABULARY, GLOBAL_BATCH, MICRO_BATCH = 16, 128, 8, 2


@dataclass(frozen=True)
class Case:
    """A layout and what is trained in it; the rest of the world is data parallel."""

    tensor: int = 1
    pipeline: int = 1
    virtual: int | None = None
    expert: int = 1
    expert_tensor: int = 1
    sequence_parallel: bool = False
    zero: bool = False
    overlap: bool = False
    tied: bool = False  # the output layer's weight is the embedding's
    dtype: torch.dtype = torch.float32
    steps: int = 3
    config: dict = field(default_factory=dict)  # further fields of the TransformerConfig
    optimizer: dict = field(default_factory=dict)  # and of the OptimizerConfig


MIXTURE_OF_EXPERTS = {
    "num_moe_experts": 4,
    "moe_router_topk": 2,
    "moe_router_load_balancing_type": "none",
    "add_bias_linear": False,
    "moe_token_dispatcher_type": "alltoall",
}
INTERLEAVED = {"overlap_p2p_comm": True, "batch_p2p_comm": False}


class Norm(torch.nn.Module):
    """RMSNorm; megatron-core's own without Transformer Engine refuses sequence parallelism (transformer/torch_norm.py)."""

    def __init__(self, config, hidden_size: int, eps: float = 1e-5, **_):
        super().__init__()
        self.eps = eps
        self.weight = torch.nn.Parameter(torch.ones(hidden_size))
        self.weight.sequence_parallel = config.sequence_parallel

    def forward(self, x):
        return torch.nn.functional.rms_norm(x, x.shape[-1:], self.weight, self.eps)


def transformer_config(case: Case):
    from megatron.core.transformer.transformer_config import TransformerConfig

    fields = {
        "num_layers": 4,
        "hidden_size": 32,
        "num_attention_heads": 4,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "use_cpu_initialization": True,
        "params_dtype": case.dtype,
        "pipeline_dtype": case.dtype,
        "bf16": case.dtype == torch.bfloat16,
        "fp16": case.dtype == torch.float16,
        "deallocate_pipeline_outputs": True,
        "tensor_model_parallel_size": case.tensor,
        "sequence_parallel": case.sequence_parallel,
        "pipeline_model_parallel_size": case.pipeline,
        "virtual_pipeline_model_parallel_size": case.virtual,
        "expert_model_parallel_size": case.expert,
        "expert_tensor_parallel_size": case.expert_tensor,
    }
    return TransformerConfig(**fields | case.config)


def build_chunks(case: Case, config) -> list[torch.nn.Module]:
    """This rank's model chunks, filled with its part of the weights."""
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
    from megatron.core.models.gpt.gpt_model import GPTModel
    from megatron.core.transformer.module import Float16Module
    from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build

    spec = get_gpt_layer_local_spec(num_experts=config.num_moe_experts)
    spec.submodules.input_layernorm = spec.submodules.pre_mlp_layernorm = Norm
    chunks = []
    for stage in range(case.virtual) if case.virtual else [None]:
        layers = TransformerBlockSubmodules([spec] * get_num_layers_to_build(config, vp_stage=stage), layer_norm=Norm)
        first, last = _ends(stage)
        chunk = GPTModel(
            config,
            layers,
            VOCABULARY,
            SEQUENCE,
            pre_process=first,
            post_process=last,
            vp_stage=stage,
            position_embedding_type="rope",
            share_embeddings_and_output_weights=case.tied,
        )
        _fill(chunk, config, stage)
        chunks.append(Float16Module(config, chunk) if case.dtype != torch.float32 else chunk)
    return chunks


def _ends(stage: int | None) -> tuple[bool, bool]:
    from megatron.core import parallel_state

    return (
        parallel_state.is_pipeline_first_stage(ignore_virtual=False, vp_stage=stage),
        parallel_state.is_pipeline_last_stage(ignore_virtual=False, vp_stage=stage),
    )


@torch.no_grad()
def _fill(chunk: torch.nn.Module, config, stage: int | None) -> None:
    from megatron.core import parallel_state
    from megatron.core.transformer.transformer_layer import get_transformer_layer_offset

    first_layer = get_transformer_layer_offset(config, vp_stage=stage)
    experts_here = (config.num_moe_experts or 0) // config.expert_model_parallel_size
    first_expert = experts_here * parallel_state.get_expert_model_parallel_rank()
    for name, parameter in chunk.named_parameters():
        if "norm" in name:
            continue
        group = parallel_state.get_tensor_model_parallel_group()
        if "experts" in name:
            group = parallel_state.get_expert_tensor_parallel_group()
        name = re.sub(r"(?<=\blayers\.)\d+", lambda layer: str(int(layer[0]) + first_layer), name)
        name = name.replace("output_layer", "embedding.word_embeddings") if chunk.share_embeddings_and_output_weights else name
        name = re.sub(r"(?<=local_experts\.)\d+", lambda expert: str(int(expert[0]) + first_expert), name)
        cut = getattr(parameter, "tensor_model_parallel", False)
        shape = list(parameter.shape)
        if cut:
            shape[parameter.partition_dim] *= group.size()
        whole = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode()))) * 0.05
        parameter.copy_(whole.chunk(group.size(), parameter.partition_dim)[group.rank()] if cut else whole)


def data_parallel(case: Case, config, chunks: list[torch.nn.Module]):
    """The chunks in DistributedDataParallel, and their optimizer."""
    from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
    from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer

    settings = DistributedDataParallelConfig(
        grad_reduce_in_fp32=True,
        use_distributed_optimizer=case.zero,
        overlap_grad_reduce=case.overlap,
        overlap_param_gather=case.overlap and case.zero,
        bucket_size=10_000,
    )
    chunks = [DistributedDataParallel(config, settings, chunk) for chunk in chunks]
    optimizer = get_megatron_optimizer(
        OptimizerConfig(
            **{
                "lr": 1e-2,
                "adam_eps": 1e-6,  # else Adam makes whole steps of rounding
                "weight_decay": 0.1,
                "clip_grad": 1.0,
                "params_dtype": case.dtype,
                "use_distributed_optimizer": case.zero,
                "bf16": case.dtype == torch.bfloat16,
                "fp16": case.dtype == torch.float16,
                "overlap_param_gather": case.overlap and case.zero,
            }
            | case.optimizer
        ),
        chunks,
        use_gloo_process_groups=False,
    )
    config.finalize_model_grads_func = finalize_model_grads
    config.grad_scale_func = optimizer.scale_loss
    if case.overlap:
        each = lambda name: [getattr(chunk, name) for chunk in chunks] if case.virtual else getattr(chunks[0], name)
        config.no_sync_func, config.grad_sync_func = each("no_sync"), each("start_grad_sync")
        config.param_sync_func = each("start_param_sync") if case.zero else None
    return chunks, optimizer


def batches(step: int) -> Iterator[torch.Tensor]:
    """This rank's micro-batches `[micro-batch, sequence + 1]` of a step."""
    from megatron.core import parallel_state

    ranks, rank = parallel_state.get_data_parallel_world_size(), parallel_state.get_data_parallel_rank()
    tokens = torch.randint(VOCABULARY, (GLOBAL_BATCH, SEQUENCE + 1), generator=torch.Generator().manual_seed(step))
    yield from tokens.view(-1, ranks, MICRO_BATCH, SEQUENCE + 1)[:, rank]


def forward_step(iterator, model):
    tokens = next(iterator)
    positions = torch.arange(SEQUENCE).expand(len(tokens), -1)
    losses = model(tokens[:, :-1].contiguous(), positions, None, labels=tokens[:, 1:].contiguous())

    def mean(losses):
        loss = losses.float().mean()
        return loss, {"loss": loss.detach().clone()}  # the schedule divides the loss in place (schedules.py:324)

    return losses, mean


def train(case: Case, seed: int = 1234) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step, the same on every rank. A process group must be up."""
    from megatron.core import parallel_state
    from megatron.core.pipeline_parallel import get_forward_backward_func

    from megatron_ext.backend import distributed

    distributed.initialize_model_parallel(
        case.tensor, case.pipeline, case.virtual, expert=case.expert, expert_tensor=case.expert_tensor, seed=seed
    )
    config = transformer_config(case)
    chunks, optimizer = data_parallel(case, config, build_chunks(case, config))
    forward_backward = get_forward_backward_func()
    curve = []
    for step in range(case.steps):
        for chunk in chunks:
            chunk.zero_grad_buffer()
        optimizer.zero_grad()
        reports = forward_backward(
            forward_step_func=forward_step,
            data_iterator=[batches(step) for _ in chunks] if case.virtual else batches(step),
            model=chunks if case.virtual else chunks[0],
            forward_only=False,
            seq_length=SEQUENCE,
            micro_batch_size=MICRO_BATCH,
            num_microbatches=GLOBAL_BATCH // MICRO_BATCH // parallel_state.get_data_parallel_world_size(),
        )
        _, norm, _ = optimizer.step()
        loss = torch.stack([report["loss"] for report in reports]).mean() if reports else torch.zeros([])
        torch.distributed.all_reduce(loss, torch.distributed.ReduceOp.AVG, parallel_state.get_data_parallel_group())
        torch.distributed.broadcast(
            loss, parallel_state.get_pipeline_model_parallel_last_rank(), parallel_state.get_pipeline_model_parallel_group()
        )
        curve.append((loss.item(), float(norm)))
    return curve
