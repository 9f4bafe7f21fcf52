"""`--extend-vocab-from` in a run: what it says, that it goes on like any other, and what it refuses."""

from __future__ import annotations

import json
import shutil

import pytest

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.training.configuration import read_configuration
from tests import texts
from tests.tokenizers.test_vocabulary_change import load, wordpiece
from tests.training.test_huggingface import records, said

SHAPE = "--preset tiny --num-layers 2 --seq-length 16".split()
RUN = "--mock-data --train-iters 4 --micro-batch-size 2 --lr-decay-style constant --lr-warmup-iters 0 --min-lr 1e-4".split()


@pytest.fixture(scope="module")
def place(pool, tmp_path_factory):
    """`earlier`, a run; `old` and `new`, the folders of tokenizers; `alike`, another one of the earlier one's size."""
    place = tmp_path_factory.mktemp("place")
    contents = {"old": texts.byte_level_bpe_json(), "new": texts.bilingual_bpe_json(), "alike": texts.bilingual_bpe_json(600)}
    for name, content in contents.items():
        load(place / name, content)
    said_of(pool, place, [*SHAPE, "--tokenizer-model", str(place / "old")], "earlier")
    return place


def said_of(pool, place, argv, save):
    return pool.run(said, 1, [*RUN, *argv], str(place / save))[0]


def test_it_says_what_became_of_the_rows_and_goes_on(place, pool):
    argv = ["--use-checkpoint-args", "--tokenizer-model", str(place / "new"), "--extend-vocab-from", str(place / "earlier")]
    text = said_of(pool, place, [*argv, "--exit-interval", "2"], "later")
    assert "vocabulary of 700 rows, from one of 600: " in text and "starting from the weights of" in text
    said_of(pool, place, argv, "straight")
    text = said_of(pool, place, argv, "later")
    assert "resuming after iteration 2" in text and "vocabulary of 700 rows, from" not in text
    names = ("iteration", "loss", "grad_norm")
    straight, stopped = ([[each[name] for name in names] for each in records(place / run)] for run in ("straight", "later"))
    assert straight == stopped and [each[0] for each in straight] == [1, 2, 3, 4]
    assert "--vocab-size" not in (place / "later" / "run.yaml").read_text()


def test_another_tokenizer_of_the_same_size_is_refused(place, pool):
    """Its shapes fit, and each row would be another token's: whether the run goes on, or only the weights are taken."""
    for argv in ([*SHAPE, "--load", str(place / "earlier")], [*SHAPE, "--load", str(place / "earlier"), "--finetune"]):
        text = said_of(pool, place, [*argv, "--tokenizer-model", str(place / "alike")], "refused")
        assert "was trained with another tokenizer, whose ids stand for other texts; give its own (" in text
        assert "iter_0000004/tokenizer), or --extend-vocab-from in place of --load" in text
    renamed = texts.byte_level_bpe_json().replace("<|endoftext|>", "<|eos|>")  # a control token may be called otherwise
    load(place / "renamed", renamed)
    argv = [*SHAPE, "--finetune", "--load", str(place / "earlier"), "--tokenizer-model", str(place / "renamed")]
    assert "done: 4 update(s)" in said_of(pool, place, argv, "renamed_run")


def test_the_tokenizer_is_the_checkpoints_own(place, pool):
    """It is read from the checkpoint, after the original is gone; one that it was not trained with is refused."""
    argv = [*SHAPE, "--tokenizer-model", str(place / "new"), "--extend-vocab-from", str(place / "earlier")]
    text = said_of(pool, place, [*argv, "--extend-vocab-tokenizer", str(place / "alike")], "refused")
    assert "iter_0000004: was trained with another tokenizer" in text
    shutil.copytree(place / "earlier", place / "moved")
    moved = [*argv[:-1], str(place / "moved")]
    (place / "old").rename(place / "gone")
    try:
        assert "done: 4 update(s)" in said_of(pool, place, moved, "from_moved")
        damage(place / "moved", "tokenizer")
        text = said_of(pool, place, moved, "refused")
        assert "its tokenizer is not to be had; name it with --extend-vocab-tokenizer (--tokenizer-model" in text
        given = ["--extend-vocab-tokenizer", str(place / "gone" / "tokenizer.json")]
        assert "done: 4 update(s)" in said_of(pool, place, [*moved, *given], "from_given")
    finally:
        (place / "gone").rename(place / "old")


def test_a_run_takes_its_tokenizer_from_its_checkpoint(place, pool):
    """After the original is gone, with --use-checkpoint-args; another one that splits text otherwise is said."""
    shutil.copytree(place / "earlier", place / "alone")
    more = ["--train-iters", "6", "--override-opt-param-scheduler", "--global-batch-size", "8"]
    (place / "old").rename(place / "gone")
    try:
        text = said_of(pool, place, [*more, "--use-checkpoint-args"], "alone")
        assert "resuming after iteration 4" in text and "updates differ" not in text
    finally:
        (place / "gone").rename(place / "old")
    otherwise = json.loads(texts.byte_level_bpe_json())
    otherwise["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\s+|\S+"
    load(place / "otherwise", json.dumps(otherwise))
    more = [*SHAPE, "--tokenizer-model", str(place / "otherwise"), "--train-iters", "8", *more[2:]]
    text = said_of(pool, place, more, "alone")
    assert "updates differ from now on: the tokenizer splits text otherwise, or another token ends a document" in text


def damage(run, name):
    """Take a folder out of a run's checkpoint, as an earlier version would have saved it."""
    from megatron_ext.checkpoint import manifest

    (checkpoint,) = run.glob("iter_*")
    shutil.rmtree(checkpoint / name)
    content = manifest.read(checkpoint)
    content["files"] = {file: entry for file, entry in content["files"].items() if not file.startswith(name)}
    manifest.write(checkpoint, content)


def test_what_does_not_fit_is_refused(place, pool):
    argv = ["--extend-vocab-from", str(place / "earlier")]
    text = said_of(pool, place, [*SHAPE, "--hidden-size", "32", "--tokenizer-model", str(place / "new"), *argv], "refused")
    assert "was saved with another architecture" in text and "--hidden-size was 64, is 32" in text and "vocab" not in text
    load(place / "words", wordpiece(["be"], "abcdefg"))
    text = said_of(pool, place, [*SHAPE, "--tokenizer-model", str(place / "words"), *argv], "refused")
    assert "tokens of the earlier tokenizer are bytes, those of the new one parts of words" in text
    said_of(pool, place, [*SHAPE, "--vocab-size", "300"], "numbers")
    argv = [*SHAPE, "--tokenizer-model", str(place / "new"), "--extend-vocab-from"]
    text = said_of(pool, place, [*argv, str(place / "numbers")], "refused")
    assert "it has no tokenizer that tells what its ids stand for" in text
    (place / "empty").mkdir()
    text = said_of(pool, place, [*argv, str(place / "empty")], "refused")
    assert text.endswith("empty: there is no whole checkpoint in this folder")
    assert not list(place.glob("refused/iter_*"))


@pytest.mark.parametrize(("line", "problem"), [
    ("--extend-vocab-from none", "--extend-vocab-from none: is no folder"),
    ("--extend-vocab-from . --load ..", "--extend-vocab-from .: and --load ..: a run starts from one of them"),
    ("--extend-vocab-from . --save ./", "--extend-vocab-from .: is this run's own folder, which keeps its vocabulary"),
    ("--extend-vocab-tokenizer x", "--extend-vocab-tokenizer x: has no effect without --extend-vocab-from"),
    ("--extend-vocab-from . --extend-vocab-tokenizer x", "--extend-vocab-tokenizer x: is not there"),
    ("--extend-vocab-from run/iter_0000004 --ckpt-step 4", "chooses from a run's folder, and --extend-vocab-from run/iter_"),
    ("--extend-vocab-from run/iter_0000004 --save run", "--extend-vocab-from run/iter_0000004: is a checkpoint of this run's"),
])  # fmt: skip
def test_flags_that_contradict(line, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "iter_0000004").mkdir(parents=True)
    (tmp_path / "run" / "iter_0000004" / "manifest.json").write_text(json.dumps({}))
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*SHAPE, *RUN, "--vocab-size", "300", *line.split()], 1)
    assert problem in str(error.value)


def test_ckpt_step_chooses_and_a_megatron_script_may_load_what_it_saves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "earlier").mkdir()
    line = "--extend-vocab-from earlier --ckpt-step 4 --save run --load run"
    assert read_configuration([*SHAPE, *RUN, "--vocab-size", "300", *line.split()], 1).checkpoint.ckpt_step == 4
