"""corpus/decontamination/ngrams.py: planted questions are found whatever was done to them; twin and oracle agree."""

import random
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.decontamination import ngrams
from megatron_ext.corpus.decontamination.ngrams import Index, Item, remedy
from tests import texts
from tests.corpus import hard_texts

needs_native = pytest.mark.skipif("native" not in ngrams.IMPLEMENTATIONS, reason="the native module was not built here")
ENGLISH = (
    "Janet’s ducks lay 16 eggs per day; she eats three for breakfast every morning, and bakes muffins for her friends. "
    "How much does she make every day at the farmers' market?"
)
SHORT = "Which planet of the solar system has the most moons?"
CHINESE = "小明有十二个苹果，他给了妹妹四个，又从市场上买回来七个，请问现在小明一共有多少个苹果？"
RUSSIAN = "Сколько яблок осталось у Маши, если она отдала брату три, а сестре ещё пять из тех двадцати, что купила мама?"
ITEMS = [Item("gsm8k", "1", ENGLISH), Item("trivia", "2", SHORT), Item("cmath", "3", CHINESE), Item("ru", "4", RUSSIAN)]
BEFORE, AFTER = "As everybody knows 12 questions were asked ", " and nobody could say. 后来就没有人说了。"


def repunctuated(text):
    return re.sub(r"[,;，、]", " – ", text).replace("’", "'").replace("？", "。").replace("?", "...").replace(". ", ".\n\n* ")


@pytest.mark.parametrize("implementation", ngrams.IMPLEMENTATIONS)
@pytest.mark.parametrize("change", [str, str.upper, str.lower, str.title, repunctuated, lambda text: "«" + text + "»"])
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.test_set)
def test_planted_questions_are_found(item, change, implementation):
    planted = change(item.text)
    hits = Index(ITEMS, implementation=implementation).scan(BEFORE + planted + AFTER)
    assert [(hit.test_set, hit.id) for hit in hits] == [(item.test_set, item.id)]
    found = (BEFORE + planted + AFTER)[hits[0].begin : hits[0].end]
    letters = lambda text: re.sub(r"\W", "", text).lower()
    assert letters(found) == letters(planted), "all of the question, and nothing else"


@pytest.mark.parametrize("implementation", ngrams.IMPLEMENTATIONS)
def test_numbers_and_ordinary_text_are_not_found(implementation):
    table = "Year 2019 2020 2021: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16, 17 + 18 = 35, 3.14 2.71 1.41 100 200 300 400"
    index = Index(implementation=implementation)
    assert index.add(Item("tables", "1", table)) == 0
    assert index.add(Item("tables", "2", "12 + 30 = 42; 5 + 6 = 11 and so on")) == 0, "a short one of numbers"
    assert index.add(Item("short", "3", "too few words here")) == 0
    assert index.scan(table * 3) == [] and len(index) == 0
    full = Index(ITEMS, implementation=implementation)
    for text in [*texts.library_texts(10), *hard_texts.REAL.values(), table]:
        assert full.scan(text) == []
    assert full.scan("Which planet of the solar system has the fewest moons?") == [], "a short item is one as a whole"
    assert full.scan("she eats three for breakfast every morning, and bakes muffins for her") == [], "12 words"
    assert full.scan("she eats three for breakfast every morning, and bakes muffins for her friends") != [], "13 words"
    assert (
        full.scan("他给了妹妹四个，又从市场上买回来七个，") == [] != full.scan("他给了妹妹四个，又从市场上买回来七个，请问现在")
    )


vocabulary = "a B c3 7 12 don't it’s 中 文字 ไทย é , ... 🤔 well-known U.S. ß İ".split() + ["\n"]
bags = st.lists(st.sampled_from(vocabulary), max_size=40).map(" ".join)


@needs_native
@settings(max_examples=600, deadline=None)
@given(st.lists(bags, max_size=6), bags, st.integers(1, 5), st.integers(1, 5), st.data())
@example(["a B c3 7"], "a b C3 7 a", 5, 1, None)
def test_native_equals_the_twin(items, text, n, least, data):
    n = max(n, least)
    if data and items and data.draw(st.booleans()):
        text += data.draw(st.sampled_from(items)) + text
    native, twin = (Index((), n, least, implementation) for implementation in ("native", "python"))
    for number, item in enumerate(items):
        assert native.add(Item(f"set{number % 2}", str(number), item)) == twin.add(Item(f"set{number % 2}", str(number), item))
    assert len(native) == len(twin)
    assert native.scan(text) == twin.scan(text)


@needs_native
def test_native_equals_the_twin_on_hard_text():
    everything = [*texts.library_texts(10), *texts.HARD, *hard_texts.REAL.values(), "".join(hard_texts.PIECES)]
    items = [Item("set", str(number), text[len(text) // 3 : len(text) // 2]) for number, text in enumerate(everything)]
    native, twin = Index(items, implementation="native"), Index(items, implementation="python")
    assert len(native) == len(twin)
    for text in everything:
        assert native.scan(text) == twin.scan(text)


def test_equals_an_oracle_over_plain_words():
    """Words of letters only: a place is found if the 13 words there are in an item."""
    draw = random.Random(5)
    bag = [draw.choice("abcde") * draw.randint(1, 3) for _ in range(12)]
    items = [" ".join(draw.choices(bag, k=draw.randint(5, 40))) for _ in range(30)]
    known = {tuple(words[at : at + 13]) for words in map(str.split, items) for at in range(len(words) - 12)}
    whole = {tuple(item.split()) for item in items if 8 <= len(item.split()) < 13}
    index = Index(Item("set", str(number), item) for number, item in enumerate(items))
    for _ in range(200):
        pieces = [" ".join(draw.choices(bag, k=5)), draw.choice(items), draw.choice(items)[: draw.randint(20, 80)]]
        text = " ".join(" ".join(pieces).split())
        words, marked = text.split(), set()
        for at in range(len(words)):
            for size in range(8, 14):
                gram = tuple(words[at : at + size])
                if gram in whole or gram in known:
                    begin = len(" ".join(words[:at])) + (at > 0)
                    marked.update(range(begin, begin + len(" ".join(gram))))
        assert {place for hit in index.scan(text) for place in range(hit.begin, hit.end)} == marked


def test_remedies():
    index, text = Index(ITEMS), BEFORE + SHORT + " Between. " + CHINESE + AFTER
    hits = index.scan(text)
    assert [hit.test_set for hit in hits] == ["trivia", "cmath"]
    assert remedy(text, hits, "document") is None and remedy(text, [], "document") == text
    assert remedy(text, hits, "span") == BEFORE + "? Between. ？" + AFTER
    assert remedy(text, hits, "span", margin=10) == BEFORE[:-10] + AFTER[9:]
    assert remedy(text, hits, "span", margin=10**6) == ""
    assert remedy(text, hits, "span", margin=10, least=200) is None
    with pytest.raises(ValueError, match="'line'"):
        remedy(text, hits, "line")
    with pytest.raises(ValueError, match="least is 1 to n"):
        Index(n=5, least=6)
