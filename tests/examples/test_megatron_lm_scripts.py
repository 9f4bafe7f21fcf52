"""Megatron-LM's official command lines in miniature, through the real programs: what is appended shrinks them."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest
import yaml

from tests import texts
from tests.arguments.megatron_lm.lines import GPT3_175B, LLAMA3_8B, words
from tests.tokenizers.loaders import test_gpt2_bpe

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What only a GPU computes.
ON_A_GPU = {"--fp8-format": 1, "--fp8-amax-history-len": 1, "--fp8-amax-compute-algo": 1, "--fp8-param-gather": 0}
SMALL = """
    --attention-backend auto --num-layers 2 --hidden-size 32 --num-attention-heads 4 --seq-length 32 --max-position-embeddings 32
    --global-batch-size 4 --tensor-model-parallel-size 1 --log-interval 1 --eval-iters 1 --device cpu
"""
LLAMA = """
    --ffn-hidden-size 64 --num-query-groups 2 --kv-channels 8 --train-samples 12 --lr-decay-samples 12 --lr-warmup-samples 4
    --vocab-size 200 --eval-interval 2 --save-interval 2 --profile-step-start 1 --profile-step-end 2 --empty-unused-memory-level 0
"""
GPT3 = """
    --pipeline-model-parallel-size 1 --train-iters 3 --lr-decay-iters 3 --eval-interval 2 --save-interval 2
    --rampup-batch-size 2 2 4
"""


def run(program: str, *argv, cwd: pathlib.Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / program), *map(str, argv)], capture_output=True, text=True, cwd=cwd, timeout=110
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def records(folder: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]


def resolved_flags(folder: pathlib.Path) -> dict:
    found = yaml.safe_load((folder / "run" / "run.yaml").read_text())
    return found | found.get("derived", {})


def test_llama_3_8b(tmp_path):
    line = words(LLAMA3_8B + SMALL + LLAMA, tmp_path, ON_A_GPU)
    shown = run("pretrain_gpt.py", *line)
    first, second, *_ = shown.splitlines()
    assert first.startswith("Megatron-LM's defaults hold, since --use-mcore-models is its own: normalization layernorm")
    assert second.startswith("without effect: --use-mcore-models (there are no other models)")
    assert "--sequence-parallel is off" in shown
    found = records(tmp_path)
    assert [record["iteration"] for record in found] == [1, 2, 3]
    assert "eval_loss" in found[1]
    resolved = resolved_flags(tmp_path)
    assert (resolved["normalization"], resolved["activation"], resolved["num_query_groups"]) == ("layernorm", "swiglu", 2)
    assert (resolved["megatron_defaults"], resolved["zero_stage"], resolved["bf16"]) == (True, 1, True)
    assert (resolved["apply_layernorm_1p"], resolved["decoupled_lr"], resolved["lr_warmup_samples"]) == (True, 5e-4, 4)


@pytest.fixture
def corpus(tmp_path):
    """`corpus_text_document.bin/.idx`, made as Megatron-LM's users make it, and the vocabulary's two files."""
    files = test_gpt2_bpe.write(tmp_path)
    (tmp_path / "vocab.json").rename(tmp_path / "gpt2-vocab.json")
    (tmp_path / "merges.txt").rename(tmp_path / "gpt2-merges.txt")
    files = ["--vocab-file", tmp_path / "gpt2-vocab.json", "--merge-file", tmp_path / "gpt2-merges.txt"]
    texts.write_jsonl(tmp_path / "corpus.json.jsonl", texts.library_texts())
    shown = run(
        "tools/preprocess_data.py", "--input", tmp_path / "corpus.json.jsonl", "--output-prefix", tmp_path / "corpus", *files,
        *"--tokenizer-type GPT2BPETokenizer --append-eod --workers 1 --partitions 1 --dataset-impl mmap".split(),
    )  # fmt: skip
    assert shown.startswith("without effect: --partitions (documents keep their order")
    return tmp_path


def test_gpt_3_175b(corpus):
    line = words(GPT3_175B + SMALL + GPT3, ".", ON_A_GPU)
    shown = run("pretrain_gpt.py", *line, cwd=corpus)
    assert shown.startswith(
        "Megatron-LM's defaults hold, since --vocab-file is its own: normalization layernorm, activation gelu_tanh"
    )
    assert [record["iteration"] for record in records(corpus)] == [1, 2, 3]
    resolved = resolved_flags(corpus)
    assert (resolved["add_bias_linear"], resolved["hidden_dropout"], resolved["tokenizer_type"]) == (True, 0.1, "gpt2_bpe")
    assert (resolved["ffn_hidden_size"], resolved["fp16"], resolved["rampup_batch_size"]) == (128, True, [2, 2, 4])
    # The tokenizer's two files are found from the run's folder up, and the model computes in fp16 here too.
    text = run("tools/generate.py", "--load", corpus / "run", *"--prompt import --max-new-tokens 3 --device cpu".split())
    assert text.startswith("import")
