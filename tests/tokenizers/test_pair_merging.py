"""tokenizers/pair_merging.py beside merge_oracle.py, and beside tokenizers' BPE."""

import json
from collections import Counter

import numpy as np
import pytest
import regex
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

from megatron_ext.tokenizers.byte_alphabet import BYTE_OF
from megatron_ext.tokenizers.pair_merging import IMPLEMENTATIONS, SCORES, Words, learn
from megatron_ext.tokenizers.patterns import PATTERNS
from tests import texts
from tests.tokenizers.merge_oracle import joined, oracle


def rows(merges):
    assert merges.pairs.dtype == np.int32 and merges.counts.dtype == np.int64
    return np.concatenate([merges.pairs, merges.counts], axis=1).tolist()


@st.composite
def learnings(draw):
    """Words of few symbols, so that symbols repeat and stand beside themselves, with small counts that tie and large ones."""
    alphabet = draw(st.integers(1, 4))
    words = draw(st.lists(st.lists(st.integers(0, alphabet - 1), max_size=12), max_size=6))
    counts = draw(st.lists(st.sampled_from([1, 2, 3, 6, 10**9 + 7, 2**55]), min_size=len(words), max_size=len(words)))
    settings = {"score": draw(st.sampled_from(SCORES)), "min_count": draw(st.sampled_from([1, 2, 3, 10]))}
    if draw(st.booleans()):
        settings["lengths"] = draw(st.lists(st.integers(1, 3), min_size=alphabet, max_size=alphabet))
        settings["longest"] = draw(st.integers(1, 8))
    if draw(st.booleans()):
        settings["spellings"] = draw(st.lists(st.sampled_from([b"a", b"aa", b"b", b"ab"]), min_size=alphabet, max_size=alphabet))
    return words, counts, alphabet, settings


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(learnings(), st.integers(0, 20))
@settings(max_examples=500, deadline=None)
def test_merges_are_those_of_the_oracle(implementation, learning, merges):
    words, counts, alphabet, options = learning
    found = learn(Words.of(words, counts), alphabet, merges, **options, implementation=implementation)
    assert rows(found) == oracle(words, counts, alphabet, merges, **options)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("score", SCORES)
def test_runs_of_one_symbol_are_merged_from_the_left(implementation, score):
    """aaaaa: aa aa a, then (aa, aa) or (aa, a)."""
    words, counts = [[0] * size for size in (1, 2, 3, 4, 5, 7, 9, 16)], [5, 1, 4, 1, 3, 2, 1, 1]
    found = learn(Words.of(words, counts), 1, 9, score=score, min_count=1, implementation=implementation)
    assert rows(found) == oracle(words, counts, 1, 9, score)
    assert found.pairs[0].tolist() == [0, 0]
    assert found.counts[0].tolist() == [1 + 8 + 3 + 12 + 12 + 8 + 15, *[5 + 2 + 12 + 4 + 15 + 14 + 9 + 16] * 2]


def pieces(some):
    """Words of real text, as bytes, with counts, in the order of their bytes."""
    found = Counter(piece for text in some for piece in regex.findall(PATTERNS["llama3"], text))
    return {word.encode(): found[word] for word in sorted(found)}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("min_count", [2, 20])
def test_native_is_its_twin_on_real_text(score, min_count):
    if "native" not in IMPLEMENTATIONS:
        pytest.skip("the native module was not built here")
    words = Words.of_bytes(pieces([*texts.library_texts(10), *texts.HARD]))
    native, twin = (learn(words, 256, 700, score=score, min_count=min_count, implementation=kind) for kind in IMPLEMENTATIONS)
    assert rows(native) == rows(twin)
    assert len(native.pairs) == 700 if min_count == 2 else 200 < len(native.pairs) < 700  # the rare ones run out


@pytest.mark.parametrize("score", SCORES)
def test_merges_are_those_of_the_oracle_on_real_text(score):
    words = pieces(texts.library_texts(3)[:1])
    found = learn(Words.of_bytes(words), 256, 60, score=score, min_count=2)
    assert rows(found) == oracle(words, words.values(), 256, 60, score, 2)


def test_merges_by_count_are_those_of_tokenizers():
    """Its BpeTrainer breaks ties by the numbers of the symbols too; its alphabet is in the order of its characters."""
    words = pieces(texts.library_texts(40))
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(PATTERNS["llama3"]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=3000, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    theirs.train_from_iterator(texts.library_texts(40), trainer)
    expected = [tuple(merge) for merge in json.loads(theirs.to_str())["model"]["merges"]]
    alphabet = sorted(BYTE_OF)
    number = {BYTE_OF[character]: place for place, character in enumerate(alphabet)}
    found = learn(Words.of([[number[byte] for byte in word] for word in words], words.values()), 256, len(expected))
    tokens = list(alphabet)
    for left, right in found.pairs.tolist():
        tokens.append(tokens[left] + tokens[right])
    assert [(tokens[left], tokens[right]) for left, right in found.pairs.tolist()] == expected
    assert len(expected) > 2500


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_scores_are_compared_exactly(implementation):
    """1 / (n + 1) and 1 / n are the same double; the second, which is higher, is of the pair that would lose a tie."""
    n = 2**55
    assert 1 / (n + 1) == 1 / n
    words = Words.of([[0, 1], [1], [2, 3]], [n, 1, n])
    assert learn(words, 4, 1, score="ratio", implementation=implementation).pairs.tolist() == [[2, 3]]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("score", SCORES)
def test_going_on_from_the_cut_of_a_tokenizer(implementation, score):
    """Words cut by the first merges, and the others learned from there, are all of them learned at once."""
    words = pieces(texts.library_texts(3)[:1])
    whole = learn(Words.of_bytes(words), 256, 80, score=score, implementation=implementation)
    cut = [list(word) for word in words]
    for place, pair in enumerate(whole.pairs[:50].tolist()):
        cut = [joined(word, tuple(pair), 256 + place) for word in cut]
    more = learn(Words.of(cut, words.values()), 306, 30, score=score, implementation=implementation)
    assert rows(more) == rows(whole)[50:]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_no_merge_spells_what_is_there(implementation):
    words = Words.of([[0, 1], [2, 1]], [5, 4])
    spellings = [b"a", b"b", b"c", b"ab"]
    assert learn(words, 4, 9, implementation=implementation).pairs.tolist() == [[0, 1], [2, 1]]
    assert learn(words, 4, 9, spellings=spellings, implementation=implementation).pairs.tolist() == [[2, 1]]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_progress_is_told_and_may_stop_it(implementation):
    words, told = Words.of_bytes(pieces(texts.library_texts(10))), []
    learn(words, 256, 100, progress=told.append, implementation=implementation)
    assert told == sorted(told) and told[-1] == 100

    def interrupt(made):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(words, 256, 100, progress=interrupt, implementation=implementation)


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (Words.of([[0, 4]], [1]), {}, "symbols are not 0 to 3"),
        (Words.of([[0, -1]], [1]), {}, "symbols are not 0 to 3"),
        (Words.of([[0, 1]], [0]), {}, "below 1"),
        (Words.of([[0, 1]], [2**61]), {}, "too high"),
        (Words(np.zeros(3, np.int32), np.array([2]), np.array([1])), {}, "ends do not ascend"),
        (Words(np.zeros(3, np.int32), np.array([4, 3]), np.array([1, 1])), {}, "ends do not ascend"),
        (Words(np.zeros(3, np.int32), np.array([3]), np.array([1, 1])), {}, "counts"),
        (Words.of([], []), {"score": "chance"}, "chance"),
        (Words.of([], []), {"min_count": 0}, "min_count"),
        (Words.of([], []), {"longest": 5}, "lengths"),
        (Words.of([], []), {"lengths": [1]}, "one length a symbol"),
        (Words.of([], []), {"spellings": [b"a"]}, "one spelling a symbol"),
    ],
)
def test_what_is_not_as_described_is_refused(words, options, said):
    with pytest.raises(ValueError, match=said):
        learn(words, 4, 1, **options)


def test_no_words_give_no_merges():
    for implementation in IMPLEMENTATIONS:
        found = learn(Words.of([], []), 4, 10, implementation=implementation)
        assert found.pairs.shape == (0, 2) and found.counts.shape == (0, 3)
