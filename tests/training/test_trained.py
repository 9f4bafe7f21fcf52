"""A run opens from any folder: its tokenizer is found from the run's folder up, or given; the rest of its flags is past."""

from __future__ import annotations

import os
import shutil

import pytest

from tests import texts
from tests.inference.case import opened
from tests.layouts.training_case import train_case
from tests.texts import byte_level_bpe_json
from tests.tokenizers.loaders.test_gpt2_bpe import write as write_gpt2
from tests.training.test_extended_vocabulary import damage

TRAIN = (
    "--preset tiny --num-layers 2 --seq-length 16 --train-iters 1 --mock-data --tokenizer-model words/tokenizer --log-interval 1"
).split()


def train_in(launch, folder, argv, save):
    """A run whose paths are relative to `folder`."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        train_case(launch, argv, save)
    finally:
        os.chdir(before)


def opened_in(launch, folder, argv, question):
    before = os.getcwd()
    os.chdir(folder)
    try:
        return opened(launch, [*argv, "--prompt", "a"], question)
    finally:
        os.chdir(before)


def vocabulary(trained, flags):
    return trained.tokenizer.vocab_size, trained.config.tokenizer.tokenizer_type


@pytest.fixture
def place(pool, tmp_path):
    """`place/work/words/tokenizer` and the run `place/work/runs/first`, trained in `work`."""
    words = tmp_path / "work" / "words" / "tokenizer"
    words.mkdir(parents=True)
    (words / "tokenizer.json").write_text(byte_level_bpe_json())
    pool.run(train_in, 1, tmp_path / "work", TRAIN, "runs/first")
    return tmp_path


def test_the_tokenizer_is_found_from_the_runs_folder_up(place, pool):
    """Where the checkpoint keeps none. Another tokenizer of that name where the tool is called does not come first."""
    damage(place / "work" / "runs" / "first", "tokenizer")
    other = place / "elsewhere" / "words" / "tokenizer"
    other.mkdir(parents=True)
    (other / "tokenizer.json").write_text(byte_level_bpe_json(400))
    load = ["--load", str(place / "work" / "runs" / "first")]
    for folder in ("/", place / "elsewhere", place / "work"):
        assert pool.run(opened_in, 1, folder, load, vocabulary)[0] == (600, "huggingface")
    assert pool.run(opened_in, 1, place / "work", ["--load", "runs/first/iter_0000001"], vocabulary)[0] == (600, "huggingface")


KEPT = {
    "tokenizer.json": (texts.byte_level_bpe_json, "words.json"),
    "sentencepiece": (texts.sentencepiece_model, "spm.model"),
    "ranks": (texts.tiktoken_file, "cl100k.tiktoken"),
    "Megatron-LM's ranks": (texts.megatron_tiktoken_file, "words.tiktoken.json"),
    "GPT-2's two files": (None, None),
}


def ids(trained, flags):
    return trained.tokenizer.fingerprint(), trained.tokenizer.encode(texts.HARD[2])


@pytest.mark.parametrize("kind", KEPT)
def test_a_checkpoint_keeps_its_tokenizer(kind, pool, tmp_path):
    """After the original is gone and the checkpoint alone was moved."""
    content, name = KEPT[kind]
    (tmp_path / "words").mkdir()
    if content is None:
        given = write_gpt2(tmp_path / "words")
    else:
        data = content()
        (tmp_path / "words" / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        given = ["--tokenizer-model", str(tmp_path / "words" / name)]
        given += ["--eod-token", "</s>"] if kind == "Megatron-LM's ranks" else []
    pool.run(train_case, 1, [word for word in TRAIN if "tokenizer" not in word] + given, str(tmp_path / "run"))
    load = ["--load", str(tmp_path / "run")]
    before = pool.run(opened_in, 1, "/", load, ids)
    shutil.rmtree(tmp_path / "words")
    assert pool.run(opened_in, 1, "/", load, ids) == before
    shutil.move(tmp_path / "run" / "iter_0000001", tmp_path / "moved")
    shutil.rmtree(tmp_path / "run")
    assert pool.run(opened_in, 1, "/", ["--load", str(tmp_path / "moved")], ids) == before


def test_a_damaged_tokenizer_is_a_damaged_checkpoint(place, pool):
    kept = place / "work" / "runs" / "first" / "iter_0000001" / "tokenizer" / "tokenizer.json"
    kept.write_text(kept.read_text().replace('"type"', '"tyPe"', 1))
    with pytest.raises(AssertionError, match="tokenizer.json: its checksum is not the one it was written with"):
        pool.run(opened_in, 1, "/", ["--load", str(place / "work" / "runs" / "first")], vocabulary)


def test_a_run_that_was_moved_takes_the_tokenizer_that_is_given(place, pool):
    """Of a checkpoint that keeps none, as they were before they did."""
    damage(place / "work" / "runs" / "first", "tokenizer")
    shutil.move(place / "work" / "runs" / "first", place / "moved")
    load = ["--load", str(place / "moved")]
    with pytest.raises(AssertionError, match="--tokenizer-model words/tokenizer: is not there"):
        pool.run(opened_in, 1, "/", load, vocabulary)
    given = ["--tokenizer-model", str(place / "work" / "words" / "tokenizer")]
    assert pool.run(opened_in, 1, "/", [*load, *given], vocabulary)[0] == (600, "huggingface")
    with pytest.raises(AssertionError, match="SentencePiece"):
        pool.run(opened_in, 1, "/", [*load, *given[:1], given[1] + "/tokenizer.json", "--tokenizer-type", "sentencepiece"],
                 vocabulary)  # fmt: skip


def test_another_vocabulary_is_refused(place, pool):
    (place / "larger").mkdir()
    (place / "larger" / "tokenizer.json").write_text(byte_level_bpe_json(900))
    argv = ["--load", str(place / "work" / "runs" / "first"), "--tokenizer-model", str(place / "larger")]
    with pytest.raises(AssertionError, match="embedding.word_embeddings.weight"):
        pool.run(opened_in, 1, "/", argv, vocabulary)


def layout(trained, flags):
    parallel = trained.config.parallel
    core = trained.model.config
    return parallel.tensor_model_parallel_size, parallel.sequence_parallel, core.sequence_parallel, core.context_parallel_size


def test_what_else_the_run_asked_for_is_past(place, pool):
    """The folder that it started from is gone, and it is used on another layout, without sequence and context parallelism."""
    argv = [*TRAIN, "--load", "runs/first", "--use-checkpoint-args", "--finetune"]
    argv += ["--tensor-model-parallel-size", "2", "--sequence-parallel", "--zero-stage", "1", "--context-parallel-size", "2"]
    pool.run(train_in, 4, place / "work", argv, "runs/second")
    shutil.rmtree(place / "work" / "runs" / "first")
    load = ["--load", str(place / "work" / "runs" / "second")]
    assert pool.run(opened_in, 1, "/", load, layout)[0] == (1, False, False, 1)
    assert pool.run(opened_in, 2, "/", [*load, "--tensor-model-parallel-size", "2"], layout) == [(2, False, False, 1)] * 2
