"""Flags that ask for what only a GPU can do, or only Transformer Engine on one: elsewhere they are refused by name.

The flags' validator asks where `--device cpu` or `--transformer-impl local` is given; the start of a run asks again, when
`auto` has been decided. Needs no torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from megatron_ext.arguments.problems import Problem, option

# Flag: the value that asks for nothing.
ON_A_GPU = {
    "fp8_format": None,
    "tp_comm_overlap": False,
    "gradient_accumulation_fusion": False,
    "cuda_graph_impl": "none",
    "nvtx_ranges": False,
    "empty_unused_memory_level": 0,
    "cp_comm_type": "all_gather",
}
WITH_TRANSFORMER_ENGINE = {"fp8_format": None, "tp_comm_overlap": False, "cp_comm_type": "all_gather"}
ACCUMULATION_KERNEL = "fused_weight_gradient_mlp_cuda"  # Apex's; megatron-core's output layer asks for it whoever's layers run


def problems(values: Mapping[str, Any], device: str, layers: str, starts: bool = False) -> Iterator[Problem]:
    """Args: values: of all flags by name; device, layers: `auto` while undecided; starts: whether the run starts, here."""
    gpu = [name for name, nothing in ON_A_GPU.items() if values[name] != nothing]
    if device == "cpu":
        for name in gpu:
            yield Problem(option(name), _shown(values[name]), "needs a GPU, and this runs on the CPU", "leave it out")
        return
    engine = [name for name, nothing in WITH_TRANSFORMER_ENGINE.items() if values[name] != nothing]
    if layers == "local":
        for name in engine:
            yield Problem(
                option(name),
                _shown(values[name]),
                "needs Transformer Engine, and the local layers run",
                "install it and leave out --transformer-impl local, or leave this out",
            )
    if starts and values["gradient_accumulation_fusion"] and not importlib.util.find_spec(ACCUMULATION_KERNEL):
        yield Problem(
            "--gradient-accumulation-fusion", None, f"needs {ACCUMULATION_KERNEL}, which comes with NVIDIA's Apex", "leave it out"
        )


def _shown(value: Any) -> Any:
    return None if value is True else value
