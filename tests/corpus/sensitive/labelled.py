"""A generated, labelled set of personal data in English and Chinese text, with near misses; it shares nothing with the finders.

A document holds two values in frames of `frames.txt` ({} is where the value stands), a near miss for each of the two kinds, one
for any other, and plain sentences, in any order. The set is a function of its seed.

python -m tests.corpus.sensitive.labelled [DOCUMENTS] [MISTAKES]

prints recall and precision by kind and language; a find counts only with its exact bounds. Then some of the mistakes.
"""

from __future__ import annotations

import collections
import pathlib
import random
import sys
from collections.abc import Iterator

from megatron_ext.corpus.sensitive import KINDS
from megatron_ext.corpus.sensitive.flags import SensitiveFlags
from megatron_ext.corpus.sensitive.scrub import Scrubber
from tests.corpus.sensitive.near_misses import near_misses
from tests.corpus.sensitive.values import VALUES

LANGUAGES = ("english", "chinese")
FILLER = dict(
    english=(
        *("The meeting was moved to Monday.", "It rained all day, and nobody came.", "She read the report twice."),
        *("In 1984 the plant closed.", "See chapter 3, table 12."),
    ),
    chinese=("会议改到星期一举行。", "那天下了一整天的雨。", "她把报告读了两遍。", "1984年工厂关闭了。", "详见第3章表12。"),
)
Truth = list[tuple[str, int, int]]


def frames() -> dict[tuple[str, str], list[str]]:
    """`{(language, kind): frames}`."""
    found, section = {}, []
    for line in pathlib.Path(__file__).with_name("frames.txt").read_text(encoding="utf-8").splitlines():
        if line.endswith("]") and "{}" not in line:
            section = found.setdefault(tuple(line.strip("[]").split()), [])
        elif line:
            section.append(line.replace("\\n", "\n"))
    return found


FRAMES = frames()


def documents(language: str, count: int, seed: int = 0) -> Iterator[tuple[str, Truth]]:
    """`(text, [(kind, start, end), …])`."""
    draw = random.Random(f"{language} {seed}")
    kinds = sorted(VALUES)
    for number in range(count):
        two = (kinds[number % len(kinds)], draw.choice(kinds))
        parts = [("value", two[0]), ("value", two[1]), *(("miss", kind) for kind in (*two, draw.choice(kinds))), ("filler", "")]
        draw.shuffle(parts)
        text, truth = "", []
        for part, kind in parts:
            if part == "filler":
                text += draw.choice(FILLER[language])
            elif part == "miss":
                text += near_misses(draw, language, kind)
            else:
                value = VALUES[kind](draw, language)
                before, value, after = value if kind == "secret" else ("", value, "")
                head, tail = draw.choice(FRAMES[language, kind]).split("{}")
                start = len(text + head + before)
                truth.append((kind, start, start + len(value)))
                text += head + before + value + after + tail
            text += draw.choice(("\n", "\n", "。" if language == "chinese" else " . "))
        yield text, truth


def measure(language: str, count: int, seed: int = 0):
    """`{kind: (of the set, found, found rightly)}`, and mistakes as `(missed or false, kind, text around it)`."""
    scrubber = Scrubber(SensitiveFlags(scrub=tuple(KINDS)))
    counts, mistakes = collections.defaultdict(lambda: [0, 0, 0]), []
    for text, truth in documents(language, count, seed):
        found = {(span.kind, span.start, span.end) for span in scrubber.spans(text)}
        for place, entries in enumerate((truth, found, found & set(truth))):
            for kind, *_ in entries:
                counts[kind][place] += 1
        for kind, start, end in sorted(found ^ set(truth)):
            around = f"{text[max(0, start - 25) : start]}⟦{text[start:end]}⟧{text[end : end + 10]}"
            mistakes.append(("missed" if (kind, start, end) in truth else "false", kind, around))
    return counts, mistakes


def main(count: int = 4000, shown: int = 0) -> None:
    mistakes = []
    print("| kind | language | values | recall | precision |\n|---|---|---|---|---|")
    for language in LANGUAGES:
        counts, wrong = measure(language, count)
        mistakes += wrong
        for kind in sorted(counts):
            true, found, right = counts[kind]
            print(f"| {kind} | {language} | {true:,} | {right / true:.1%} | {right / found:.1%} |")
    for mistake in random.Random(0).sample(mistakes, min(shown, len(mistakes))):
        print(mistake)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
