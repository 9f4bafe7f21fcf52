r"""`--filters keywords`: drops documents that hold given words, or keeps only those that do.

    --keywords casino 博彩 --keyword-files blocked.txt --keyword-patterns 'v[i1]agra'       drops what holds any of them
    --keyword-rule keep --keyword-match all --keywords Debian kernel                        keeps what holds both

A keyword is found as a whole word: `cat` not in `concatenate`, also beside an ideograph (`用cat命令`). Where it begins or ends
with a letter of a script that sets no spaces (Han, kana, Thai, Lao, Khmer, Burmese), that side needs no boundary. Patterns are
Python's regular expressions, as they are. All words are one expression in the form of their common beginnings (a trie), so
thousands of them cost one pass over the text: what Aho and Corasick's automaton is for.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, UserError
from megatron_ext.corpus.filters import Verdict

REASONS = {"keywords_found": "holds unwanted keywords", "keywords_missing": "holds too few wanted keywords"}
NUMBERS = ("keyword hits",)
EDITS = False

_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_SPACELESS += "\U00020000-\U0003ffff"
_LETTER = rf"[^\W{_SPACELESS}]"  # of a word that has boundaries


@flag_group("keywords", "Rule keywords: words that must, or must not, be there")
class Flags:
    keywords: tuple[str, ...] = flag((), "words or phrases", front=True)
    keyword_files: tuple[str, ...] = flag((), "files of words or phrases, one a line")
    keyword_patterns: tuple[str, ...] = flag((), "regular expressions (Python's re)")
    keyword_rule: str = flag("drop", "drop what holds them, or keep only what does", choices=("drop", "keep"), front=True)
    keyword_match: str = flag("any", "any: hits of all keywords count together; all: each must be there", choices=("any", "all"))
    keyword_min_count: int = flag(1, "hits that count as holding them (with all: of each)", least=1)
    keyword_ignore_case: bool = flag(True, "upper and lower case are one")

    @staticmethod
    def check(c):
        if "keywords" in getattr(c, "filters", ("keywords",)) and not (c.keywords or c.keyword_files or c.keyword_patterns):
            yield Problem(
                "--keywords", None, "is missing for --filters keywords", "or give --keyword-files or --keyword-patterns"
            )
        for word in c.keywords:
            if not word.strip():
                yield Problem("--keywords", repr(word), "is no word")
        for path in c.keyword_files:
            if not os.path.isfile(path):
                yield Problem("--keyword-files", path, "is not there")
        for pattern in c.keyword_patterns:
            try:
                if re.compile(pattern).match(""):
                    yield Problem("--keyword-patterns", repr(pattern), "matches where nothing is", "make it match something")
            except re.error as error:
                yield Problem("--keyword-patterns", pattern, f"is no regular expression ({error})")


class Filter:
    def __init__(self, c: Any):
        words = {" ".join(word.split()) for word in (*c.keywords, *_from_files(c.keyword_files))}
        if c.keyword_ignore_case:
            words = {word.lower() for word in words}
        self._ignore_case = c.keyword_ignore_case
        flags = re.IGNORECASE if c.keyword_ignore_case else 0
        self._words = re.compile(_any_of(words)) if words else None
        self._patterns = [re.compile(pattern, flags) for pattern in c.keyword_patterns]
        self._wanted = (*words, *c.keyword_patterns)
        self._all, self._count, self._drop = c.keyword_match == "all", c.keyword_min_count, c.keyword_rule == "drop"

    def __call__(self, document: Any) -> Verdict:
        hits = self._hits(document.text)
        number = sum(hits.values())
        if self._all:
            holds = all(hits[keyword] >= self._count for keyword in self._wanted)
        else:
            holds = number >= self._count
        if holds != self._drop:
            return Verdict(numbers=(number,))
        if holds:
            common = ", ".join(f"{keyword} ({count})" for keyword, count in hits.most_common(5))
            return Verdict("keywords_found", common, (number,))
        asked = "each keyword" if self._all else "keywords"
        missing = f", without {next(word for word in self._wanted if hits[word] < self._count)}" if self._all else ""
        return Verdict("keywords_missing", f"{number} hits{missing}; {asked} at least {self._count} times", (number,))

    def _hits(self, text: str) -> Counter:
        hits: Counter = Counter()
        if self._words:
            # lower() and not IGNORECASE: a trie of plain letters is three times as fast
            found = self._words.findall(text.lower() if self._ignore_case else text)
            hits.update(" ".join(word.split()) for word in found)
        for pattern in self._patterns:
            if count := sum(1 for _ in pattern.finditer(text)):
                hits[pattern.pattern] += count
        return hits


def _from_files(paths: Iterable[str]) -> list[str]:
    words = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                words += [line.strip() for line in file if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--keyword-files {path}: cannot be read as UTF-8 text ({error})") from None
    return words


def _any_of(words: Iterable[str]) -> str:
    """One expression for all words, the longest of several that begin alike first."""
    trie: dict[str, dict] = {}
    for word in sorted(words):
        node = trie
        for character in word:
            node = node.setdefault(character, {})
        node[""] = {}  # a word may end here
    bounded = {character: below for character, below in trie.items() if re.match(_LETTER, character)}
    free = {character: below for character, below in trie.items() if character not in bounded}
    return "|".join(before + _starting_with(some) for before, some in ((f"(?<!{_LETTER})", bounded), ("", free)) if some)


def _starting_with(trie: dict[str, dict]) -> str:
    """The trie's expression behind a look at the first letter, which spares most places the branches."""
    return f"(?=[{''.join(map(re.escape, trie))}]){_expression(trie, '')}"


def _expression(node: dict[str, dict], before: str) -> str:
    branches = []
    for character, below in node.items():
        if not character:
            continue
        literal, last = _literal(character), character
        while len(below) == 1 and "" not in below:  # a run of single letters needs no brackets
            last, below = next(iter(below.items()))
            literal += _literal(last)
        branches.append(literal + _expression(below, last))
    if "" in node:
        branches.append(f"(?!{_LETTER})" if re.match(_LETTER, before) else "")
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _literal(character: str) -> str:
    return r"\s+" if character == " " else re.escape(character)
