"""Slopes against transformers' BLOOM and MPT, and the bias against its formula."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from megatron_ext.models.positions.alibi import Bias, slopes


@pytest.mark.compares("slopes of transformers' BLOOM and MPT", within="1e-6", position_embedding_type=["alibi"])
@pytest.mark.parametrize("heads", [1, 2, 3, 6, 7, 8, 12, 32, 71, 112])
def test_slopes_are_blooms_and_mpts(heads):
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor
    from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

    bloom = build_alibi_tensor(torch.ones(1, 3), heads, torch.float32)  # slope · position
    torch.testing.assert_close(slopes(heads), bloom[:, 0, 1])
    mpt = build_mpt_alibi_tensor(heads, 3)
    torch.testing.assert_close(slopes(heads), mpt[:, 0, 1] - mpt[:, 0, 0])


@pytest.mark.parametrize("scaled", [False, True])
def test_bias_of_some_heads(scaled, monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: "cpu")
    config = SimpleNamespace(num_attention_heads=6, kv_channels=16, alibi_scale_by_head_dim=scaled)
    bias = Bias(config, first=2, heads=3)()
    query, key = torch.arange(4, 9)[:, None], torch.arange(7)[None]
    found = bias(query, key)
    for head in range(3):
        slope = float(slopes(6)[2 + head]) / (math.sqrt(16) if scaled else 1)
        for i, q in enumerate(range(4, 9)):
            for k in range(q + 1):
                if k < 7:
                    assert found[head, i, k].item() == pytest.approx(-slope * (q - k), rel=1e-6)
    rows = bias(torch.tensor([[[4]], [[6]]]), key)
    assert rows.shape == (2, 3, 1, 7)
    torch.testing.assert_close(rows[1], bias(torch.tensor([[6]]), key))
