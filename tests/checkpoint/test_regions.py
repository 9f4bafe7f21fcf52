"""Where state lies in a checkpoint: boxes make up exactly the range, and names are megatron-core's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.backend.placement import Placement
from megatron_ext.checkpoint.regions import Experts, regions


@st.composite
def pieces(draw):
    """`(placement, begin, end)`: a block of a tensor and a range of the flattened block."""
    local = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    start = tuple(draw(st.integers(0, 3)) for _ in local)
    shape = tuple(a + b + draw(st.integers(0, 2)) for a, b in zip(start, local, strict=True))
    begin = draw(st.integers(0, math.prod(local) - 1))
    end = draw(st.integers(begin + 1, math.prod(local)))
    return Placement("decoder.final_layernorm.weight", shape, start, local, None), begin, end


@given(pieces())
def test_boxes_are_the_range(piece):
    place, begin, end = piece
    block = np.arange(math.prod(place.local))
    whole = np.full(place.shape, -1)
    whole[place.block] = block.reshape(place.local)
    found = list(regions(place, begin, end, None))
    assert len(found) <= 2 * len(place.local) - 1
    at = begin
    for region in found:
        box = tuple(slice(first, first + size) for first, size in zip(region.offsets, region.sizes, strict=True))
        assert region.begin == at and region.shape == place.shape
        assert whole[box].reshape(-1).tolist() == list(range(region.begin, region.end))
        at = region.end
    assert at == end


@given(st.integers(0, 2), st.integers(1, 3), st.integers(1, 3), st.data())
def test_a_gated_matrix_is_one_tensor_gate_over_value(rank, width, hidden, data):
    """Globally `[2, ffn, hidden]` here, `[2·ffn, hidden]` in the checkpoint."""
    ffn = 3 * width
    place = Placement("x.mlp.linear_fc1.weight", (2, ffn, hidden), (0, rank * width, 0), (2, width, hidden), 1, gated=True)
    count = 2 * width * hidden
    begin = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(begin + 1, count))
    stored = np.arange(2 * ffn * hidden).reshape(2 * ffn, hidden)
    block = stored.reshape(2, ffn, hidden)[place.block].reshape(-1)
    for region in regions(place, begin, end, None):
        box = tuple(slice(first, first + size) for first, size in zip(region.offsets, region.sizes, strict=True))
        assert region.shape == stored.shape
        assert stored[box].reshape(-1).tolist() == block[region.begin : region.end].tolist()


def compare_with_megatron_core(launch, argv):
    """Our regions of every parameter beside megatron-core's sharded_state_dict of the same model."""
    from megatron.core.dist_checkpointing.mapping import ShardedTensor, ShardedTensorFactory
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec

    from megatron_ext.backend.placement import placements
    from megatron_ext.models import gpt
    from megatron_ext.models.config import model_config
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration(
        ["--preset", "tiny", "--mock-data", "--vocab-size", "500", "--device", "cpu", *argv], launch.world_size
    )
    with processes(launch, config):
        core = model_config(config, 500, "local")
        (model,) = gpt.build(config.model, core, 1)
        theirs = get_gpt_layer_local_spec(
            num_experts=core.num_moe_experts, moe_grouped_gemm=False, normalization=core.normalization
        )
        for layer in model.decoder.layers:
            names = dict(theirs.submodules.sharded_state_dict_keys_map)  # the names that Megatron-LM's own specs give
            if layer.is_moe_layer:  # the local spec's; with Transformer Engine, the norm before experts is not fused
                names.pop("pre_mlp_layernorm.")
            layer.submodules_config.sharded_state_dict_keys_map = names
        expected = set()
        for thing in model.sharded_state_dict(metadata={"non_homogeneous_layers": True}).values():
            parts = thing.build() if isinstance(thing, ShardedTensorFactory) else thing
            for part in parts if isinstance(parts, list) else [parts]:
                if isinstance(part, ShardedTensor):
                    sizes = (1,) * part.prepend_axis_num + tuple(part.local_shape)
                    expected.add((part.key, tuple(part.global_shape), tuple(part.global_offset), sizes))
        found = {
            (region.key, region.shape, region.offsets, region.sizes)
            for place, parameter in placements(model)
            for region in regions(place, 0, parameter.numel(), Experts.of(core))
        }
        return found, expected


@pytest.mark.parametrize(("argv", "world_size"), [
    ([], 1),
    (["--tensor-model-parallel-size", "2"], 2),
    (["--pipeline-model-parallel-size", "2", "--untie-embeddings-and-output-weights"], 2),
    ("--normalization layernorm --activation gelu --position-embedding-type learned_absolute --add-bias-linear".split(), 1),
    (["--num-experts", "4", "--moe-ffn-hidden-size", "64", "--expert-model-parallel-size", "2"], 2),
    ("--num-experts 4 --moe-layer-freq [0]*2+[1]*2 --pipeline-model-parallel-size 2 "
     "--moe-shared-expert-intermediate-size 32 --moe-shared-expert-gate".split(), 2),
])  # fmt: skip
def test_names_and_boxes_are_megatron_cores(argv, world_size, pool):
    for found, expected in pool.run(compare_with_megatron_core, world_size, argv):
        assert found == expected
