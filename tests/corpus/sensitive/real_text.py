"""What is found in real text, to be read and judged by a person: docs/personal_data.md has the shares.

python -m tests.corpus.sensitive.real_text KIND COUNT PATH …

prints COUNT random finds of the kind, the same at every run, each with what stands around it, and how many there are in all. A
path is a file or a folder of them: text of any kind, gzip (manual pages), bz2 (Wikipedia's dumps), HTML without its tags.
"""

from __future__ import annotations

import bz2
import collections
import gzip
import html
import pathlib
import random
import re
import sys
from collections.abc import Iterable, Iterator

from megatron_ext.corpus.sensitive import KINDS
from megatron_ext.corpus.sensitive.flags import SensitiveFlags
from megatron_ext.corpus.sensitive.scrub import Scrubber

OPEN = {".gz": gzip.open, ".bz2": bz2.open}
BINARY = re.compile(rb"\0")


def texts(paths: Iterable[pathlib.Path]) -> Iterator[tuple[pathlib.Path, str]]:
    for path in paths:
        for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
            try:
                with OPEN.get(file.suffix, open)(file, "rb") as opened:
                    content = opened.read()
            except (OSError, EOFError):
                continue
            if BINARY.search(content[:4096]):
                continue
            text = content.decode("utf-8", "ignore")
            if file.suffix == ".html":
                text = html.unescape(re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", "", text, flags=re.DOTALL))
            yield file, html.unescape(text) if file.suffix == ".bz2" else text


def finds(paths: Iterable[pathlib.Path], kinds: Iterable[str]) -> dict[str, list[tuple[str, str, str, str]]]:
    """`{kind: [(file, before, found, behind), …]}`, each value once a file; and its megabytes under ""."""
    scrubber, found, size = Scrubber(SensitiveFlags(scrub=tuple(kinds))), collections.defaultdict(list), 0
    for file, text in texts(paths):
        size += len(text.encode())
        seen = set()
        for span in scrubber.spans(text):
            value = text[span.start : span.end]
            if value not in seen:
                seen.add(value)
                before, behind = text[max(0, span.start - 60) : span.start], text[span.end : span.end + 30]
                found[span.kind].append((file.name, before, value, behind))
    print(f"{size / 1e6:.1f} MB", {kind: len(each) for kind, each in sorted(found.items())})
    return found


if __name__ == "__main__":
    kind, count, *paths = sys.argv[1:]
    found = finds(map(pathlib.Path, paths), KINDS if kind == "all" else [kind])
    for each in sorted(found):
        rows = random.Random(1).sample(found[each], min(int(count), len(found[each])))
        for name, before, value, behind in sorted(rows):
            print(f"{each} {name[:30]}: " + f"{before}⟦{value}⟧{behind}".replace("\n", "⏎")[:400])
