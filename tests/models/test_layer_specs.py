"""Transformer Engine's layer specs construct, and give every parameter the name and shape that the local spec gives it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = pathlib.Path(sys.prefix) / "transformer_engine"  # put there by: bash tests/run.sh --full
MODELS = {
    "llama": "",
    "gpt": "--normalization layernorm --activation gelu --add-bias-linear --position-embedding-type learned_absolute",
    "experts": "--num-experts 4",
    "dense layers, shared experts, further predictions": (
        "--num-experts 4 --moe-layer-freq [0]+[1]*3 --moe-shared-expert-intermediate-size 64 --moe-shared-expert-gate "
        "--moe-router-score-function sigmoid --moe-router-enable-expert-bias --mtp-num-layers 1"
    ),
    "torch's attention": "--attention-backend local",
}


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
def test_transformer_engines_specs_name_what_the_local_ones_do(model):
    assert PACKAGES.is_dir(), f"{PACKAGES} is missing: bash tests/run.sh --full installs it"
    command = [sys.executable, str(pathlib.Path(__file__).with_name("transformer_engine_specs.py")), "--preset", "tiny"]
    environ = os.environ | {"PYTHONPATH": f"{PACKAGES}{os.pathsep}{ROOT}"}
    result = subprocess.run([*command, *MODELS[model].split()], env=environ, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["transformer_engine"] == found["local"]
    assert len(found["local"]) > 20
    assert found["attends"] == ["CoreAttention" if model == "torch's attention" else "TEDotProductAttention"]
