#!/usr/bin/env python3
"""How often `--filters language` is right, on the translations of one book: a row of docs/corpora_rules.md a language.

apt-get download debian-handbook && dpkg -x debian-handbook_*.deb handbook
python tools/language_accuracy.py handbook/usr/share/doc/debian-handbook/html

The folder holds a folder a translation (`de-DE`, `zh-CN` …) of the same pages. A paragraph of which two thirds of the words
are in the English book was not translated, and does not count; nor does a translation with fewer than 1,000 paragraphs. What is
counted: paragraphs by length, and pages, named rightly at any score; and pages kept by the filter's default score.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.problems import exit_status
from megatron_ext.corpus.filters.language import Flags, Identifier, default_model

SAME = {"nb": {"no", "nn"}, "zh": {"zh", "wuu", "yue"}, "id": {"id", "ms"}, "hr": {"hr", "sh", "bs", "sr"}}
"""Names of one language, or of ones that its written form does not tell apart."""

SHORT = 100
_NOT_TEXT = re.compile(r"<(script|style|pre|title|h\d)\b.*?</\1>", re.DOTALL)
_PARAGRAPH = re.compile(r'<div[^>]* class="para">(.*?)</div>', re.DOTALL)


def paragraphs(page: pathlib.Path) -> list[str]:
    import html

    found = _PARAGRAPH.findall(_NOT_TEXT.sub("", page.read_text(encoding="utf-8")))
    texts = (" ".join(html.unescape(re.sub(r"<[^>]+>", "", each)).split()) for each in found)
    return [text for text in texts if len(text) >= 20]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def rows(folder: pathlib.Path, characters: int):
    """`(translation, paragraphs, short right, long right, pages, right, kept)`, shares where right or kept."""
    identify = Identifier(default_model(), characters)
    english = {word for page in sorted((folder / "en-US").glob("*.html")) for text in paragraphs(page) for word in words(text)}
    for translation in sorted(path for path in folder.iterdir() if (path / "index.html").exists()):
        code = translation.name.partition("-")[0]
        names = SAME.get(code, {code})
        right: dict[str, list[bool]] = {"short": [], "long": [], "page": [], "kept": []}
        for page in sorted(translation.glob("*.html")):
            own = paragraphs(page)
            if code != "en":
                own = [text for text in own if len(found := words(text)) > 1.5 * len(found & english)]
            for text in own:
                right["short" if len(text) < SHORT else "long"].append(identify(text)[0] in names)
            if len(whole := "\n".join(own)) >= SHORT:
                language, score = identify(whole)
                right["page"].append(language in names)
                right["kept"].append(language in names and score >= Flags().language_min_score)
        share = {kind: sum(found) / len(found) for kind, found in right.items() if found}
        if len(right["short"]) + len(right["long"]) >= 1000:
            yield (translation.name, len(right["short"]) + len(right["long"]), share.get("short"), share.get("long"),
                   len(right["page"]), share["page"], share["kept"])  # fmt: skip


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="with a folder a translation")
    parser.add_argument("--characters", type=int, default=Flags().language_characters, help="as --language-characters")
    given = parser.parse_args(argv)
    print(f"| translation | paragraphs | < {SHORT} characters | longer | pages | right | kept |\n|" + "---|" * 7)
    for name, count, *shares in rows(given.folder, given.characters):
        cells = (f"{each:.1%}" if isinstance(each, float) else str(each or "–") for each in shares)
        print(f"| {name} | {count:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(sys.argv[1:]), "language_accuracy.py"))
