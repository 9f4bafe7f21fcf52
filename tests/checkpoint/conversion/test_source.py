"""What older folders hold besides weights changes neither what is read nor the type that it is computed in."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from megatron_ext.backend.placement import Placement
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from tests.checkpoint.huggingface.test_families import imported
from tests.parity import families

# By family: where a layer's buffers lay, and their names.
ROTARY = {"rotary_emb.inv_freq": (4,)}
MASKS = {"bias": (1, 1, 300, 300), "masked_bias": ()}
OLDER = {
    "llama": ("model.layers.1.self_attn.", ROTARY),
    "gemma2": ("model.layers.1.self_attn.", ROTARY),
    "olmo2": ("model.layers.1.self_attn.", ROTARY),
    "cohere": ("model.layers.1.self_attn.", ROTARY),
    "falcon": ("transformer.h.1.self_attention.", {"maybe_rotary.inv_freq": (4,)}),
    "gpt2": ("transformer.h.1.attn.", MASKS),
    "gptj": ("transformer.h.1.attn.", MASKS),
    "gpt_neox": ("gpt_neox.layers.1.attention.", MASKS | ROTARY),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Weights in 16 bits, buffers in 32, of which there are more numbers."""
    place = tmp_path_factory.mktemp("older")
    for name, (prefix, buffers) in OLDER.items():
        getattr(families, name)().bfloat16().save_pretrained(place / name)
        tensors = load_file(place / name / "model.safetensors")
        numbers = sum(tensor.numel() for tensor in tensors.values())
        for buffer, shape in buffers.items():
            shape = (numbers + 1,) if len(shape) == 1 else shape
            tensors[prefix + buffer] = torch.ones(shape)
        assert sum(math.prod(t.shape) for t in tensors.values() if t.dtype == torch.float32) > numbers
        save_file(tensors, place / name / "model.safetensors")
    return place


def test_buffers_are_no_obstacle(folders, pool, tmp_path):
    pool.run(imported, 1, [(folders / name, tmp_path / name) for name in OLDER])
    for name in OLDER:
        assert (tmp_path / name / "iter_0000000" / "manifest.json").exists()
        assert "bf16: true" in (tmp_path / name / "run.yaml").read_text()
        assert not (tmp_path / name / "tokenizer").exists(), "the folders have none"


@pytest.mark.parametrize("name", OLDER)
def test_their_type_is_not_the_weights(name, folders):
    source = HuggingFaceSource(folders / name)
    assert (source.folder.dtype(), source.weights_dtype()) == (torch.float32, torch.bfloat16)


def test_no_number_is_rounded_where_a_parameters_tensors_are_of_several_types(folders):
    file, name = folders / "llama" / "model.safetensors", "model.layers.1.self_attn.k_proj.weight"
    tensors = load_file(file)
    finer = tensors[name].float() + 1e-5  # no number of 16 bits
    save_file(tensors | {name: finer}, file)
    source = HuggingFaceSource(folders / "llama")
    place = Placement("decoder.layers.1.self_attention.linear_qkv.weight", (80, 48), (0, 0), (80, 48), 0)
    assert source.dtype(place) == source.block(place).dtype == torch.float32
    assert source.block(place).view(2, 5, 8, 48)[:, 3].flatten(0, 1).equal(finer)


def test_a_number_of_entries_may_be_written_with_a_point(folders):
    keys = json.loads((folders / "llama" / "config.json").read_text())
    (folders / "llama" / "config.json").write_text(json.dumps(keys | {"vocab_size": float(keys["vocab_size"])}))
    assert HuggingFaceSource(folders / "llama").vocab_size == keys["vocab_size"]
