"""Against the paper's formula in a loop, and against transformers' Marian, which keeps sines and cosines apart."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from megatron_ext.models.positions.sinusoidal import Embedding


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: "cpu")


@pytest.mark.compares("its formula in a loop", within="1e-6", position_embedding_type=["sinusoidal"])
@pytest.mark.parametrize("width", [8, 7])
def test_it_is_the_papers(width):
    positions = torch.tensor([[0, 1, 2, 300], [7, 7, 0, 65535]])
    found = Embedding(SimpleNamespace(hidden_size=width, params_dtype=torch.float32))(positions)
    for row, column in ((row, column) for row in range(2) for column in range(4)):
        for channel in range(width):
            angle = positions[row, column].item() / 10000 ** (2 * (channel // 2) / width)
            expected = math.cos(angle) if channel % 2 else math.sin(angle)
            assert found[row, column, channel].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.compares("transformers' Marian", within="1e-5", position_embedding_type=["sinusoidal"])
def test_it_is_marians_in_another_order():
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    theirs = MarianSinusoidalPositionalEmbedding(50, 12)
    theirs.weight.data.copy_(theirs.create_weight())
    ours = Embedding(SimpleNamespace(hidden_size=12, params_dtype=torch.float32))(torch.arange(50)[None])[0]
    torch.testing.assert_close(torch.cat([ours[:, 0::2], ours[:, 1::2]], dim=1), theirs.weight, rtol=0, atol=1e-5)
