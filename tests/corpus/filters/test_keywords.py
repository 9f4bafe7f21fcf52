"""--filters keywords."""

import random
import re
from collections import Counter

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.filters import keywords
from tests import texts
from tests.corpus.filters.case import CHINESE, judge, make, problems


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        ("the cat sat", ["--keywords", "cat"], "keywords_found"),
        ("concatenate cats", ["--keywords", "cat"], None),
        ("the CAT sat", ["--keywords", "Cat"], "keywords_found"),
        ("the CAT sat", ["--keywords", "cat", "--no-keyword-ignore-case"], None),
        ("V1AGRA", ["--keyword-patterns", "v[i1]agra"], "keywords_found"),
        ("V1AGRA", ["--keyword-patterns", "v[i1]agra", "--no-keyword-ignore-case"], None),
        ("用cat命令", ["--keywords", "cat"], "keywords_found"),
        ("用猫命令", ["--keywords", "猫"], "keywords_found"),
        ("网上博彩公司", ["--keywords", "博彩"], "keywords_found"),
        ("3D打印机", ["--keywords", "D打印"], None),
        ("3D打印机", ["--keywords", "3d打印"], "keywords_found"),
        ("buy it\n now", ["--keywords", "buy it now"], "keywords_found"),
        ("buy it", ["--keywords", "buy it now", "buy"], "keywords_found"),
        ("C++ and c#", ["--keywords", "c++"], "keywords_found"),
        ("a-b", ["--keywords", "a"], "keywords_found"),
        ("cat", ["--keywords", "cat", "--keyword-min-count", 2], None),
        ("cat, dog", ["--keywords", "cat", "dog", "--keyword-min-count", 2], "keywords_found"),
        ("cat, dog", ["--keywords", "cat", "dog", "--keyword-min-count", 2, "--keyword-match", "all"], None),
        ("cat", ["--keywords", "cat", "dog", "--keyword-match", "all"], None),
        ("cat dog", ["--keywords", "cat", "dog", "--keyword-match", "all"], "keywords_found"),
        ("cat", ["--keywords", "cat", "--keyword-rule", "keep"], None),
        ("dog", ["--keywords", "cat", "--keyword-rule", "keep"], "keywords_missing"),
        ("cat", ["--keywords", "cat", "dog", "--keyword-rule", "keep"], None),
        ("cat", ["--keywords", "cat", "dog", "--keyword-rule", "keep", "--keyword-match", "all"], "keywords_missing"),
    ],
)
def test_rules(text, argv, reason):
    assert judge(keywords, text, *argv).reason == reason


def test_files_and_real_text(tmp_path):
    (tmp_path / "words").write_text("天下大势\n  argparse \n\n")
    argv = ["--keyword-files", tmp_path / "words"]
    found = judge(keywords, CHINESE, *argv)
    assert found.reason == "keywords_found" and found.detail == "天下大势 (4)" and found.numbers == (4,)
    assert judge(keywords, "".join(texts.library_texts(4)[1:2]).replace("argparse", ""), *argv).reason is None


def test_thousands_of_words_are_found_as_one_by_one_search_finds_them():
    """Against counting all words, on real code with words that are each other's beginnings."""
    text = "\n".join(texts.library_texts())
    counts = Counter(re.findall(r"\w+", text.lower()))
    words = sorted(set(re.findall(r"[a-z]{2,9}", text)))
    chosen = random.Random(1).sample(words, 1500) + [word[:-1] + "q" for word in words[::9]]
    hits = make(keywords, "--keywords", *chosen)._hits(text)
    for word in chosen:
        assert hits[word] == counts[word], word


def test_what_is_wrong_is_one_sentence(tmp_path):
    assert "--keywords: is missing for --filters keywords" in problems(keywords)[0]
    assert "is no regular expression" in problems(keywords, "--keyword-patterns", "(")[0]
    assert "matches where nothing is" in problems(keywords, "--keyword-patterns", "a*")[0]
    assert "is no word" in problems(keywords, "--keywords", " ")[0]
    assert "is not there" in problems(keywords, "--keyword-files", tmp_path / "none")[0]
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match="latin: cannot be read as UTF-8"):
        make(keywords, "--keyword-files", tmp_path / "latin")
