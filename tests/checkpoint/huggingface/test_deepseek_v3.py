"""DeepSeek-V3's folders: biases stay in fp32, copies of the embedding are left out, further layers are counted by tensors."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from tests.checkpoint.huggingface.test_families import DEFAULTS, exported, imported
from tests.parity.test_further_predictions import LAYER, save_with_further_layer

COPIES = {"embed_tokens": "model.embed_tokens.weight", "shared_head.head": "lm_head.weight"}


@pytest.fixture
def folder(tmp_path):
    """As DeepSeek writes it."""
    save_with_further_layer(tmp_path / "theirs")
    tensors = load_file(tmp_path / "theirs" / "model.safetensors")
    tensors |= {f"{LAYER}{name}.weight": tensors[of].clone() for name, of in COPIES.items()}
    save_file(tensors, tmp_path / "theirs" / "model.safetensors")
    return tmp_path / "theirs"


def to_and_fro(launch, place) -> None:
    """theirs → a run → half, in 16 bits → a run → back."""
    from megatron_ext.training.conversion import to_huggingface

    imported(launch, [(place / "theirs", place / "run")])
    flags = DEFAULTS | {"from_": str(place / "run"), "to_hf": str(place / "half"), "dtype": "bf16"}
    to_huggingface(SimpleNamespace(**flags))
    imported(launch, [(place / "half", place / "again")])
    exported(launch, [(place / "again", place / "back")])


@pytest.mark.timeout(300)
def test_biases_stay_in_fp32(folder, pool, tmp_path):
    pool.run(to_and_fro, 1, tmp_path, timeout=250)
    theirs, *ours = (
        {name: tensor for file in (tmp_path / place).glob("*.safetensors") for name, tensor in load_file(file).items()}
        for place in ("theirs", "half", "back")
    )
    for found in ours:  # "back" is of the type that "half" is, for its run is
        assert found.keys() == theirs.keys() - {f"{LAYER}{name}.weight" for name in COPIES}
        for name, tensor in found.items():
            dtype = torch.float32 if name.endswith("e_score_correction_bias") else torch.bfloat16
            assert tensor.dtype == dtype and tensor.equal(theirs[name].to(dtype)), name
    index = json.loads((tmp_path / "half" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in ours[0].values())


def test_further_layers_are_those_that_are_there(folder):
    """transformers saves the model without them, and config.json goes on counting."""
    assert HuggingFaceSource(folder).values["mtp_num_layers"] == 1
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor for name, tensor in tensors.items() if not name.startswith(LAYER)}, folder / "model.safetensors")
    assert json.loads((folder / "config.json").read_text())["num_nextn_predict_layers"] == 1
    assert HuggingFaceSource(folder).values["mtp_num_layers"] is None
