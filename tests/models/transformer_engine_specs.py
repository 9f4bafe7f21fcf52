"""A process in which Transformer Engine's layer specs can be built without a GPU; run by test_layer_specs.py.

None of its forwards runs here: the compiled half is a stand-in, and torch is told of a device that is the CPU. What is checked
is that the specs construct, and that every parameter has the global name and shape that the local spec gives it. Prints JSON,
the classes that attend in Transformer Engine's layers too.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import types
from unittest import mock

os.environ["NVTE_PROJECT_BUILDING"] = "1"  # its own way to be imported without its shared objects

import torch
import transformer_engine.common

from megatron_ext.backend import cpu, distributed


class StandIn(types.ModuleType):
    """The compiled half: any name is there, and is a mock."""

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return mock.MagicMock(name=name)


def pretend() -> None:
    stand_in = StandIn("transformer_engine_torch")
    stand_in.__spec__ = importlib.machinery.ModuleSpec("transformer_engine_torch", None)
    stand_in.__all__ = ["get_cudnn_version"]
    stand_in.get_cudnn_version = lambda: 91000
    sys.modules["transformer_engine_torch"] = stand_in
    transformer_engine.common.load_framework_extension = lambda framework: None
    torch.cuda.get_device_capability = lambda *_: (9, 0)
    torch.cuda.get_device_properties = lambda *_: types.SimpleNamespace(major=9, minor=0)


def shapes(argv: list[str], layers_impl: str) -> tuple[dict[str, list[int]], list[str]]:
    """Global names and shapes of the model of `argv`, and the classes of its core attentions."""
    from megatron_ext.backend.placement import placements
    from megatron_ext.models import gpt
    from megatron_ext.models.config import model_config
    from megatron_ext.training.configuration import read_configuration

    config = read_configuration(["--mock-data", "--train-iters", "1", *argv], 1)
    core = model_config(config, config.tokenizer.vocab_size, layers_impl)
    (model,) = gpt.build(config.model, core, seed=1)
    attends = {type(layer.self_attention.core_attention).__name__ for layer in model.decoder.layers}
    return {place.name: list(place.shape) for place, _ in placements(model)}, sorted(attends)


def main(argv: list[str]) -> None:
    pretend()
    distributed.start(distributed.launch_environment({}), "cpu")
    cpu.install()
    torch.cuda.is_available = lambda: True
    distributed.initialize_model_parallel()
    found = {implementation: shapes(argv, implementation) for implementation in ("local", "transformer_engine")}
    print(json.dumps({name: shape for name, (shape, _) in found.items()} | {"attends": found["transformer_engine"][1]}))


if __name__ == "__main__":
    main(sys.argv[1:])
