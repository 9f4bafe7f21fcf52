"""transformers 4.57 and 5 read an exported folder as the same model, though they have other keys for rotary positions."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from megatron_ext.checkpoint.conversion.families import family_of
from megatron_ext.checkpoint.conversion.settings import Settings
from megatron_ext.checkpoint.conversion.tokenizer_files import special_ids
from tests.parity.families import FAMILIES, LENGTH, VOCAB
from tests.parity.test_parity import perturbed

PACKAGES = pathlib.Path(sys.prefix) / "transformers_4"  # put there by: bash tests/run.sh
SCRIPT = pathlib.Path(__file__).with_name("transformers_4.py")


@pytest.fixture(scope="module")
def logits(tmp_path_factory):
    """Of 5 and of 4.57, by family: weights as transformers 5 saves them, under the config.json that an export has."""
    import json

    assert PACKAGES.is_dir(), f"{PACKAGES} is missing: bash tests/run.sh installs it"
    place = tmp_path_factory.mktemp("exported")
    tokens = torch.randint(0, VOCAB, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    save_file({"tokens": tokens}, place / "tokens.safetensors")
    five = {}
    for family in FAMILIES:
        model = perturbed(family())
        if getattr(model.config, "rope_parameters", None):  # another base than what 4.57 takes where it finds none
            model.config.rope_parameters = model.config.rope_parameters | {"rope_theta": 77.0}  # families share theirs
            weights = model.state_dict()
            model = type(model)(model.config)
            model.load_state_dict(weights)  # buffers too: routers' biases
        model.save_pretrained(place / family.__name__)
        five[family.__name__] = model.eval()(tokens).logits.detach()
        settings = Settings(model.config.to_dict())
        ours = family_of(settings).config(family_of(settings).flags(settings)) | {"vocab_size": VOCAB, "torch_dtype": "float32"}
        ours |= special_ids(place, None)
        (place / family.__name__ / "config.json").write_text(json.dumps(ours))
    folders = [str(place / name) for name in five]
    command = [sys.executable, str(SCRIPT), str(place / "tokens.safetensors"), str(place / "logits.safetensors"), *folders]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(PACKAGES)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    four = load_file(place / "logits.safetensors")
    return five, {name: four[str(place / name)] for name in five}


@pytest.mark.parametrize("name", [family.__name__ for family in FAMILIES])
def test_both_versions_have_the_same_logits(name, logits):
    five, four = logits
    assert (five[name] - four[name]).abs().max() <= 1e-5
