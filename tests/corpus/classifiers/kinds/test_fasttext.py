"""What fastText is given of a text, and that no text can pretend to be a label."""

from types import SimpleNamespace

import fasttext as peer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.classifiers.kinds import fasttext
from tests.corpus.classifiers import cases

FLAGS = vars(fasttext.Flags(fasttext_dimension=4, fasttext_buckets=1000))
C = SimpleNamespace(**FLAGS, seed=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("models") / "m.bin")
    pairs = [*((text, True) for text in cases.prose()[:100]), *((text, False) for text in cases.logs()[:100])]
    fasttext.train(lambda: pairs[::2] + pairs[1::2], path, C)
    return path


@pytest.fixture(scope="module")
def scorer(path):
    return fasttext.load(path, fasttext.features(C))


def test_scores_are_fasttext_s_own(path):
    model, score = peer.load_model(path), fasttext.load(path, fasttext.features(C))
    assert set(model.labels) == {"#label#0", "#label#1"}
    for text in (*cases.prose()[100:110], *cases.logs()[100:110], "Words, 1984.", "用GPU训练"):
        ((share, label),) = model.f.predict(fasttext._spaced(True)(text) + "\n", 1, 0.0, "strict")
        assert score(text) == pytest.approx(min(share if label == "#label#1" else 1 - share, 1), abs=1e-4)


def test_line_ends_are_spaces_and_case_does_not_count(path):
    score, text = fasttext.load(path, fasttext.features(C)), cases.prose()[101]
    assert score(text) == score(text.replace(" ", "\n")) == score(text.upper().lower())
    exact = fasttext.load(path, {**fasttext.features(C), "normalize": False})
    assert exact(text.upper()) != score(text.upper()) == score(text)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_has_a_score(scorer, text):
    assert 0 <= scorer(text) <= 1
    assert not any(word.startswith("#label#") for word in fasttext._spaced(True)(text + " #label#1 #label#0").split())


def test_a_text_that_looks_like_a_label_teaches_nothing(tmp_path):
    pairs = [*((f"{text} #label#0 __label__bad", True) for text in cases.prose()[:60]), *((t, False) for t in cases.logs()[:60])]
    fasttext.train(lambda: pairs, str(tmp_path / "m.bin"), C)
    assert sorted(peer.load_model(str(tmp_path / "m.bin")).labels) == ["#label#0", "#label#1"]
    score = fasttext.load(str(tmp_path / "m.bin"), fasttext.features(C))
    assert score(cases.prose()[70]) > 0.5 > score(cases.logs()[70])


def test_another_model_is_refused(tmp_path):
    (tmp_path / "lines").write_text("__label__a one two\n__label__b three four\n" * 20)
    peer.train_supervised(str(tmp_path / "lines"), thread=1, verbose=0, bucket=0, dim=4).save_model(str(tmp_path / "m.bin"))
    with pytest.raises(UserError, match="is no model of tools/train_classifier.py; its labels are __label__"):
        fasttext.load(str(tmp_path / "m.bin"), fasttext.features(C))
    (tmp_path / "m.bin").write_text("no model" * 100)
    with pytest.raises(UserError, match="is no fastText model"):
        fasttext.load(str(tmp_path / "m.bin"), fasttext.features(C))
