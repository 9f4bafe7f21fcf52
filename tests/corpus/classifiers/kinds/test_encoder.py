"""A small BERT that is learned from nothing, and fine-tuned further."""

import json

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.classifiers.kinds import encoder
from megatron_ext.corpus.classifiers.model import Model, fingerprint
from megatron_ext.corpus.filters import classifier
from tests.corpus.classifiers import cases
from tests.corpus.filters.case import judge
from tests.tools.test_train_classifier import about, learn

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]  # transformers takes 20 s to import
SMALL = ["--classifier", "encoder", "--encoder-hidden-size", 32, "--encoder-layers", 1, "--encoder-vocab-size", 500]
SMALL += ["--encoder-tokens", 32, "--encoder-learning-rate", 3e-3]


@pytest.fixture
def argv(tmp_path):
    return [*cases.write(tmp_path, 400), *SMALL]


def test_it_learns_and_the_filter_asks_it(tmp_path, argv):
    learn(*argv, "--output", tmp_path / "quality")
    assert about(tmp_path / "quality")["held_out"]["f1"] >= 0.95
    model = Model(str(tmp_path / "quality"))
    assert all(model.score(text) >= model.threshold for text in cases.prose()[:20])
    assert judge(classifier, cases.logs()[0], "--classifier-model", tmp_path / "quality").reason == "classifier_low"
    learn(*argv, "--output", tmp_path / "again")
    assert fingerprint(str(tmp_path / "again")) == fingerprint(str(tmp_path / "quality"))
    (tmp_path / "again" / "config.json").unlink()
    with pytest.raises(UserError, match="is not the model that"):
        Model(str(tmp_path / "again"))


def test_flags_change_what_is_learned(tmp_path, argv):
    found = {}
    for more in (
        [],
        ["--encoder-tokens", 16],
        ["--encoder-layers", 2],
        ["--encoder-hidden-size", 64],
        ["--encoder-vocab-size", 400],
        ["--encoder-epochs", 2],
        ["--encoder-batch-size", 16],
        ["--encoder-learning-rate", 1e-4],
        ["--seed", 2],
    ):
        learn(*argv, "--output", tmp_path / "m", "--encoder-epochs", 1, *more)
        found[" ".join(map(str, more))] = fingerprint(str(tmp_path / "m"))
    assert len(set(found.values())) == len(found)
    learn(*argv, "--output", tmp_path / "n", "--encoder-from", tmp_path / "m", "--encoder-epochs", 1)
    config = [json.loads((tmp_path / name / "config.json").read_text()) for name in "mn"]
    assert config[0]["vocab_size"] == config[1]["vocab_size"] and fingerprint(str(tmp_path / "n")) not in found.values()
    assert about(tmp_path / "n")["held_out"]["f1"] >= about(tmp_path / "m")["held_out"]["f1"] - 0.02


def without_padding(folder):
    """As the tokenizers of decoders are."""
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({key: value for key, value in config.items() if key != "pad_token"}))


def test_the_rate_is_another_where_weights_are_there(tmp_path):
    read_flags = lambda *argv: read([encoder.Flags], list(map(str, argv)), "encoder", "").encoder.encoder_learning_rate
    (tmp_path / "config.json").write_text("{}")
    given = ["--encoder-from", tmp_path]
    assert (read_flags(), read_flags(*given), read_flags(*given, "--encoder-learning-rate", 1e-3)) == (5e-4, 5e-5, 1e-3)


def test_what_is_wrong_is_one_sentence(tmp_path, argv):
    for more, said in (
        (["--encoder-from", tmp_path], "has no config.json"),
        (["--encoder-hidden-size", 48], "is no multiple of 32"),
        (["--encoder-learning-rate", 1e30], "its loss is not finite"),
    ):
        with pytest.raises(UserError, match=said):
            learn(*argv, "--output", tmp_path / "m", *more)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"--encoder-from .*: cannot be loaded"):
        learn(*argv, "--output", tmp_path / "m", "--encoder-from", tmp_path)
    learn(*argv, "--output", tmp_path / "short", "--encoder-epochs", 1)
    for more, said in ((["--encoder-tokens", 64], "--encoder-tokens 64: .*short reads 32 tokens"), ([], "has no padding token")):
        with pytest.raises(UserError, match=said):
            learn(*argv, "--output", tmp_path / "m", "--encoder-from", tmp_path / "short", *more)
        without_padding(tmp_path / "short")
    assert not (tmp_path / "m").exists()
