"""The `Sharding` interface, and what the stages on megatron-core's data parallelism share.

ZeRO (arXiv:1910.02054) stage 0 replicates everything; stage 1 gives each data-parallel process a share of the fp32
weights and moments. Both run on megatron-core's DistributedDataParallel (contiguous gradient buckets, reduced while
backward runs) and its optimizers; a stage says where a parameter's state lies.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer
from megatron.core.optimizer.clip_grads import clip_grad_by_total_norm_fp32
from megatron.core.transformer.module import Float16Module

from megatron_ext.arguments.registry import Registry
from megatron_ext.backend.placement import Placement, learned_otherwise, placements
from megatron_ext.optim.loss_scale import LossScale

OPTIMIZERS = Registry("megatron_ext.optim.optimizers")
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclasses.dataclass(frozen=True)
class Piece:
    """What this process holds of one parameter's canonical state.

    Attributes:
        place: the parameter's block in the global tensor.
        begin, end: the part of the flattened block that `tensors` cover.
        tensors: fp32, 1-D, `end − begin` long: `weight` and the optimizer's moments. Live, not copies.
    """

    place: Placement
    begin: int
    end: int
    tensors: dict[str, torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Update:
    """What an update did: the global gradient norm before clipping, and whether weights moved."""

    grad_norm: float
    applied: bool


class Sharding(ABC):
    """Gradient sync, global norm, clip, update and canonical state of one run's model.

    Attributes:
        chunks: the model chunks, wrapped for data parallelism; the forward pass goes through them.
        updates: updates applied so far (the step count of Adam's bias correction).
        loss_scale: what the loss is multiplied by in fp16, else None.
    """

    distributed_optimizer: bool

    def __init__(self, models: list[torch.nn.Module], model_config, flags, micro_batch_tokens: int):
        self.flags = flags
        self.loss_scale = LossScale(flags, micro_batch_tokens) if model_config.fp16 else None
        self.updates = 0
        self.chunks = [self._wrap(model, model_config, first=index == 0) for index, model in enumerate(models)]
        self.optimizer = get_megatron_optimizer(
            OptimizerConfig(
                lr=flags.lr,
                min_lr=flags.min_lr,
                decoupled_lr=flags.decoupled_lr,
                decoupled_min_lr=flags.decoupled_min_lr,
                weight_decay=flags.weight_decay,
                clip_grad=flags.clip_grad,
                bf16=model_config.bf16,
                fp16=model_config.fp16,
                params_dtype=model_config.params_dtype,
                fp8_recipe=model_config.fp8_recipe if model_config.fp8 else None,
                use_distributed_optimizer=self.distributed_optimizer,
                overlap_param_gather=flags.overlap_param_gather,
                **OPTIMIZERS.load(flags.optimizer).settings(flags),
            ),
            self.chunks,
            use_gloo_process_groups=False,
        )
        # What is learned by other means than gradients, and what it was before the update that is under way.
        self._beside = [[tensor, None] for chunk in self.chunks for _, tensor in learned_otherwise(chunk)]
        self._connect(model_config)
        for part in self._parts():
            part.init_state_fn(part.optimizer, part.config)
        self._set_step(0)

    def _wrap(self, model, model_config, first: bool):
        if model_config.bf16 or model_config.fp16:
            model = Float16Module(model_config, model)
        ddp = DistributedDataParallelConfig(
            grad_reduce_in_fp32=not self.flags.grad_reduce_in_bf16,
            fp8_param_gather=model_config.fp8_param,
            overlap_grad_reduce=self.flags.overlap_grad_reduce,
            overlap_param_gather=self.flags.overlap_param_gather,
            use_distributed_optimizer=self.distributed_optimizer,
        )
        return DistributedDataParallel(model_config, ddp, model, disable_bucketing=not first)

    def _connect(self, model_config) -> None:
        """Tell megatron-core's pipeline schedules when gradients are to be synchronised."""
        if self.flags.overlap_grad_reduce:
            waits = [chunk.no_sync for chunk in self.chunks]
            model_config.no_sync_func = waits if len(waits) > 1 else waits[0]
        model_config.finalize_model_grads_func = finalize_model_grads
        if self.loss_scale is not None:
            model_config.grad_scale_func = lambda loss: loss * self.loss_scale.scale
            for part in self.optimizer.chained_optimizers:
                part.grad_scaler = self.loss_scale

    def _parts(self):
        """megatron-core's optimizers: one for dense parameters, one for experts; those without parameters here left out."""
        return [part for part in self.optimizer.chained_optimizers if not getattr(part, "is_stub_optimizer", False)]

    def zero_grad(self) -> None:
        for kept in self._beside:
            kept[1] = kept[0].clone()
        for chunk in self.chunks:
            chunk.zero_grad_buffer()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def update(self, learning_rate: float, own_rate: float | None = None) -> Update:
        """Clip by the global norm and step. A norm that is not finite moves no weight: the caller shows it.

        In fp16 the gradients are divided by the loss scale first, and the scale learns whether they were finite. `own_rate`
        is the learning rate of the embedding and the output matrix where they have one of their own.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate if own_rate is None or group["default_config"] else own_rate
            group["weight_decay"] = self.flags.weight_decay * group["wd_mult"]
        broken = self.optimizer.prepare_grads()
        if self.loss_scale is not None:
            self.loss_scale.settle(broken)
        norm = float(self.optimizer.get_grad_norm())
        if broken or not math.isfinite(norm):
            for tensor, before in self._beside:  # moved when the gradients were put together
                tensor.copy_(before)
            return Update(norm, applied=False)
        if self.flags.clip_grad > 0:
            for part in self._parts():
                clip_grad_by_total_norm_fp32(part.get_parameters(), self.flags.clip_grad, norm)
        self.optimizer.step_with_ready_grads()
        self.updates += 1
        return Update(norm, applied=True)

    @contextlib.contextmanager
    def whole_weights(self) -> Iterator[None]:
        """Inside, the weights are up to date and no gather is under way: for evaluation and for reading the model."""
        if self.flags.overlap_param_gather:
            for chunk in self.chunks:
                chunk.disable_forward_pre_hook()
        try:
            yield
        finally:
            if self.flags.overlap_param_gather:
                for chunk in self.chunks:
                    chunk.enable_forward_pre_hook()

    def pieces(self) -> Iterator[Piece]:
        """The canonical state that this process holds, in the model's order. A tied output matrix is not a second piece."""
        for chunk in self.chunks:
            for place, parameter in placements(chunk):
                yield from self._pieces_of(place, parameter)
            for place, tensor in learned_otherwise(chunk):
                yield Piece(place, 0, tensor.numel(), {"weight": tensor})

    @abstractmethod
    def _pieces_of(self, place: Placement, parameter: torch.nn.Parameter) -> Iterator[Piece]:
        """The piece of one parameter, or nothing where another process holds it."""

    @torch.no_grad()
    def loaded(self, updates: int) -> None:
        """To be called when the tensors of `pieces` were overwritten: brings the model's weights and Adam's step in line."""
        self._set_step(updates)
        for part in self._parts():
            self._weights_from_state(part)

    def scaler_state(self) -> dict[str, float]:
        """Plain numbers that the loss scale goes on from; empty without one."""
        return {} if self.loss_scale is None else self.loss_scale.state_dict()

    def load_scaler_state(self, state: dict[str, float]) -> None:
        if self.loss_scale is not None:
            self.loss_scale.load_state_dict(state)

    def _set_step(self, updates: int) -> None:
        """Adam's step count: torch's Adam keeps it in each parameter's state, Transformer Engine's and Apex's in the group."""
        self.updates = updates
        for part in self._parts():
            for group in part.optimizer.param_groups:
                if isinstance(part.optimizer, torch.optim.Adam):
                    for parameter in group["params"]:
                        part.optimizer.state[parameter]["step"] = torch.tensor(float(updates))
                else:
                    group["step"] = updates

    @abstractmethod
    def _weights_from_state(self, part) -> None:
        """Copy fp32 weights into the model's, and gather them where they are sharded."""


def flat_tensors(main: torch.Tensor, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`weight` and moments as 1-D views."""
    return {"weight": main.detach().view(-1)} | {name: state[name].view(-1) for name in MOMENTS}
