"""corpus/words.py: what is a word, by hand; the native splitter and its twin agree on all that can be thought of."""

import importlib.util
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import example, given, settings

from megatron_ext.corpus import words
from megatron_ext.corpus.analysis import IMPLEMENTATIONS, Analysis
from tests import texts
from tests.corpus import hard_texts

needs_native = pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native module was not built here")
CASES = [
    ("The well-known actor (a friend), he said.", "The well - known actor ( a friend ) , he said ."),
    ("Mr. Smith of the U.S. Army, J. Doe and the USA.", "Mr. Smith of the U.S. Army , J. Doe and the USA ."),
    ("etc. e.g. p.m. vs. a.", "etc . e.g. p.m. vs. a."),
    ("didn't it’s dogs' I'd've we'll rock'n'roll", "did n't it ’s dogs ' I 'd 've we 'll rock'n'roll"),
    ("wait... what…so .. end....", "wait ... what … so .. end ...."),
    ("1,000 a,b 3.14 end.Next x.y", "1,000 a , b 3.14 end . Next x.y"),
    ("1990-1995 3+4 C++ +5 5+ a=b x/y and/or 5:30 a:b", "1990 - 1995 3 + 4 C++ +5 5 + a = b x / y and / or 5:30 a : b"),
    ("“quoted” ''so'' word—word word--word -x", "“ quoted ” '' so '' word — word word -- word -x"),
    ("see http://a.b/c-d, me@x-y.org or www.a-b.de.", "see http://a.b/c-d , me@x-y.org or www.a-b.de ."),
    ("$5 10% #tag [1] {x} <b> ~a", "$ 5 10 % # tag [ 1 ] { x } < b > ~a"),
    ("a🤔b 😂😂", "a 🤔 b 😂 😂"),
    ("三国演义，第1回。", "三国 演义 ， 第 1 回 。"),
    ("日本語のテキスト ภาษาไทย ພາສາລາວ", "日本語 の テキスト ภาษา ไทย ພາສາ ລາວ"),
    ("Москва-река naïve e\u0301te\u0301 한국어", "Москва - река naïve e\u0301te\u0301 한국어"),
    ("\u3000\xa0 \x1c\n", ""),
]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("text", "expected"), CASES)
def test_by_hand(text, expected, implementation):
    assert Analysis(text, implementation).words() == expected.split()


@needs_native
@settings(max_examples=1500, deadline=None)
@given(hard_texts.texts)
@example("𠀀𠀁漢字 " + "".join(hard_texts.REAL.values()))
def test_native_equals_the_twin(text):
    assert Analysis(text, "native").words() == Analysis(text, "python").words()


@needs_native
def test_native_equals_the_twin_on_every_character():
    """Each one alone, beside a letter, and between digits. Of ideographs, Hangul and what is unassigned, some."""
    alike = [(0x3400, 0xA000), (0xAC00, 0xD800), (0xE000, 0xF900), (0x17000, 0x18D00), (0x20000, 0x110000)]
    for start in range(0, 0x110000, 0x1000):
        step = 1 if start < 0x20000 else 64 if start < 0x40000 else 0x800
        codes = [code for code in range(start, start + 0x1000, step) if not 0xD800 <= code < 0xE000]
        characters = [chr(code) for code in codes if step > 1 or code % 32 < 2 or not any(a <= code < b for a, b in alike)]
        text = " ".join(f"{c} {c}a a{c} a{c}b 1{c}2" for c in characters)
        assert Analysis(text, "native").words() == Analysis(text, "python").words(), hex(start)
        assert Analysis(text, "native").counts == Analysis(text, "python").counts, hex(start)


@needs_native
def test_native_equals_the_twin_on_real_text():
    for text in [*texts.library_texts(), *texts.HARD, *(line * 3 for line in hard_texts.REAL.values())]:
        assert Analysis(text, "native").words() == Analysis(text, "python").words()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_no_character_is_lost_or_doubled(implementation):
    for text in [*texts.library_texts(5), *hard_texts.REAL.values(), " ".join(hard_texts.PIECES)]:
        assert "".join(Analysis(text, implementation).words()) == "".join(text.split())


def test_runs_without_spaces_are_cut_by_icu_alone_and_never_by_spaces():
    from icu4py.breakers import WordBreaker

    for language in ("chinese", "japanese", "thai"):
        text = hard_texts.REAL[language]
        found = words.runs(text).splitlines()
        assert "".join(found) == "".join(character for character in text if words.kind_of(character) & words.UNSPACED)
        expected = [word for run in found for word in WordBreaker(run, "")]
        assert [word for word in Analysis(text).words() if words.kind_of(word[0]) & words.UNSPACED] == expected
        assert len(expected) > 3 * len(text.split())
    assert words.runs("plain English, Русский, 한국어") is None


def test_without_icu4py_a_sentence_says_what_to_install():
    assert importlib.util.find_spec("icu4py")
    program = (
        "import sys; sys.modules['icu4py.breakers'] = None\n"
        "from megatron_ext.arguments.problems import UserError\n"
        "from megatron_ext.corpus.analysis import Analysis\n"
        "print(Analysis('plain words').counts.words)\n"
        "try: Analysis('三国')\nexcept UserError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("2\n") and "pip install 'megatron-ext[data]'" in ran.stdout


def test_every_character_is_what_its_category_says():
    """The table by the definition, character by character: it is made category by category."""
    for code, kind in enumerate(words.kinds()):
        character = chr(code)
        category = unicodedata.category(character)
        mark = category[0] == "M" and not 0xFE00 <= code <= 0xFE0F
        expected = {
            words.SPACE: character.isspace(),
            words.ALPHA: character.isalpha(),
            words.LETTER: character.isalpha() or mark,
            words.NUMBER: category[0] == "N",
            words.LOWER: character.isalpha() and category not in ("Lu", "Lt"),
            words.UPPER: character.isalpha() and category != "Ll",
            words.PUNCTUATION: category[0] == "P",
            words.SYMBOL: category[0] == "S",
            words.EDGE: category[0] in "PS" and character not in "-./\\@~^|+\u2010\u2011",
            words.ICON: category == "So",
            words.HYPHEN: character in "-\u2010\u2011–—~",
        }
        assert {bit: bool(kind & bit) for bit in expected} == expected, hex(code)
