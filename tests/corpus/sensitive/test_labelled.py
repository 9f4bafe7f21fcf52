"""Recall and precision by kind and language on the generated set, which is honest: as many near misses as values, varied."""

import collections
import random

import pytest

from megatron_ext.corpus.sensitive import KINDS
from tests.corpus.sensitive import labelled
from tests.corpus.sensitive.near_misses import near_misses
from tests.corpus.sensitive.values import VALUES

COUNT, SEED = 1200, 1


@pytest.fixture(scope="module")
def measured():
    return {language: labelled.measure(language, COUNT, SEED) for language in labelled.LANGUAGES}


@pytest.mark.parametrize("language", labelled.LANGUAGES)
@pytest.mark.parametrize("kind", list(KINDS))
def test_recall_and_precision(measured, kind, language):
    counts, mistakes = measured[language]
    true, found, right = counts[kind]
    own = [each for each in mistakes if each[1] == kind]
    assert true >= 200
    assert right / true >= 0.98, own
    assert right / found >= 0.95, own


@pytest.mark.parametrize("language", labelled.LANGUAGES)
def test_the_set_is_varied_and_labelled_rightly(language):
    values, alike = collections.defaultdict(set), collections.defaultdict(set)
    draw = random.Random(0)
    for text, truth in labelled.documents(language, COUNT, SEED):
        assert len(truth) == 2
        for kind, start, end in truth:
            values[kind].add(text[start:end])
            alike[kind].add(near_misses(draw, language, kind))
    for kind in KINDS:
        assert len(labelled.FRAMES[language, kind]) >= 7, kind
        assert len(values[kind]) >= 100 and len(alike[kind]) >= 7, kind
    assert set(values) == set(KINDS) == set(VALUES)


def test_the_set_is_a_function_of_its_seed():
    one, again, other = (list(labelled.documents("chinese", 5, seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_near_misses_are_as_many_as_values(monkeypatch):
    """Each document has one for both of its values' kinds, and one more."""
    asked = collections.Counter()
    real = labelled.near_misses

    def counted(draw, language, kind):
        asked[kind] += 1
        return real(draw, language, kind)

    monkeypatch.setattr(labelled, "near_misses", counted)
    truth = collections.Counter(kind for _, each in labelled.documents("english", 400) for kind, *_ in each)
    assert all(asked[kind] >= truth[kind] for kind in KINDS) and sum(asked.values()) == 1200
