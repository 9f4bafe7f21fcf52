"""What the layers of multi-token prediction in DeepSeek-V3's folders predict is what transformers' own reader of them does."""

from __future__ import annotations

import json
import pathlib

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.parity.families import LENGTH, VOCAB, deepseek_v3
from tests.parity.reference import opened
from tests.parity.test_parity import perturbed

LAYER = "model.layers.3."


def save_with_further_layer(folder: pathlib.Path) -> None:
    """The last of four layers becomes the one that predicts further tokens, with what it has besides."""
    perturbed(deepseek_v3(layers=4)).save_pretrained(folder)
    tensors, keys = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    hidden = keys["hidden_size"]
    tensors |= {f"{LAYER}{name}.weight": 1 + 0.05 * torch.randn(hidden) for name in ("enorm", "hnorm", "shared_head.norm")}
    tensors[f"{LAYER}eh_proj.weight"] = 0.1 * torch.randn(hidden, 2 * hidden)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(keys | {"num_hidden_layers": 3, "num_nextn_predict_layers": 1}))


def cost(launch, folder, tokens):
    """Nats and targets of the further layer."""
    with opened(launch, folder) as (_, model):
        from megatron_ext.objectives import causal_lm

        batch = causal_lm.batch(tokens)
        arguments = {"labels": batch["labels"], "loss_mask": batch["loss_mask"]}
        model.train()(batch["input_ids"], batch["position_ids"], None, **arguments)
        (layer,) = model.mtp.layers
        return layer.take().tolist()


def test_further_predictions_are_transformers(pool, tmp_path):
    import transformers
    from transformers.modeling_layers import MtpModel

    torch.manual_seed(0)
    tokens = torch.randint(0, VOCAB, (2, LENGTH + 1))
    save_with_further_layer(tmp_path)
    main = transformers.DeepseekV3ForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    main._keys_to_ignore_on_load_unexpected = [r"model\.layers\.3.*"]  # it looks for DeepSeek's own 61, and for no other
    further = MtpModel.from_pretrained(main).eval()
    with torch.no_grad():
        hidden = main.model(tokens[:, :-2]).last_hidden_state
        positions = torch.arange(1, LENGTH)[None]
        ahead = further.forward_layer(0, hidden, positions, None, input_ids=tokens[:, 1:-1])
        nats = torch.nn.functional.cross_entropy(main.lm_head(ahead).flatten(0, 1), tokens[:, 2:].flatten(), reduction="sum")
    found, targets = pool.run(cost, 1, tmp_path, tokens)[0]
    assert targets == 2 * (LENGTH - 1)
    assert found == pytest.approx(nats.item(), rel=1e-6)
