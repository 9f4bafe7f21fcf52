"""Short runs on real text, one for each objective, in the shape of the family that is known for it: their losses are as
committed, and what a model predicts of unseen documents it predicts better than one that knows how frequent each label is.

    pytest -n 0 tests/training/test_golden_losses.py --renew        # after a change that is meant to change them
"""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
import torch
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.tokenizers.loaders import huggingface
from tests import texts
from tests.training.golden_text import documents

GOLDEN = pathlib.Path(__file__).with_suffix(".json")
UPDATES, SAMPLES = 80, 16
FAMILIES = ("fim", "span_corruption", "ul2", "masks")
WITHIN = 5e-4  # of a loss, relative: processors round differently, and updates carry that on
RUN = (
    f"--preset tiny --device cpu --train-iters {UPDATES} --global-batch-size {SAMPLES} --micro-batch-size {SAMPLES} --lr 3e-3 "
    f"--lr-warmup-iters 10 --log-interval 20 --eval-interval {UPDATES} --eval-iters 4"
).split()
T5 = "--encoder-num-layers 2 --decoder-num-layers 2 --encoder-seq-length 128 --position-embedding-type t5_bias"
BART = (
    "--encoder-num-layers 2 --decoder-num-layers 2 --encoder-seq-length 128 --decoder-seq-length 128 --norm-placement post "
    "--normalization layernorm --position-embedding-type learned_absolute --embedding-norm --add-bias-linear --activation gelu "
    "--num-query-groups 4"
)
RUNS = {
    "causal_lm": "--num-layers 2 --seq-length 128",
    "prefix_lm": "--num-layers 2 --seq-length 128",
    "fill_in_middle": "--num-layers 2 --seq-length 128",
    "span_corruption": f"{T5} --decoder-seq-length 32 --activation relu",
    "mixture_of_denoisers": f"{T5} --decoder-seq-length 64 --activation swiglu",
    "blank_infilling": (
        "--num-layers 2 --seq-length 128 --norm-placement deepnorm --normalization layernorm --activation geglu "
        "--add-bias-linear --num-query-groups 4"
    ),
    "denoising": BART,
    "masked_lm": (
        "--num-layers 2 --seq-length 128 --normalization layernorm --position-embedding-type learned_absolute --add-bias-linear "
        "--add-output-bias --activation gelu --num-query-groups 4"
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    """Flags of the text: nine in ten documents to train on, and a tokenizer learned from them."""
    folder = tmp_path_factory.mktemp("data")
    found = documents()
    sets = {"valid": found[::10], "train": [text for place, text in enumerate(found) if place % 10]}
    learned = texts.write_tokenizer_with_control_tokens(folder, 1024, sets["train"], FAMILIES)
    tokenizer = huggingface.load(TokenizerFlags(tokenizer_model=learned, tokenizer_type="huggingface"))
    for name, own in sets.items():
        builder = IndexedDatasetBuilder(f"{folder / name}.bin", dtype=np.uint16)
        for text in own:
            ids = torch.tensor([*tokenizer.encode(text), tokenizer.eod])
            builder.add_document(ids, [len(ids)])
        builder.finalize(f"{folder / name}.idx")
    own = {"--data-path": str(folder / "train"), "--valid-data-path": str(folder / "valid"), "--tokenizer-model": learned}
    return [word for flag in own.items() for word in flag]


def train(launch, argv: list[str], folder: str) -> float:
    """A run; returns the entropy of its labels, in nats."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*argv, "--save", folder], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training import loop
        from megatron_ext.training.build import build

        run = build(config, device)
        loop.train(run)
        return _entropy_of_labels(run)


def _entropy_of_labels(run) -> float:
    counts = torch.zeros(run.tokenizer.vocab_size, dtype=torch.float64)
    for read in run.loader.batches(run.train_samples, 0, UPDATES):
        batch = run.objective.batch(read, run.reading)
        counts += torch.bincount(batch["labels"][batch["loss_mask"] > 0], minlength=len(counts))
    return torch.distributions.Categorical(counts).entropy().item()


@pytest.mark.parametrize("objective", RUNS)
def test_losses(objective, data, pool, tmp_path, request):
    (entropy,) = pool.run(train, 1, [*RUN, "--objective", objective, *RUNS[objective].split(), *data], str(tmp_path))
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    found = {"losses": [record["loss"] for record in records], "unseen": records[-1]["eval_loss"], "entropy": entropy}
    assert found["unseen"] < entropy
    if request.config.getoption("--renew"):
        renew(objective, found)
    assert found == {name: pytest.approx(value, rel=WITHIN) for name, value in json.loads(GOLDEN.read_text())[objective].items()}


def renew(objective: str, found: dict) -> None:
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    known[objective] = {name: np.round(value, 4).tolist() for name, value in found.items()}
    GOLDEN.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
