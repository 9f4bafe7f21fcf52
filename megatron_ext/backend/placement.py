"""Where a local parameter lies in the whole model: its global name, the global tensor's shape, and this process's part.

The one place that knows how megatron-core lays a model over processes. Initialisation, checkpoints and the layout tests
all speak of parameters by these names, so a run can be started, stopped and compared in any layout.

Global names are those of the whole model in one process with the local spec (`decoder.layers.7.input_layernorm.weight`). An
encoder's layers are `encoder.layers`, and a decoder's behind it are counted from 0 again.
A gated MLP's fc1 is `[gate; up]`, of which a tensor-parallel process holds a slice of each: globally it is seen as
`[2, ffn, hidden]`, split along dimension 1, so that every part is one block.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import torch
from megatron.core import parallel_state
from megatron.core.transformer.transformer_layer import TransformerLayer

VOCABULARY = ("embedding.word_embeddings.weight", "output_layer.weight", "output_layer.bias")  # whose rows are padded
# Transformer Engine keeps a norm inside the linear layer that follows it.
_FUSED = (("self_attention.linear_qkv.layer_norm_", "input_layernorm."), ("mlp.linear_fc1.layer_norm_", "pre_mlp_layernorm."))
_SHARED_BIAS = "position_bias."  # of attention's scores: one for all layers, on each chunk a part of its first one
_EXPERT = re.compile(r"\.experts\.local_experts\.(\d+)\.")
_GROUPED_EXPERT = re.compile(r"\.experts\.(linear_fc[12])\.(weight|bias)(\d+)$")


@dataclasses.dataclass(frozen=True)
class Placement:
    """A local parameter's place.

    Attributes:
        name: in the whole model.
        shape: of the global tensor.
        start: where this process's block begins, one number a dimension of `shape`.
        local: the block's shape; the parameter reshaped to it is that part of the global tensor.
        split: the dimension along which tensor parallelism cuts, or None.
        gated: a gated MLP's fc1, whose first dimension tells the gate from the value.
        copy: another chunk of the pipeline owns this parameter (the output matrix that is the embedding's, a bias that all
            layers share, an embedding for multi-token prediction).
    """

    name: str
    shape: tuple[int, ...]
    start: tuple[int, ...]
    local: tuple[int, ...]
    split: int | None
    gated: bool = False
    copy: bool = False

    @property
    def block(self) -> tuple[slice, ...]:
        return tuple(slice(first, first + size) for first, size in zip(self.start, self.local, strict=True))


def placements(model: torch.nn.Module) -> Iterator[tuple[Placement, torch.nn.Parameter]]:
    """Every parameter of a model chunk with its place, in the chunk's order."""
    model = unwrap(model)
    layers = _layers(model)
    for name, parameter in model.named_parameters():
        place = _place(_global_name(name, layers, model.config), parameter, model.config)
        copy = name == "output_layer.weight" and model.config.tied_embeddings
        copy = copy or (name.startswith("embedding.") and not model.pre_process)
        copy = copy or (place.name.startswith(_SHARED_BIAS) and 0 not in layers.values())
        yield dataclasses.replace(place, copy=copy), parameter


def learned_otherwise(model: torch.nn.Module) -> Iterator[tuple[Placement, torch.Tensor]]:
    """What a model chunk learns by other means than gradients, whole on every process: routers' biases."""
    model = unwrap(model)
    layers = _layers(model)
    for name, module in model.named_modules():
        bias = getattr(module, "expert_bias", None)
        if bias is not None:
            shape = tuple(bias.shape)
            yield Placement(_global_name(f"{name}.expert_bias", layers, model.config), shape, (0,), shape, None), bias


def _layers(model: torch.nn.Module) -> dict[str, int]:
    """The number in the whole model of each layer that a chunk holds, by its name there."""
    return {
        name + ".": module.layer_number - 1
        for name, module in model.named_modules()
        if isinstance(module, TransformerLayer) and not name.startswith("mtp.")
    }


def unwrap(model: torch.nn.Module) -> torch.nn.Module:
    """The model itself, out of megatron-core's wrappers for data parallelism and mixed precision."""
    while hasattr(model, "module"):
        model = model.module
    return model


def _global_name(name: str, layers: dict[str, int], config) -> str:
    if ".core_attention.bias." in name:
        if not config.relative_bias_per_layer:
            return _SHARED_BIAS + name.rpartition(".")[2]
        name = name.replace(".core_attention.bias.", f".{_SHARED_BIAS}")
    for prefix, number in layers.items():
        if name.startswith(prefix):
            name = _in_layer(prefix, number, name.removeprefix(prefix), config)
            break
    if config.architecture == "encoder":
        name = re.sub("^decoder", "encoder", name)
    for fused, plain in _FUSED:
        name = name.replace(fused, plain)
    if name == "output_layer.weight" and config.tied_embeddings:
        return "embedding.word_embeddings.weight"
    name = _GROUPED_EXPERT.sub(r".experts.local_experts.\3.\1.\2", name)
    if config.num_moe_experts is not None and _EXPERT.search(name):
        first = parallel_state.get_expert_model_parallel_rank() * config.num_moe_experts // config.expert_model_parallel_size
        name = _EXPERT.sub(lambda match: f".experts.{first + int(match.group(1))}.", name)
    return name


def _in_layer(prefix: str, number: int, name: str, config) -> str:
    """The global name of a parameter in a layer, counted from 0."""
    stack = prefix.rstrip(".").rpartition(".")[0]
    if config.encoder_layers:
        encoder = number < config.encoder_layers
        if encoder and name.startswith("final_layernorm."):
            return f"encoder.{name}"
        stack, number = ("encoder.layers", number) if encoder else (stack, number - config.encoder_layers)
    return f"{stack}.{number}.{name}"


def _place(name: str, parameter: torch.nn.Parameter, config) -> Placement:
    local = tuple(parameter.shape)
    # A tied output matrix on the last stage and everything that is replicated is whole here, or split as its attributes say.
    if not getattr(parameter, "tensor_model_parallel", False):
        return Placement(name, local, (0,) * len(local), local, None)
    split = parameter.partition_dim
    expert = ".experts." in name
    size = config.expert_tensor_parallel_size if expert else config.tensor_model_parallel_size
    rank = parallel_state.get_expert_tensor_parallel_rank() if expert else parallel_state.get_tensor_model_parallel_rank()
    gated = config.gated_linear_unit and ".linear_fc1." in name
    if gated:
        local, split = (2, local[0] // 2, *local[1:]), 1
    shape = tuple(extent * size if axis == split else extent for axis, extent in enumerate(local))
    start = tuple(extent * rank if axis == split else 0 for axis, extent in enumerate(local))
    return Placement(name, shape, start, local, split, gated)
