"""Real documents for the rules to judge: English Wikipedia as prose and as markup, and Python's library; some damaged on purpose.

The pages lie in the test data of gensim's wheel, which `bash tests/run.sh` puts into a folder of .venv.
"""

from __future__ import annotations

import bz2
import functools
import html
import pathlib
import random
import re
import sys
import sysconfig
import zipfile
from xml.etree import ElementTree

from examples.quickstart_corpus import WIKI_DUMP, strip_markup

WHEELS = pathlib.Path(sys.prefix) / "gensim"
PROSE, MARKUP, CODE = 1500, 2300, 1300
NOTICES = (
    *("Please enable Javascript to see this page.", "Lorem ipsum dolor sit amet.", "We use cookies to improve this site."),
    *("See the privacy policy and the terms of use.", "A set is written { 1, 2 } and a list [1, 2].", "Read more..."),
)


@functools.cache
def real_documents() -> list[str]:
    """Some 5,000 texts of 300 to 4,000 characters, the same on every machine with the same Python; two fifths are damaged."""
    draw = random.Random(1)
    pages = [html.unescape(page) for page in _wikipedia()]
    library = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
    found = []
    for texts, most in (
        (map(strip_markup, pages), PROSE),
        (pages, MARKUP),
        ((path.read_text(encoding="utf-8", errors="ignore") for path in library), CODE),
    ):
        pieces = [piece.strip() for text in texts for piece in _pieces(text, draw) if piece.strip()]
        draw.shuffle(pieces)
        found += [_damaged(piece, draw) if draw.random() < 0.4 else piece for piece in pieces[:most]]
    draw.shuffle(found)
    return [text for text in found if text]


def _wikipedia():
    found = sorted(WHEELS.glob("gensim-*.whl"))
    assert found, f"{WHEELS}/gensim-*.whl is missing: bash tests/run.sh fetches it"
    with zipfile.ZipFile(found[0]) as wheel, wheel.open(WIKI_DUMP) as packed, bz2.open(packed) as dump:
        for _, element in ElementTree.iterparse(dump):
            if element.tag.endswith("}text") and element.text:
                yield element.text
            element.clear()


def _pieces(text: str, draw: random.Random):
    piece, size = "", draw.choice((300, 800, 1500, 3000))
    for line in text.splitlines(keepends=True):
        piece += line
        if len(piece) >= size:
            yield piece[:4000]
            piece, size = "", draw.choice((300, 800, 1500, 3000))


def _damaged(text: str, draw: random.Random) -> str:
    """One of the ways in which pages are bad, to a degree that is drawn too: so that every rule is met, and on both sides."""
    lines, words, degree = text.splitlines(), text.split(), draw.random()
    line, place = draw.choice(lines), draw.randrange(len(words))
    phrase = " ".join(words[place : place + draw.randint(2, 12)])
    ways = (
        lambda: "\n".join(line for line in lines for _ in range(1 + (draw.random() < degree))),
        lambda: text + f"\n\n{line}" * draw.randint(1, 12),
        lambda: f"{text} " + f"{phrase} " * draw.randint(1, 40),
        lambda: " ".join(f"{word} #{word}" if draw.random() < degree * 0.4 else word for word in words),
        lambda: "\n".join(f"{draw.choice('•-')} {line}" if draw.random() < 0.8 + degree / 5 else line for line in lines),
        lambda: "\n".join(line + draw.choice(("...", "…")) if draw.random() < degree else line for line in lines),
        lambda: " ".join(f"{word}..." if draw.random() < degree * 0.4 else word for word in words),
        lambda: " ".join(draw.choice(("12", "3.5", "%", "=", "42")) if draw.random() < degree * 0.6 else word for word in words),
        lambda: re.sub(r" (?=\S)", lambda space: "" if draw.random() < degree else " ", text),
        lambda: "\n".join([*lines[: len(lines) // 2], draw.choice(NOTICES), *lines[len(lines) // 2 :]]),
        lambda: "\n".join(line[: draw.randint(3, 40)] if draw.random() < degree else line for line in lines),
        lambda: " ".join(word[: draw.randint(1, 3)] if draw.random() < degree else word for word in words),
        lambda: "\n".join(words),
        lambda: re.sub(r"\b(the|be|to|of|and|that|have|with)\b", "", text),
        lambda: " ".join(words[: draw.randint(20, 80)]),
    )
    return draw.choice(ways)().strip()
