"""Modified Kneser-Ney: against a naive oracle, sums over the vocabulary, kenlm's reading, and the native module's twin."""

import array
import collections
import functools
import itertools
import math
import random
import subprocess
import sys

import kenlm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.ngrams.estimate import CONTROL, END, estimator
from megatron_ext.native import compiled as native
from tests import texts

IMPLEMENTATIONS = ["python", *(["native"] if native else [])]


class Oracle:
    """The formulas of estimate.py by definition: each p(w | h) from the raw text, nothing remembered but the sentences."""

    def __init__(self, sentences, order, prune=()):
        self.order, self.prune = order, (*prune, *[0] * order)[:order]
        self.padded = [("<s>", *sentence, "</s>") for sentence in sentences]
        self.grams = {n: collections.Counter() for n in range(1, order + 1)}
        for padded in self.padded:
            for n in range(1, order + 1):
                self.grams[n].update(padded[i : i + n] for i in range(len(padded) - n + 1))
        del self.grams[1][("<s>",)]
        self.vocabulary = sorted({word for (word,) in self.grams[1]} | {"<unk>"})
        self.a = functools.cache(self.count)
        self.discounts = {n: self.discount(n) for n in range(1, order + 1)}

    def count(self, gram):
        n = len(gram)
        if n == self.order or gram[0] == "<s>":
            return self.grams[n][gram]
        words = ["<s>", *self.vocabulary]
        return sum((word, *gram) in self.grams[n + 1] for word in words)

    def discount(self, n):
        t = collections.Counter(self.a(gram) for gram in self.grams[n])
        try:
            y = t[1] / (t[1] + 2 * t[2])
            d = [0, 1 - 2 * y * t[2] / t[1], 2 - 3 * y * t[3] / t[2], 3 - 4 * y * t[4] / t[3]]
        except ZeroDivisionError:
            d = [0, 0, 0, 0]
        good = t[4] > 0 and all(0 < d[k] <= k for k in (1, 2, 3))
        return d if good else [0, 0.5, 1, 1.5]

    def p(self, word, history):
        history = tuple(history)[-(self.order - 1) :]
        if not history:
            total = sum(self.a((w,)) for w in self.vocabulary if (w,) in self.grams[1])
            handed = sum(self.discounts[1][min(self.a(gram), 3)] for gram in self.grams[1])
            own = self.a((word,)) if (word,) in self.grams[1] else 0
            return (own - self.discounts[1][min(own, 3)]) / total + handed / total / len(self.vocabulary)
        n = len(history) + 1
        followers = {w: self.a((*history, w)) for w in self.vocabulary if (*history, w) in self.grams[n]}
        kept = {w for w in followers if self.grams[n][(*history, w)] > self.prune[n - 1]}
        if not kept:
            return self.p(word, history[1:])
        total = sum(followers.values())
        d = self.discounts[n]
        own = followers[word] - d[min(followers[word], 3)] if word in kept else 0
        handed = sum(d[min(a, 3)] if w in kept else a for w, a in followers.items())
        return own / total + handed / total * self.p(word, history[1:])


def train(sentences, order, path, prune=(), implementation="native", memory=2**26):
    words = list(CONTROL)
    ids = {}
    flat = array.array("I")
    for sentence in sentences:
        for word in sentence:
            if word not in ids:
                ids[word] = len(words)
                words.append(word)
            flat.append(ids[word])
        flat.append(END)
    folder = path.parent / f"work-{path.name}"
    folder.mkdir()
    counting = estimator(order, str(folder), memory, implementation)
    for start in range(0, len(flat), 1000):
        counting.add(flat[start : start + 1000])
    return counting.finish(words, (*prune, *[0] * order)[:order], str(path))


def prose(count):
    """Sentences of real text: lines of Python's library, as words."""
    lines = [line.split() for text in texts.library_texts(40) for line in text.splitlines()]
    return [line for line in lines if 3 <= len(line) <= 20][:count]


def scores(model, sentence):
    return [score for score, _, _ in model.full_scores(" ".join(sentence))]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("order", "prune"), [(2, ()), (3, ()), (5, ()), (3, (0, 0, 1)), (4, (0, 1, 2, 2))])
def test_kenlm_s_scores_are_the_oracle_s(tmp_path, implementation, order, prune):
    sentences = prose(400)
    statistics = train(sentences, order, tmp_path / "m.arpa", prune, implementation)
    oracle, model = Oracle(sentences, order, prune), kenlm.Model(str(tmp_path / "m.arpa"))
    assert model.order == order
    assert [tuple(found[2]) for found in statistics] == [pytest.approx(oracle.discounts[n][1:]) for n in range(1, order + 1)]
    assert any(found[3] for found in statistics)  # somewhere, discounts follow from the text
    chosen = random.Random(7)
    words = [word for sentence in sentences for word in sentence]
    for sentence in [
        *chosen.sample(sentences, 15),
        *([chosen.choice(words) for _ in range(8)] for _ in range(10)),
        ["neverseen"] * 3,
    ]:
        padded = ("<s>", *(word if word in oracle.vocabulary else "<unk>" for word in sentence), "</s>")
        expected = [math.log10(oracle.p(padded[i], padded[:i])) for i in range(1, len(padded))]
        assert scores(model, sentence) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("prune", [(), (0, 1, 1, 1)])
def test_probabilities_add_up_to_one(tmp_path, prune):
    sentences = prose(1500)
    train(sentences, 4, tmp_path / "m.arpa", prune)
    model = kenlm.Model(str(tmp_path / "m.arpa"))
    vocabulary = sorted({word for sentence in sentences for word in sentence}) + ["</s>", "<unk>"]
    chosen = random.Random(3)
    for _ in range(12):
        state, after = kenlm.State(), kenlm.State()
        if chosen.random() < 0.5:
            model.BeginSentenceWrite(state)
        else:
            model.NullContextWrite(state)
        for word in chosen.choice(sentences)[: chosen.randrange(5)]:
            model.BaseScore(state, word, after)
            state, after = after, kenlm.State()
        assert sum(10 ** model.BaseScore(state, word, kenlm.State()) for word in vocabulary) == pytest.approx(1, abs=2e-5)


def test_a_sentence_is_likelier_than_its_words_in_disorder(tmp_path):
    sentences = [line.split() for line in paragraphs()]
    seen, held = sentences[: -len(sentences) // 10], sentences[-len(sentences) // 10 :]
    train(seen, 5, tmp_path / "m.arpa")
    model = kenlm.Model(str(tmp_path / "m.arpa"))
    chosen = random.Random(5)
    tries = [sentence for sentence in held if len(sentence) >= 8]
    better = sum(model.perplexity(" ".join(s)) < model.perplexity(" ".join(chosen.sample(s, len(s)))) for s in tries)
    assert len(tries) > 50 and better / len(tries) > 0.85


def paragraphs():
    """Prose of docstrings and comments in Python's library."""
    for text in texts.library_texts(400):
        for line in text.splitlines():
            words = line.strip().lstrip("#").strip()
            if words[:1].isupper() and len(words.split()) >= 6 and not set(words) & set("=(){}[]_\"'"):
                yield words.lower()


sentence = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8)


@pytest.mark.skipif(not native, reason="the native module was not built here")
@settings(max_examples=60, deadline=None)
@given(st.lists(sentence, min_size=1, max_size=30), st.integers(2, 6), st.integers(0, 2))
def test_native_equals_the_twin(tmp_path_factory, sentences, order, prune):
    folder = tmp_path_factory.mktemp("n")
    thresholds = (0, *[prune] * (order - 1))
    found = [train(sentences, order, folder / f"{each}.arpa", thresholds, each) for each in ("python", "native")]
    assert repr(found[0]) == repr(found[1])
    same_model(folder / "python.arpa", folder / "native.arpa")


def same_model(one, other):
    for mine, theirs in itertools.zip_longest(one.open(), other.open()):
        a, b = mine.split("\t"), theirs.split("\t")
        assert a[1:2] == b[1:2] and len(a) == len(b)
        if len(a) > 1:
            assert [float(each) for each in a[::2]] == pytest.approx([float(each) for each in b[::2]], abs=2e-6)
        else:
            assert a == b


@pytest.mark.skipif(not native, reason="the native module was not built here")
def test_sorting_on_disk_changes_nothing(tmp_path):
    """A memory of 1,024 records a sorter: tens of runs, and the same model; afterwards only the model is left behind."""
    sentences = prose(3000)
    large = train(sentences, 4, tmp_path / "large.arpa", (0, 0, 1, 1))
    small = train(sentences, 4, tmp_path / "small.arpa", (0, 0, 1, 1), memory=1)
    assert large == small and sum(len(sentence) for sentence in sentences) > 10 * 1024
    assert (tmp_path / "large.arpa").read_bytes() == (tmp_path / "small.arpa").read_bytes()


MEASURE = """
import array, random, resource, sys, tempfile
from megatron_ext.corpus.ngrams.estimate import CONTROL, END, estimator
chosen = random.Random(1)
words = [*CONTROL, *(f"w{number}" for number in range(20_000))]
with tempfile.TemporaryDirectory() as folder:
    counting = estimator(4, folder, 2**24)
    for _ in range(int(sys.argv[1])):
        ids = array.array("I", [min(int(chosen.paretovariate(0.6)) + 2, 20_002) for _ in range(20_000)])
        ids[::20] = array.array("I", [END] * 1000)
        counting.add(ids)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counting.finish(words, [0, 0, 0, 0], folder + "/m.arpa")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(not native, reason="the native module was not built here")
def test_memory_is_flat_in_the_text_s_length():
    few, many = (int(subprocess.check_output([sys.executable, "-c", MEASURE, str(size)])) for size in (20, 160))
    assert many < few + 24, (few, many)
