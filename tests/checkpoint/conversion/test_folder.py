"""A folder's files: cut short, missing, of another form; one sentence that names the file and the tensor."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint.conversion.folder import Folder

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}


@pytest.fixture
def folder(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    return tmp_path


def refusal(folder) -> str:
    with pytest.raises(UserError) as refused:
        Folder(folder)
    return str(refused.value)


def test_tensors_are_those_that_were_saved(folder):
    found = Folder(folder)
    assert found.entries.keys() == TENSORS.keys() and found.dtype() == torch.float32
    assert all(found.tensor(name).equal(tensor) for name, tensor in TENSORS.items())


def test_shards_are_found_by_the_index(tmp_path):
    save_file({"a": TENSORS["a"].bfloat16()}, tmp_path / "one.safetensors")
    save_file({"b": TENSORS["b"]}, tmp_path / "two.safetensors")
    places = {"a": "one.safetensors", "b": "two.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    found = Folder(tmp_path)
    assert found.tensor("b").equal(TENSORS["b"]) and found.dtype() == torch.bfloat16  # of most numbers
    places["c"] = "two.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert refusal(tmp_path) == f"{tmp_path}/two.safetensors: has no tensor c, which model.safetensors.index.json says it has"
    (tmp_path / "two.safetensors").unlink()
    assert refusal(tmp_path) == f"{tmp_path}/two.safetensors: is not there"


def test_one_file_goes_before_an_index_that_an_earlier_save_left(folder):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    assert Folder(folder).entries.keys() == TENSORS.keys()


@pytest.mark.parametrize("content", ["", "[]", '{"weight_map": 3}', "{}"])
def test_an_index_that_is_none(content, folder):
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    (folder / "model.safetensors.index.json").write_text(content)
    assert refusal(folder).startswith(f"{folder}/model.safetensors.index.json: cannot be read as an index of tensors")


def test_a_file_that_is_cut_short_names_the_tensor(folder):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for missing, tensor in ((1, "b"), (17, "a")):  # b's 16 bytes stand last
        file.write_bytes(whole[:-missing])
        said = f"is cut short within its tensor {tensor}: {len(whole) - missing} bytes, expected {len(whole)}"
        assert refusal(folder) == f"{file}: {said}"


@pytest.mark.parametrize(
    "content", [b"", b"\x05", b"\xff" * 64, b"\x02\x00\x00\x00\x00\x00\x00\x00[]", b"PK\x03\x04" + b"\x00" * 60]
)
def test_a_file_that_is_none(content, folder):
    (folder / "model.safetensors").write_bytes(content)
    assert refusal(folder).startswith(f"{folder}/model.safetensors: does not begin like a safetensors file")


def test_a_pickle_is_refused_with_the_way_out(tmp_path):
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    said = refusal(tmp_path)
    assert said.startswith(f"{tmp_path}/pytorch_model.bin: is a pickle, which can run any code, and is not read; ")
    assert "save_pretrained" in said


def test_a_folder_without_tensors(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: has neither model.safetensors nor model.safetensors.index.json"
