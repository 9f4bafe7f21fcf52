"""--filters perplexity, by models that the tool learns from Python's library and from a Chinese novel's opening."""

import math
import random

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.filters import perplexity
from tests import texts
from tests.corpus.filters.case import CHINESE, judge, make, problems
from tests.tools.test_train_ngram import call


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    texts.write_jsonl(folder / "en.jsonl", texts.library_texts(120))
    texts.write_jsonl(folder / "zh.jsonl", CHINESE.split("，"))
    for name, more in (("any", []), ("en", ["--language", "en"]), ("zh", ["--language", "zh", "--units", "characters"])):
        corpus = folder / ("zh.jsonl" if name == "zh" else "en.jsonl")
        assert call("--input", corpus, "--output", folder / f"{name}.arpa", "--order", 3, *more).returncode == 0
    return folder


def likely():
    return texts.library_texts(120)[0]


def unlikely():
    """The same words in disorder, each line for itself."""
    chosen = random.Random(1)
    lines = [line.split() for line in likely().splitlines()]
    return "\n".join(" ".join(chosen.sample(words, len(words))) for words in lines)


def test_order_is_likelier_than_disorder(models):
    filter = make(perplexity, "--perplexity-models", models / "any.arpa", "--perplexity-keep", "head", "middle", "tail")
    order, disorder = (filter(Document("1", "web", {"text": text})).numbers[0] for text in (likely(), unlikely()))
    assert 1 < order < 0.8 * disorder


def test_bounds(models):
    argv = ["--perplexity-models", models / "any.arpa", "--perplexity-keep", "head", "middle", "tail"]
    found = judge(perplexity, likely(), *argv).numbers[0]
    for more, reason in (
        ([], None),
        (["--perplexity-max", found - 1], "perplexity_high"),
        (["--perplexity-max", found + 1], None),
        (["--perplexity-min", found + 1], "perplexity_low"),
        (["--perplexity-min", found - 1], None),
    ):
        assert judge(perplexity, likely(), *argv, *more).reason == reason


def test_buckets_are_shares_of_what_the_trainer_saw(models):
    """Of the documents held out, a third each by default; flags move the bounds."""
    held = texts.library_texts(120)[::20]
    argv = ["--perplexity-models", models / "any.arpa"]

    def kept(*more):
        filter = make(perplexity, *argv, *more)
        verdicts = [filter(Document("1", "web", {"text": text})) for text in held]
        assert {verdict.reason for verdict in verdicts} <= {None, "perplexity_bucket"}
        return sum(verdict.reason is None for verdict in verdicts)

    assert len(held) == 6
    assert [kept("--perplexity-keep", bucket) for bucket in ("head", "middle", "tail")] == [2, 2, 2]
    assert kept() == kept("--perplexity-keep", "head", "middle") == 4
    assert kept("--perplexity-head", 50, "--perplexity-keep", "head") == 3
    assert kept("--perplexity-tail", 50, "--perplexity-keep", "tail") == 3
    assert judge(perplexity, CHINESE, *argv).reason == "perplexity_bucket"


def test_a_document_is_asked_about_by_its_language_s_model(models):
    both = ["--perplexity-models", models / "en.arpa", models / "zh.arpa"]
    assert judge(perplexity, CHINESE, *both, language="zh").numbers[0] < 50
    assert judge(perplexity, CHINESE, *both, language="en").numbers[0] > 500
    for values in ({"language": "fr"}, {"language": 3}, {}):
        verdict = judge(perplexity, CHINESE, *both, **values)
        assert verdict.reason is None and math.isnan(verdict.numbers[0])
    assert judge(perplexity, CHINESE, *both, models / "any.arpa", language="fr").reason == "perplexity_bucket"


def test_the_record_says_its_bucket(models):
    argv = ["--perplexity-models", models / "any.arpa", "--perplexity-keep", "head", "middle", "tail"]
    document = Document("1", "web", {"text": CHINESE})
    verdict = make(perplexity, *argv, "--perplexity-write")(document)
    assert list(document.values) == ["text", *perplexity.ADDS] and document.values["perplexity_bucket"] == "tail"
    assert document.values["perplexity"] == round(verdict.numbers[0], 2)
    document = Document("1", "web", {"text": CHINESE})
    make(perplexity, *argv)(document)
    assert not document.edited


def test_a_text_without_units_is_kept(models):
    verdict = judge(perplexity, "\0 \n", "--perplexity-models", models / "any.arpa")
    assert verdict.reason is None and math.isnan(verdict.numbers[0])


def test_what_is_wrong_is_one_sentence(models, tmp_path):
    assert "--perplexity-models: is missing for --filters perplexity" in problems(perplexity)[0]
    assert "is not there" in problems(perplexity, "--perplexity-models", tmp_path / "none")[0]
    argv = ["--perplexity-models", models / "any.arpa"]
    assert "--perplexity-tail 20: is below --perplexity-head 30" in problems(
        perplexity, *argv, "--perplexity-head", 30, "--perplexity-tail", 20
    )[0]  # fmt: skip
    assert "--perplexity-max 1: is below --perplexity-min 2" in problems(
        perplexity, *argv, "--perplexity-min", 2, "--perplexity-max", 1
    )[0]  # fmt: skip
    (tmp_path / "m.arpa").write_text("no model")
    with pytest.raises(UserError, match=r"m.arpa.json: cannot be read; it is written beside the model by tools/train_ngram.py"):
        make(perplexity, "--perplexity-models", tmp_path / "m.arpa")
    (tmp_path / "m.arpa.json").write_text("{}")
    with pytest.raises(UserError, match="it is not what tools/train_ngram.py writes"):
        make(perplexity, "--perplexity-models", tmp_path / "m.arpa")
    (tmp_path / "m.arpa.json").write_bytes((models / "any.arpa.json").read_bytes())
    with pytest.raises(UserError, match="is no n-gram model that kenlm reads"):
        make(perplexity, "--perplexity-models", tmp_path / "m.arpa")
    with pytest.raises(UserError, match="is the second one for any language"):
        make(perplexity, "--perplexity-models", models / "any.arpa", models / "any.arpa")
