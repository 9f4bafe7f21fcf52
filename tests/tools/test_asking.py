"""tools/generate.py and tools/evaluate.py on a small run of each objective: what they write, the same on two processes."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import tokenizers
import torch

from tests import texts
from tests.faults.bad_input import call
from tests.parity.encoder_decoders import T5
from tests.parity.test_parity import perturbed

TP2, PP2 = ["--tensor-model-parallel-size", "2"], ["--pipeline-model-parallel-size", "2"]
BEHIND = ["--encoder-num-layers", "2", "--decoder-num-layers", "2", "--encoder-seq-length", "48", "--decoder-seq-length", "48"]
PROMPT, INFILL = ["--prompt", "import os", "def add(a"], ["--infill", "def add(a, b):", "return a"]
FILL = ["--fill-mask", "import [MASK]\n", "[MASK] = [MASK] + 1"]
# Run: its flags, the layout that it is asked on besides one process, how it can be asked.
RUNS = {
    "causal_lm": ([], TP2, [PROMPT]),
    "fill_in_middle": ([], PP2, [PROMPT, INFILL]),
    "prefix_lm": ([], TP2, [PROMPT]),
    "span_corruption": (BEHIND, PP2, [PROMPT, INFILL, [*PROMPT, "--sequence-to-sequence"]]),
    "mixture_of_denoisers": (["--architecture", "prefix-decoder"], TP2, [PROMPT, INFILL]),
    "blank_infilling": ([], PP2, [PROMPT, INFILL]),
    "denoising": (BEHIND, TP2, [PROMPT, INFILL, FILL]),
    "masked_lm": (["--sentence-task", "sentence_order"], PP2, [FILL]),
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return texts.write_tokenizer_with_control_tokens(tmp_path_factory.mktemp("tokenizer"), 600)


def trained(pool, folder, tokenizer: str, objective: str) -> list[str]:
    """What opens a run of this objective."""
    flags = ["--objective", objective, "--tokenizer-type", "huggingface", "--tokenizer-model", tokenizer]
    flags += [] if BEHIND[0] in RUNS[objective][0] else ["--num-layers", "2", "--seq-length", "48"]
    base = "--preset tiny --mock-data --train-iters 1 --init-method-std 0.2 --max-position-embeddings 96".split()
    pool.run(train, 1, [*base, *flags, *RUNS[objective][0]], str(folder))
    return ["--load", str(folder), "--device", "cpu"]


def train(launch, argv: list[str], folder: str) -> None:
    from tests.layouts.training_case import train_case

    train_case(launch, argv, folder)


@pytest.mark.parametrize("objective", RUNS)
def test_each_objective_is_asked_and_scored(objective, pool, tokenizer, tmp_path):
    load, (_, layout, ways) = trained(pool, tmp_path / "run", tokenizer, objective), RUNS[objective]
    held = texts.write_jsonl(tmp_path / "held.jsonl", [text[:200] for text in texts.library_texts()[:5]])
    jobs = [
        ("tools/generate.py", [*way, *([] if objective == "masked_lm" else ["--max-new-tokens", "8"])], "--output")
        for way in ways
    ]
    jobs.append(("tools/evaluate.py", ["--documents", str(held), "--batch-size", "2"], "--json"))
    for number, (program, argv, output) in enumerate(jobs):
        written = []
        for processes, flags in ((1, []), (2, layout)):
            file = tmp_path / f"{number}_{processes}"
            found = pool.run(call, processes, program, [*load, *argv, *flags, output, str(file)])
            assert {status for status, _ in found} == {0}, found
            written.append(file.read_text())
        if output == "--output":
            check_answers(objective, argv, [list(map(json.loads, text.splitlines())) for text in written])
        else:
            check_figures(objective, *(json.loads(text)["sources"]["all"] for text in written))


def check_answers(objective: str, argv: list[str], written: list[list[dict]]) -> None:
    one, two = written
    if objective == "masked_lm":
        assert [len(record["masks"]) for record in one] == [1, 2]
        for ours, theirs in zip(one, two, strict=True):
            for mask, other in zip(ours["masks"], theirs["masks"], strict=True):
                assert [each["id"] for each in mask] == [each["id"] for each in other] and len(mask) == 5
                shares = [each["probability"] for each in mask]
                assert shares == pytest.approx([each["probability"] for each in other], abs=1e-6)
                assert shares == sorted(shares, reverse=True) and sum(shares) <= 1
        return
    assert one == two and len(one) == (1 if "--infill" in argv else 2)
    assert all(record["prompt"] in argv and len(record["ids"]) <= 8 for record in one)


def check_figures(objective: str, one: dict, two: dict) -> None:
    assert one == pytest.approx(two, rel=1e-5)
    assert ("bits_per_byte" in one) == (objective in ("causal_lm", "fill_in_middle"))
    assert ("nats_a_label" in one) == (objective != "causal_lm")
    if objective != "causal_lm":  # untrained, and sure of itself
        assert one["nats_a_label"] > math.log(600) / 2 > 0 and 0 < one["unigram_entropy"] < math.log(600)
        assert 0 <= one["labels_right"] < one["labels"] and one["documents"] == 5


def test_what_a_run_cannot_be_asked_is_said_and_nothing_is_written(pool, tokenizer, tmp_path):
    output = ["--output", str(tmp_path / "answers")]
    load = trained(pool, tmp_path / "run", tokenizer, "masked_lm")
    for argv, said in (
        (PROMPT, "--prompt 'import os': the run learnt --objective masked_lm, which continues no text; ask it with --fill-mask"),
        (INFILL, "--infill: the run learnt --objective masked_lm, which fills in no middle; load a run of"),
        ([*FILL, "--temperature", "2"], "--temperature: has no effect on an encoder, whose texts do not grow; leave it out"),
        (["--fill-mask", "import os"], "--fill-mask 'import os': has no [MASK]; put one where a word is to be found"),
        ([*FILL, "--sequence-to-sequence"], "--fill-mask and --sequence-to-sequence: contradict each other"),
        ([*FILL, *PROMPT], "--prompt and --fill-mask: contradict each other"),
    ):
        ((status, problem),) = pool.run(call, 1, "tools/generate.py", [*load, *argv, *output])
        assert status != 0 and said in problem and "Traceback" not in problem, problem
    assert not (tmp_path / "answers").exists()


def test_a_folder_of_transformers_answers_as_it_does_there(pool, tokenizer, tmp_path):
    """A T5 whose decoder is fed token 3 first."""
    import transformers

    torch.manual_seed(0)
    config = transformers.T5Config(**T5 | {"vocab_size": 600}, pad_token_id=0, eos_token_id=None)
    reference = perturbed(transformers.T5ForConditionalGeneration(config), 0.3)
    shutil.copytree(tokenizer, tmp_path / "t5")
    reference.save_pretrained(tmp_path / "t5")
    argv = ["--load", str(tmp_path / "t5"), "--device", "cpu", "--sequence-to-sequence", *PROMPT, "--ignore-eod"]
    found = pool.run(call, 1, "tools/generate.py", [*argv, "--max-new-tokens", "12", "--output", str(tmp_path / "out")])
    assert found[0][0] == 0, found
    records = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    encode = tokenizers.Tokenizer.from_file(f"{tokenizer}/tokenizer.json").encode
    for record, text in zip(records, PROMPT[1:], strict=True):
        given = torch.tensor([[*encode(text).ids, 0]])
        theirs = reference.generate(given, max_new_tokens=12, do_sample=False, eos_token_id=None, decoder_start_token_id=3)
        assert record["ids"] == theirs[0, 1:].tolist() and record["prompt"] == text
    assert records[0]["ids"] != records[1]["ids"]
