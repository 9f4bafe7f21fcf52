"""Nothing that a pickle names is run."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
from argparse import Namespace

import pytest
import torch
from torch.distributed.checkpoint.metadata import Metadata, TensorProperties

from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint import safe_pickle
from megatron_ext.models.config import ModelConfig


class Attack:
    def __init__(self, function, *given):
        self.function, self.given = function, given

    def __reduce__(self):
        return self.function, self.given


@pytest.mark.parametrize("function", [os.system, subprocess.check_call, eval])
def test_a_call_is_not_made(function, tmp_path):
    made = tmp_path / "made"
    given = f"open({str(made)!r}, 'w')" if function is eval else f"touch {made}"
    found = safe_pickle.load(io.BytesIO(pickle.dumps({"a": Attack(function, given), "b": 2})), "here")
    assert found["b"] == 2 and isinstance(found["a"], safe_pickle.Inert)
    assert not made.exists()


def test_what_holds_data_is_read():
    wanted = Metadata({"x": TensorProperties(torch.bfloat16)}, storage_data={torch.Size([1, 2]): 3})
    found = safe_pickle.load(io.BytesIO(pickle.dumps(wanted)), "here")
    assert found == wanted


def test_a_file_of_torch_save_with_arguments(tmp_path):
    """Plain values are read; a tensor, an object of a class and a function become inert."""
    arguments = Namespace(num_layers=7, normalization="RMSNorm", dtype=torch.float16, f=torch.nn.functional.silu)
    torch.save({"args": arguments, "t": torch.ones(3), "c": ModelConfig}, tmp_path / "common.pt")
    found = safe_pickle.load_torch_file(tmp_path / "common.pt")
    assert found["args"].num_layers == 7 and found["args"].normalization == "RMSNorm" and found["args"].dtype == torch.float16
    assert isinstance(found["t"], safe_pickle.Inert) and "silu" in found["args"].f.name


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2, 3])[:-4]])
def test_what_is_no_pickle_is_one_sentence(content, tmp_path):
    with pytest.raises(UserError, match="here: is damaged or no pickle"):
        safe_pickle.load(io.BytesIO(content), "here")
    (tmp_path / "f.pt").write_bytes(content)
    with pytest.raises(UserError, match="f.pt: cannot be read"):
        safe_pickle.load_torch_file(tmp_path / "f.pt")
