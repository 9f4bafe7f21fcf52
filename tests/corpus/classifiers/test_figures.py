"""Figures and thresholds against a naive search over every threshold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.classifiers.figures import choose, figures

DOCUMENTS = st.lists(st.tuples(st.sampled_from([n / 20 for n in range(21)]), st.booleans()), min_size=2, max_size=40).filter(
    lambda found: {scored for _, scored in found} == {True, False}
)


def naive(documents, threshold):
    said = [scored for score, scored in documents if score >= threshold]
    right, true = sum(said), sum(scored for _, scored in documents)
    precision, recall = right / len(said) if said else 0, right / true
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0


@given(DOCUMENTS, st.floats(0, 1))
def test_figures_are_their_definitions(documents, threshold):
    assert figures(*zip(*documents), threshold) == pytest.approx(naive(documents, threshold))


@given(DOCUMENTS, st.sampled_from(["f1", "precision", "recall"]), st.floats(0.05, 1))
def test_no_other_threshold_serves_better(documents, goal, target):
    every = [naive(documents, score) for score in {score for score, _ in documents}]
    aimed, best = {"f1": (2, 2), "precision": (0, 1), "recall": (1, 0)}[goal]
    fit = [found for found in every if goal == "f1" or found[aimed] >= target]
    if not fit:
        with pytest.raises(UserError, match=rf"--target {target:g}: no threshold has this {goal}"):
            choose(*zip(*documents), goal, target)
        return
    threshold = choose(*zip(*documents), goal, target)
    found = naive(documents, threshold)
    assert 0 <= threshold <= 1 and found[best] == pytest.approx(max(each[best] for each in fit))
    assert goal == "f1" or found[aimed] >= target


def test_of_equally_good_thresholds_the_one_nearest_to_a_half():
    assert choose([0.9, 0.8, 0.3, 0.2], [True, True, False, False], "f1", None) == pytest.approx(0.55)
    assert choose([0.99, 0.9, 0.2], [True, True, True], "f1", None) == pytest.approx(0.1)
    # at full precision, 0.95 has the more recall than 0.995
    assert choose([1.0, 0.99, 0.91, 0.4], [True, True, False, True], "precision", 1.0) == pytest.approx(0.95)
    assert choose([1.0, 0.99, 0.91, 0.4], [True, True, False, True], "recall", 1.0) == pytest.approx(0.2)
