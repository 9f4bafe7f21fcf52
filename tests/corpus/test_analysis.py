"""corpus/analysis.py: the native measures and their twin agree; both are what the papers and Python's own methods say."""

import subprocess
import sys
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from megatron_ext.corpus import analysis
from megatron_ext.corpus.analysis import AGAIN, IMPLEMENTATIONS, TOP, Analysis
from megatron_ext.corpus.documents import Document
from tests import texts
from tests.corpus import hard_texts

needs_native = pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native module was not built here")
MEASURES = ("counts", "lines", "marks", "symbols", "repeats", "ngrams", "sentences")


def everything(text, implementation):
    found = Analysis(text, implementation)
    return {name: getattr(found, name) for name in MEASURES} | {
        "prose": [found.prose(short) for short in (0, 5, 30)],
        "distinct": found.distinct(["the", "and", "中文", "never there", "the"]),
    }


@needs_native
@settings(max_examples=1500, deadline=None)
@given(hard_texts.texts)
@example("0\x07M")  # a bell differs from an apostrophe by the bit that capitals have
def test_native_equals_the_twin(text):
    assert everything(text, "native") == everything(text, "python")


@needs_native
def test_native_equals_the_twin_on_real_text():
    repeated = ["\n".join(text.splitlines()[:9] * 4) for text in texts.library_texts(10)]
    for text in [*texts.library_texts(), *repeated, *texts.HARD, *(line * 40 for line in hard_texts.REAL.values())]:
        assert everything(text, "native") == everything(text, "python")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_by_hand(implementation):
    text = "# The cat... sat; the cat sat.\n- the cat sat!\n\n• It’s 3 o'clock…\n\n\n# The cat... sat; the cat sat."
    found = Analysis(text, implementation)
    assert found.words()[:9] == ["#", "The", "cat", "...", "sat", ";", "the", "cat", "sat"]
    assert found.counts == (31, 19, 57, 18)  # of them `3` is a word without a letter
    assert found.lines == (7, 2, 1)
    assert found.marks == (2, 3)
    assert found.repeats == (4, 1, 30, 3, 0, 0)
    assert found.prose(15) == (4, 3, 1, 6)
    assert found.sentences == 3  # neither an ellipsis nor a line ends one
    assert found.distinct(["cat", "sat", "dog", "The", "cat"]) == 3
    assert Analysis("", implementation).ngrams == (0,) * 9


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("a bb ccc d".split()), max_size=60))
def test_repeated_words_as_the_paper_counts_them(implementation, words):
    """Of the commonest n words in a row all occurrences; of those that were there before, no character twice."""
    found = Analysis(" ".join(words), implementation).ngrams
    for n, characters in zip(TOP + AGAIN, found):
        grams = [words[place : place + n] for place in range(len(words) - n + 1)]
        if n in TOP:
            commonest = max(grams, key=grams.count, default=[])
            assert characters == len(" ".join(commonest)) * grams.count(commonest)
        else:
            again = [place for place in range(len(grams)) if grams[place] in grams[:place]]
            within = {place + step for place in again for step in range(n)}
            assert characters <= sum(len(words[place]) for place in within)
            assert characters >= max((sum(map(len, grams[place])) for place in again[:1]), default=0)


@settings(max_examples=300, deadline=None)
@given(hard_texts.texts)
def test_lines_are_those_of_python(text):
    found = Analysis(text)
    assert found.lines.lines == len(text.splitlines())
    assert found.repeats.lines == found.prose(0).lines == sum(1 for line in text.split("\n") if line.strip())
    assert found.prose(0).newlines == text.count("\n")
    assert found.symbols.visible == sum(not character.isspace() for character in text)
    assert sum(map(len, found.words())) == found.symbols.visible


def test_a_document_is_analysed_once_for_a_text():
    document = Document("a:1", "a", {"text": "one two"})
    first = document.analysis
    assert document.analysis is first and first.counts.words == 2
    document.text = "one two three"
    assert document.analysis is not first and document.analysis.counts.words == 3


@needs_native
def test_long_work_lets_other_threads_run():
    """Texts of more than 64 KiB are worked on without the GIL; the answers are the same."""
    text = ("word zwei слово 3.5, it's 字 the end...\n" * 4000) + "\n\n".join(texts.library_texts(5))
    expected, found = everything(text, "native"), []
    threads = [threading.Thread(target=lambda: found.append(everything(text, "native"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


@needs_native
def test_misuse_is_an_error_and_no_crash():
    with pytest.raises(UnicodeEncodeError):
        Analysis("half a \ud800 pair", "native")
    native = analysis.native_with_tables()
    with pytest.raises(TypeError):
        native.Analysis(b"bytes", None)
    assert native.Analysis("三国演义 and more", b"").words() == ["三国演义", "and", "more"]  # cuts are missing
    assert native.Analysis("三国", b"\x07\0\0\0\x01\0\0\0").words() == ["三国"]  # too long and too many
    with pytest.raises(ValueError, match="another size"):
        native.set_up(b"short", [])


def test_an_unknown_implementation_is_named():
    with pytest.raises(ValueError, match="'sse9'.*python"):
        Analysis("", "sse9")


def test_without_the_native_with_tables_the_twin_serves_and_says_so():
    program = (
        "import sys; sys.modules['megatron_ext.native.compiled'] = None\n"
        "from megatron_ext.corpus.analysis import IMPLEMENTATIONS, Analysis\n"
        "print(IMPLEMENTATIONS, Analysis('one, two').words())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "('python',) ['one', ',', 'two']"
    assert ran.stderr.count("tens of times slower") == 1
