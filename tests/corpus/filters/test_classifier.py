"""--filters classifier, by models that the tool learns from documentation and logs."""

import json
import math
import pathlib
import shutil
import subprocess
import sys

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.classifiers.model import Model
from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.filters import classifier
from tests import texts
from tests.corpus.classifiers import cases
from tests.corpus.filters.case import judge, make, problems
from tests.tools.test_train_classifier import call

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROSE, LOG = cases.prose()[1], cases.logs()[1]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    argv = [*cases.write(folder), "--fasttext-dimension", 8, "--fasttext-buckets", 1000]
    assert call(*argv, "--output", folder / "quality.bin").returncode == 0
    assert call(*argv, "--output", folder / "noise.bin", "--score-of", "bad").returncode == 0
    return folder


def test_what_is_kept(models):
    quality, noise = models / "quality.bin", models / "noise.bin"
    for given, text, reason in (
        ([quality], PROSE, None),
        ([quality], LOG, "classifier_low"),
        ([noise], PROSE, None),
        ([noise], LOG, "classifier_high"),
        ([quality, "--classifier-keep", "below"], PROSE, "classifier_high"),
        ([quality, "--classifier-keep", "below"], LOG, None),
        ([noise, "--classifier-keep", "above"], PROSE, "classifier_low"),
        ([quality, "--classifier-threshold", 0], LOG, None),
        ([quality, noise], PROSE, None),
        ([quality, noise, "--classifier-threshold", 0, 0.5], LOG, "classifier_high"),
        ([quality, noise, "--classifier-threshold", 0, 0.5, "--classifier-keep", "above", "above"], LOG, None),
    ):
        assert judge(classifier, text, "--classifier-model", *given).reason == reason, given


def test_the_threshold_is_met_from_above(models):
    score = Model(str(models / "quality.bin")).score(PROSE)
    argv = ["--classifier-model", models / "quality.bin", "--classifier-threshold"]
    assert judge(classifier, PROSE, *argv, repr(score)).reason is None
    assert judge(classifier, PROSE, *argv, repr(math.nextafter(score, 2))).reason == "classifier_low" or score == 1
    assert judge(classifier, PROSE, *argv, repr(score), "--classifier-keep", "below").reason == "classifier_high"


def test_the_record_says_its_scores_up_to_the_first_no(models):
    argv = ["--classifier-model", models / "quality.bin", models / "noise.bin"]
    for text, names in ((PROSE, ["quality", "noise"]), (LOG, ["quality"])):
        document = Document("1", "web", {"text": text})
        verdict = make(classifier, *argv)(document)
        assert list(document.values) == ["text", *classifier.ADDS] and document.edited and document.text == text
        assert document.values["classifier_scores"] == {name: round(n, 4) for name, n in zip(names, verdict.numbers, strict=True)}
    document = Document("1", "web", {"text": PROSE})
    make(classifier, *argv, "--no-classifier-write")(document)
    assert not document.edited


def test_what_is_wrong_is_one_sentence(models, tmp_path):
    quality, noise = models / "quality.bin", models / "noise.bin"
    for argv, said in (
        ([], "--classifier-model: is missing for --filters classifier"),
        (["--classifier-model", tmp_path / "none"], "is not there; make it with tools/train_classifier.py"),
        (["--classifier-model", *[quality] * 5], "gives 5 models, at most 4"),
        (["--classifier-model", quality, "--classifier-threshold", 1.5], "--classifier-threshold ['1.5']: must be at most 1"),
        (["--classifier-model", quality, "--classifier-threshold", 0.1, 0.2], "gives 2 values for 1 models"),
        (["--classifier-model", quality, "--classifier-keep", "best"], "expected one of above, below"),
    ):
        (sentence,) = problems(classifier, *argv)
        assert said in sentence
    with pytest.raises(UserError, match="another model's score is called quality too"):
        make(classifier, "--classifier-model", quality, quality)
    (tmp_path / "m.bin").write_text("no model")
    argv = ["--classifier-model", tmp_path / "m.bin"]
    with pytest.raises(UserError, match=r"m.bin.json: cannot be read; it is written beside the model"):
        make(classifier, *argv)
    (tmp_path / "m.bin.json").write_text("{}")
    with pytest.raises(UserError, match="it is not what tools/train_classifier.py writes"):
        make(classifier, *argv)
    shutil.copy(models / "quality.bin.json", tmp_path / "m.bin.json")
    with pytest.raises(UserError, match="m.bin: is not the model that .*m.bin.json was written for"):
        make(classifier, *argv)
    shutil.copy(noise, tmp_path / "m.bin")
    with pytest.raises(UserError, match="is not the model"):
        make(classifier, *argv)


def test_in_a_run_rejects_and_receipt_tell(models, tmp_path):
    texts.write_jsonl(tmp_path / "a.jsonl", [PROSE, LOG, *cases.prose()[5:8]])
    tool = [sys.executable, ROOT / "tools" / "clean_corpus.py", "--input", tmp_path / "a.jsonl", "--output", tmp_path / "clean"]
    argv = ["--filters", "classifier", "--classifier-model", models / "quality.bin", models / "noise.bin"]
    done = subprocess.run(list(map(str, [*tool, *argv])), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    (step,) = [s for s in json.loads((tmp_path / "clean" / "receipt.json").read_text())["steps"] if s["name"] == "classifier"]
    assert {reason: counts[0] for reason, counts in step["dropped"].items()} == {"classifier_low": 1}
