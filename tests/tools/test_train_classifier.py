"""From examples to a model that `--filters classifier` asks."""

import csv
import json
import os
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.corpus.classifiers.figures import figures
from megatron_ext.corpus.classifiers.flags import groups
from megatron_ext.corpus.classifiers.model import Model
from megatron_ext.corpus.classifiers.train import train
from tests import texts
from tests.corpus.classifiers import cases

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = ["--fasttext-dimension", 8, "--fasttext-buckets", 1000]


def call(*arguments, tool="tools/train_classifier.py"):
    command = [sys.executable, str(ROOT / tool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def learn(*arguments):
    """As `call`, in this process: what it says, by its first column."""
    c = read(groups(), list(map(str, arguments)), "train_classifier.py", "").flat()
    return dict(train(SimpleNamespace(**c)))


def about(path):
    return json.loads(pathlib.Path(f"{path}.json").read_text())


@pytest.fixture
def argv(tmp_path):
    return [*cases.write(tmp_path, 150), *SMALL]


def test_the_model_and_what_is_said_of_it(tmp_path, argv):
    done = call(*argv, "--output", tmp_path / "new" / "quality.bin")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "new")) == ["quality.bin", "quality.bin.json"]
    said = about(tmp_path / "new" / "quality.bin")
    assert (said["kind"], said["name"], said["score_of"], said["features"]["dimension"]) == ("fasttext", "quality", "good", 8)
    assert (
        said["held_out"]["f1"] >= 0.95 and f"F1 {said['held_out']['f1']:.4f} of `good`" in done.stdout and "MB/s" in done.stdout
    )
    model = Model(str(tmp_path / "new" / "quality.bin"))
    for good, bad in zip(cases.prose()[200:230], cases.logs()[200:230]):
        assert 0 <= model.score(bad) < model.threshold <= model.score(good) <= 1


def test_one_seed_one_model(tmp_path, argv):
    found = {}
    for name, more in (("a", []), ("b", []), ("c", ["--seed", 2])):
        learn(*argv, "--name", "quality", "--output", tmp_path / name, *more)
        found[name] = (tmp_path / name).read_bytes()
        found[name, "said"] = about(tmp_path / name)
        del found[name, "said"]["held_out"]["megabytes_a_second"]
    assert found["a"] == found["b"] != found["c"] and found["a", "said"] == found["b", "said"]


def test_flags_change_what_is_learned(tmp_path, argv):
    found = {}
    for more in (
        [],
        ["--fasttext-dimension", 4],
        ["--fasttext-word-ngrams", 1],
        ["--fasttext-buckets", 500],
        ["--fasttext-min-count", 50],
        ["--fasttext-epochs", 1],
        ["--fasttext-learning-rate", 0.05],
        ["--no-fasttext-normalize"],
        ["--characters", 100],
    ):
        learn(*argv, "--output", tmp_path / "m.bin", *more)
        found[" ".join(map(str, more))] = (tmp_path / "m.bin").read_bytes()
    assert len(set(found.values())) == len(found)
    learn(*argv, "--output", tmp_path / "m.bin", "--fasttext-threads", 2, "--name", "well-made", "--score-of", "bad")
    assert about(tmp_path / "m.bin")["features"]["threads"] == 2
    model = Model(str(tmp_path / "m.bin"))
    assert model.name == "well-made" and model.score(cases.logs()[0]) > 0.9 > 0.1 > model.score(cases.prose()[0])


def test_thresholds_for_targets(tmp_path):
    """Two halves of one text cannot be told apart: recall is dear, and precision cannot be had."""
    good, bad = (texts.write_jsonl(tmp_path / f"{half}.jsonl", cases.prose()[half::2]) for half in (0, 1))
    argv = ["--good", good, "--bad", bad, *SMALL, "--held-out-every", 2, "--output", tmp_path / "m.bin"]
    said = {}
    for goal, target in (("f1", None), ("recall", 0.3), ("recall", 1)):
        lines = learn(*argv, "--threshold-for", goal, *([] if target is None else ["--target", target]))
        said[goal, target] = about(tmp_path / "m.bin")["threshold"]
        assert lines["threshold"].endswith("for best F1" if target is None else f"for recall of at least {target}")
    assert said["recall", 1] < said["recall", 0.3] and said["recall", 1] <= said["f1", None]
    learn(*argv, "--threshold-for", "precision", "--target", 0.5)
    assert about(tmp_path / "m.bin")["threshold_for"] == "precision"


def test_what_is_wrong_is_one_sentence_and_leaves_nothing(tmp_path, argv):
    before = sorted(os.listdir(tmp_path))
    (tmp_path / "few.jsonl").write_text('{"text": "a"}\n')
    for more, said in (
        (["--good", tmp_path / "few.jsonl"], "there are too few good documents (1)"),
        (["--text-key", "body"], "there is no good document to learn from"),
        (["--output", tmp_path / "few.jsonl" / "m.bin"], "cannot be written"),
        (["--fasttext-learning-rate", 1e30], "fastText could not learn (Encountered NaN"),
    ):
        done = call(*argv, "--output", tmp_path / "m.bin", *more)
        assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    for more, said in (
        (["--target", 0.9], "--target 0.9: has no effect with --threshold-for f1"),
        (["--threshold-for", "recall"], "--target: is missing for the threshold"),
        (["--threshold-for", "recall", "--target", 1.5], "--target 1.5: is out of range"),
        (["--classifier", "svm"], "expected one of "),
        (["--output", tmp_path], "is a folder"),
    ):
        done = call(*argv, "--output", tmp_path / "m.bin", *more)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "few.jsonl"])


@pytest.mark.full
def test_reference_prose_against_boiler_plate_and_logs(tmp_path):
    """docs/classifiers.md: Wikipedia and the language reference; licences, lists, logs; origins not seen before."""
    (wheel,) = pathlib.Path(sys.prefix, "gensim").glob("gensim-*.whl")
    done = call("--wikipedia", wheel, "--output", tmp_path, tool="examples/quality_examples.py")
    assert done.returncode == 0, done.stderr
    done = call("--good", tmp_path / "good.jsonl", "--bad", tmp_path / "bad.jsonl", "--output", tmp_path / "quality.bin")
    assert done.returncode == 0, done.stderr
    assert about(tmp_path / "quality.bin")["held_out"]["f1"] >= 0.95
    model, scores, good = Model(str(tmp_path / "quality.bin")), [], []
    for name in ("good", "bad"):
        for line in (tmp_path / f"{name}_unseen.jsonl").read_text().splitlines():
            scores.append(model.score(json.loads(line)["text"]))
            good.append(name == "good")
    found = figures(scores, good, model.threshold)
    print(done.stdout, found)
    assert min(sum(good), len(good) - sum(good)) > 100 and found.f1 >= 0.95


def test_jigsaw_s_form(tmp_path):
    """Comments with line ends and quotes, six labels; what is found is the toxic class."""
    rude = ["you are a stupid idiot", 'shut up, "genius", you moron\nand get lost', "what a pathetic loser you are"]
    kinds = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
    with open(tmp_path / "train.csv", "w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "comment_text", *kinds])
        for number, text in enumerate(cases.prose()[:500]):
            toxic = number % 2
            comment = f"{text[:80]}\n{rude[number % 3]}\n{text[80:120]}" if toxic else text[:160]
            writer.writerow([f"{number:016x}", comment, toxic, 0, 0, 0, int(number % 4 == 1), 0])
    argv = ["--labelled", tmp_path / "train.csv", "--label-keys", *kinds, "--text-key", "comment_text", "--score-of", "bad"]
    done = call(*argv, *SMALL, "--fasttext-epochs", 20, "--output", tmp_path / "toxicity.bin", "--threshold-for", "precision",
                "--target", 0.9)  # fmt: skip
    assert done.returncode == 0, done.stderr
    model = Model(str(tmp_path / "toxicity.bin"))
    assert model.score(f"{cases.prose()[510][:100]} {rude[0]}") > model.threshold > model.score(cases.prose()[511][:160])
    assert about(tmp_path / "toxicity.bin")["held_out"]["precision"] >= 0.85
