"""Lets megatron-core train on a CPU over gloo: the one file that patches somebody else's module.

megatron-core 0.16.1 names CUDA in some 400 places, but asks of it little that a CPU cannot answer: where am I, wait for
me, zeros please, remember the random state. `install()` replaces the attributes that it asks, for good, in this process;
a TorchFunctionMode would not do, as it is inactive in backward, where recomputation happens. A process is wholly CPU or
wholly CUDA (`--device`), so the same holds on a machine with a GPU.

Each replacement stands beside the line of megatron-core 0.16.1 (paths below megatron/core/) that needs it. Another version
may need others and go wrong in silence, so there the CPU path refuses.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from megatron_ext.arguments.problems import UserError

MEGATRON_CORE_VERSION = "0.16.1"

replaced: list[tuple[Any, str, Any]] = []  # owner, name, what was there before


def install() -> None:
    """Patch torch and megatron-core in this process. Call it once, before any model is built; again does nothing.

    UserError with another version of megatron-core than the one that the patches were written for.
    """
    if replaced:
        return
    with _compiling_nothing():
        refuse_other_version()
        for patch in PATCHES:
            patch()


@contextlib.contextmanager
def _compiling_nothing() -> Iterator[None]:
    """Inside, torch.compile gives functions back as they are: as a decorator of megatron-core's (jit.py:21) it would import
    Inductor, 1.5 of the 5 seconds of computing with which a process begins, for what `nothing_is_compiled` takes off again."""
    import torch

    compile, torch.compile = torch.compile, lambda model=None, **options: (lambda function: function) if model is None else model
    try:
        yield
    finally:
        torch.compile = compile


def refuse_other_version() -> None:
    """UserError unless megatron-core is the version that the patches were written for."""
    found = _version_found()
    if found != MEGATRON_CORE_VERSION:
        raise UserError(
            f"found megatron-core {found}, but training on the CPU patches lines of {MEGATRON_CORE_VERSION}: "
            f"pip install megatron-core=={MEGATRON_CORE_VERSION}, or train with --device cuda"
        )


def warn_on_other_version() -> None:
    """For CUDA, where nothing is patched: another version may work, but was not tested."""
    found = _version_found()
    if found != MEGATRON_CORE_VERSION:
        warnings.warn(f"found megatron-core {found}, tested was only {MEGATRON_CORE_VERSION}", stacklevel=2)


def _version_found() -> str:
    import megatron.core  # not pip's word for it: a checkout on PYTHONPATH goes first

    return megatron.core.__version__


def _replace(owner: Any, name: str, value: Any) -> None:
    replaced.append((owner, name, getattr(owner, name)))
    setattr(owner, name, value)


# --- the device -------------------------------------------------------------------------------------------------------


def current_device_is_the_cpu() -> None:
    import torch

    here = torch.device("cpu")
    # torch/optim/optimizer.py, _cuda_graph_capture_health_check: would open a context on the GPU of a machine that has one
    _replace(torch.cuda, "is_available", lambda: False)
    _replace(torch.cuda, "current_device", lambda: here)  # tensor_parallel/mappings.py:91 and a hundred more
    _replace(torch.cuda, "synchronize", lambda device=None: None)  # pipeline_parallel/p2p_communication.py:398, timers.py:152
    _replace(torch.Tensor, "cuda", lambda self, *args, **kwargs: self)  # models/common/language_module/language_module.py:244


def literal_cuda_means_here() -> None:
    """Factory functions that are called with a written-in device="cuda", or asked for memory that a GPU can reach."""
    import torch

    def here(factory: Callable) -> Callable:
        @functools.wraps(factory)
        def make(*args, **kwargs):
            if kwargs.get("device") == "cuda":
                kwargs["device"] = "cpu"
            kwargs.pop("pin_memory", None)
            return factory(*args, **kwargs)

        return make

    _replace(torch, "tensor", here(torch.tensor))  # optimizer/optimizer.py:473, models/common/embeddings/rope_utils.py:62
    _replace(torch, "zeros", here(torch.zeros))  # pipeline_parallel/schedules.py:596, optimizer/clip_grads.py:103
    _replace(torch, "ones", here(torch.ones))  # transformer/utils.py:35


def tensor_types_go_by_cuda_names() -> None:
    """Optimizers sort parameters by the name of their tensor type and know only CUDA's."""
    import torch

    names = {f"torch.{kind}Tensor": f"torch.cuda.{kind}Tensor" for kind in ("Float", "Half", "BFloat16")}
    original = torch.Tensor.type

    @functools.wraps(original)
    def type_(self, *args, **kwargs):
        answer = original(self, *args, **kwargs)
        return names.get(answer, answer) if isinstance(answer, str) else answer

    _replace(torch.Tensor, "type", type_)  # optimizer/optimizer.py:671, optimizer/distrib_optimizer.py:361, clip_grads.py:167


# --- the order of things ----------------------------------------------------------------------------------------------


class InertStream:
    """A CUDA stream's methods where work is done when the call returns."""

    def __init__(self, device=None, priority=0):
        pass

    def wait_stream(self, stream):
        pass

    def record_event(self, event=None):
        return InertEvent()


class InertEvent:
    """A CUDA event that has always happened."""

    def synchronize(self):
        pass


def streams_are_inert() -> None:
    import torch

    only = InertStream()
    _replace(torch.cuda, "Stream", InertStream)  # transformer/moe/token_dispatcher.py:445
    _replace(torch.cuda, "stream", lambda stream: contextlib.nullcontext())  # transformer/moe/token_dispatcher.py:874
    _replace(torch.cuda, "current_stream", lambda device=None: only)  # transformer/moe/token_dispatcher.py:871


def sends_keep_their_memory() -> None:
    """An output that is still being sent stays in memory when the schedule frees it.

    The interleaved schedule with overlap_p2p_comm replaces `output_tensor.data` (pipeline_parallel/schedules.py:1522, :1600)
    without waiting for the send, which the order of CUDA's stream allows. gloo would send freed memory, and the next stage
    train on it: now and then, and silently. An alias, held by the request, keeps the storage.
    """
    from megatron.core.pipeline_parallel import p2p_communication

    original = p2p_communication._p2p_ops

    def alias(tensor):
        return None if tensor is None else tensor.detach()

    @functools.wraps(original)
    def p2p_ops(*, tensor_send_prev, tensor_send_next, **rest):
        return original(tensor_send_prev=alias(tensor_send_prev), tensor_send_next=alias(tensor_send_next), **rest)

    _replace(p2p_communication, "_p2p_ops", p2p_ops)  # pipeline_parallel/p2p_communication.py:357


class Waiting:
    """Seconds that this process was blocked in collectives and receives so far."""

    seconds = 0.0


waiting = Waiting()


def waiting_is_timed() -> None:
    """No line of megatron-core needs this: it tells `backend/busy.py` how long this process waited for others.

    gloo does its work in threads of its own, and whoever wants the result is blocked here, whatever the collective was.
    """
    from torch.distributed import Work

    original = Work.wait

    @functools.wraps(original)
    def wait(self, *args, **kwargs):
        began = time.perf_counter()
        try:
            return original(self, *args, **kwargs)
        finally:
            waiting.seconds += time.perf_counter() - began

    _replace(Work, "wait", wait)  # torch/distributed/distributed_c10d.py: every call that is not asynchronous ends in it


# --- random numbers ---------------------------------------------------------------------------------------------------


def random_state_is_the_cpus() -> None:
    """Dropout here draws from the CPU's default generator: that one is to be seeded, remembered and restored."""
    import torch
    from megatron.core.tensor_parallel import random

    def manual_seed(seed):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds CUDA's too

    def get_rng_state(device="cuda"):
        return torch.get_rng_state()

    def set_rng_state(new_state, device="cuda", graph_safe=False):
        torch.set_rng_state(new_state)

    _replace(torch.cuda, "manual_seed", manual_seed)  # tensor_parallel/random.py:237
    _replace(torch.cuda, "get_rng_state", get_rng_state)  # tensor_parallel/random.py:235, rerun_state_machine.py:957
    _replace(torch.cuda, "set_rng_state", set_rng_state)  # rerun_state_machine.py:970
    _replace(torch.cuda.random, "get_rng_state", get_rng_state)  # tensor_parallel/random.py:55
    _replace(random, "_set_cuda_rng_state", set_rng_state)  # tensor_parallel/random.py:240
    # tensor_parallel/random.py:272 warns at every fork that the CPU's state has changed: here that is what a fork is for.
    logging.getLogger(random.__name__).addFilter(lambda record: "CPU RNG state changed" not in record.getMessage())


# --- kernels ----------------------------------------------------------------------------------------------------------


def nothing_is_compiled() -> None:
    """megatron-core has Inductor compile its activations (jit.py:21): seconds of a C++ compiler, where there is one.

    Its decorator has already been applied when megatron-core is imported; what it made is taken off again.
    """
    import torch
    from megatron.core import jit

    jit.disable_jit_fuser()
    for module in [module for name, module in sys.modules.items() if name.startswith("megatron")]:
        classes = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
        for owner in [module, *classes]:
            for name, value in list(vars(owner).items()):
                if value is torch.compile:  # a module's own `jit_fuser`, applied in a constructor: transformer/moe/experts.py:94
                    _replace(owner, name, jit.noop_decorator)
                elif isinstance(value, types.FunctionType) and "_torchdynamo_orig_callable" in vars(value):
                    _replace(owner, name, value._torchdynamo_orig_callable)


def kernels_are_torchs() -> None:
    """Transformer Engine's and Apex's kernels, which megatron-core takes where they are installed, refuse CPU tensors."""
    import torch
    from megatron.core import optimizer, utils
    from megatron.core.optimizer import clip_grads
    from megatron.core.optimizer import optimizer as optimizer_module
    from megatron.core.transformer.moe import moe_utils

    _replace(optimizer, "Adam", torch.optim.AdamW)  # optimizer/__init__.py:13
    _replace(optimizer, "SGD", torch.optim.SGD)
    _replace(optimizer, "USING_PYTORCH_OPTIMIZER", True)
    _replace(clip_grads, "l2_norm_impl", utils.local_multi_tensor_l2_norm)  # optimizer/clip_grads.py:17
    for module in (clip_grads, optimizer_module):  # optimizer/clip_grads.py:18, optimizer/optimizer.py:19
        _replace(module, "multi_tensor_applier", utils.local_multi_tensor_applier)
        _replace(module, "multi_tensor_scale_impl", utils.local_multi_tensor_scale)
    moe_utils.te_general_gemm = None  # transformer/moe/moe_utils.py:1192: without Transformer Engine not even bound


def split_sizes_are_numbers() -> None:
    """Sizes for an all-to-all are made numbers only on their way from a GPU."""
    import torch
    from megatron.core.transformer.moe import token_dispatcher

    def as_numpy_if_asked(tensor, as_numpy=False, record_stream=False):
        return tensor.numpy() if as_numpy and torch.is_tensor(tensor) else tensor

    _replace(token_dispatcher, "maybe_move_tensor_to_cpu", as_numpy_if_asked)  # transformer/moe/moe_utils.py:1093


def uneven_parts_are_padded() -> None:
    """gloo gathers and reduce-scatters parts of one size; those of experts whose matrices are shared differ."""
    import torch
    from megatron.core.tensor_parallel import mappings

    gather, reduce_scatter = mappings._gather_along_first_dim, mappings._reduce_scatter_along_first_dim

    def padded(parts, longest: int):
        whole = parts[0].new_zeros(len(parts), longest, *parts[0].shape[1:])
        for row, part in zip(whole, parts, strict=True):
            row[: len(part)] = part
        return whole

    def gather_parts(input_, group, output_split_sizes=None, use_global_buffer=False):
        if output_split_sizes is None or group.size() == 1:
            return gather(input_, group, output_split_sizes, use_global_buffer)
        own = padded([input_], max(output_split_sizes))
        found = own.new_empty(group.size(), *own.shape[1:])
        torch.distributed.all_gather_into_tensor(found, own, group=group)
        return torch.cat([row[:size] for row, size in zip(found, output_split_sizes, strict=True)])

    def reduce_scatter_parts(input_, group, input_split_sizes=None, use_global_buffer=False):
        if input_split_sizes is None or group.size() == 1:
            return reduce_scatter(input_, group, input_split_sizes, use_global_buffer)
        parts = padded(input_.split(input_split_sizes), max(input_split_sizes))
        own = torch.empty_like(parts[0])
        torch.distributed.reduce_scatter_tensor(own, parts.flatten(0, 1), group=group)
        return own[: input_split_sizes[group.rank()]]

    _replace(mappings, "_gather_along_first_dim", gather_parts)  # tensor_parallel/mappings.py:147
    _replace(mappings, "_reduce_scatter_along_first_dim", reduce_scatter_parts)  # tensor_parallel/mappings.py:195


PATCHES = (
    current_device_is_the_cpu,
    literal_cuda_means_here,
    tensor_types_go_by_cuda_names,
    streams_are_inert,
    sends_keep_their_memory,
    waiting_is_timed,
    random_state_is_the_cpus,
    nothing_is_compiled,
    kernels_are_torchs,
    split_sizes_are_numbers,
    uneven_parts_are_padded,
)
