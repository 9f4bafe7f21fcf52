"""Good and bad examples for a classifier of quality, out of what this machine has: prose against boiler-plate and logs.

    python examples/quality_examples.py --wikipedia .venv/gensim/gensim-*.whl --output FOLDER
    python tools/train_classifier.py --good FOLDER/good.jsonl --bad FOLDER/bad.jsonl --output FOLDER/quality.bin

writes good.jsonl and bad.jsonl, and the same as good_unseen.jsonl and bad_unseen.jsonl from other origins: no article, package or
page is in both. A record has `text`, `kind` and `origin`; a text is a piece of 300 to 3,000 characters, in whole lines.

    good   article     the English Wikipedia (the test data inside gensim's wheel; CC BY-SA)
           manual      Python's language reference (pydoc_data.topics); with --pages, the main content of pages (resiliparse)
    bad    licence     licences of the installed packages: true text, and the same everywhere
           list        what the packages' RECORD files list: names of files and their hashes
           log         what Python says while it imports and runs its tests; with --logs, files of other programs'
           navigation  with --pages, what pages mark as such: menus, side bars, footers, tables of contents, indices
"""

import argparse
import glob
import importlib.metadata
import json
import pathlib
import random
import subprocess
import sys
from collections import Counter

import xxhash
from quickstart_corpus import wikipedia

UNSEEN = 4  # of so many origins one is unseen
SIZES = (300, 800, 1500, 3000)
NAVIGATION = "nav, footer, aside, .sphinxsidebar, .related, .navheader, .navfooter, .toc, .TOC, .footer, .indextable"
LOGS = {
    "imports": ["-v", "-c", "import json, xml.etree.ElementTree, asyncio, unittest, http.client, numpy"],
    "tests": ["-m", "unittest", "-v", "test.test_textwrap", "test.test_bisect", "test.test_heapq", "test.test_json"],
    "trace": ["-X", "importtime", "-c", "import numpy, json, http.client, xml.dom.minidom"],
}


def good(package, pages):
    """`(kind, origin, text)`."""
    for article in wikipedia(package):
        yield "article", article.id, article.text
    from pydoc_data.topics import topics

    for name, text in topics.items():
        yield "manual", f"python/{name}", text
    for path, main, _ in map(in_two, pages):
        yield "manual", path, main


def bad(pages, logs):
    for package in importlib.metadata.distributions():
        name = package.metadata["Name"]
        for file in package.files or ():
            path = pathlib.Path(package.locate_file(file))
            if "dist-info" in str(file) and path.name.upper().startswith(("LICEN", "NOTICE", "COPYING")) and path.is_file():
                yield "licence", name, path.read_text(encoding="utf-8", errors="replace")
        yield "list", name, (package.read_text("RECORD") or "")[:12_000]
    for name, arguments in LOGS.items():
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, errors="replace", timeout=300)
        yield "log", name, done.stderr
    for file in logs:
        yield "log", file, pathlib.Path(file).read_text(encoding="utf-8", errors="replace")[:1_000_000]
    for path, _, rest in map(in_two, pages):
        yield "navigation", path, rest


def in_two(path):
    """`(path, the page's main content, what it marks as navigation)`."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    page = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    main = extract_plain_text(page, main_content=True, alt_texts=False, preserve_formatting=True)
    marked = HTMLTree.parse(page).body.query_selector_all(NAVIGATION)
    return path, main, "\n".join(extract_plain_text(element.html, alt_texts=False) for element in marked)


def pieces(text, draw):
    """Of whole lines; a last one that is short is left out."""
    held, size = "", draw.choice(SIZES)
    for line in text.splitlines(keepends=True):
        held += line[: SIZES[-1]]
        if len(held) >= size:
            yield held.strip()
            held, size = "", draw.choice(SIZES)
    if len(held.strip()) >= SIZES[0]:
        yield held.strip()


def write(folder, name, documents, most):
    """Both files of a class; by kind, how many pieces they have, at most `most` and a quarter of it unseen."""
    draw, counts = random.Random(1), Counter()
    with open(folder / f"{name}.jsonl", "w") as seen, open(folder / f"{name}_unseen.jsonl", "w") as unseen:
        for kind, origin, text in documents:
            # a log is one long origin: its last quarter is unseen
            found = list(pieces(text, draw))
            apart = len(found) - len(found) // UNSEEN if kind == "log" else 0
            other = xxhash.xxh3_64_intdigest(origin.encode()) % UNSEEN == 0
            for number, piece in enumerate(found):
                away = number >= apart if kind == "log" else other
                if counts[kind, away] < (most // UNSEEN if away else most):
                    counts[kind, away] += 1
                    (unseen if away else seen).write(json.dumps({"text": piece, "kind": kind, "origin": origin}) + "\n")
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--wikipedia", required=True, help="gensim's wheel")
    parser.add_argument("--pages", nargs="*", default=[], help="HTML files or patterns, such as those of Debian's -doc packages")
    parser.add_argument("--logs", nargs="*", default=[], help="logs, such as /var/log/dpkg.log")
    parser.add_argument("--most", type=int, default=4000, help="pieces of a kind, beside a quarter as many unseen ones [4000]")
    parser.add_argument("--output", required=True, type=pathlib.Path, help="folder")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    pages = sorted(file for pattern in given.pages for file in glob.glob(pattern, recursive=True) if pathlib.Path(file).is_file())
    random.Random(1).shuffle(pages)
    for name, documents in (("good", good(given.wikipedia, pages)), ("bad", bad(pages, given.logs))):
        counts = write(given.output, name, documents, given.most)
        for kind in dict.fromkeys(kind for kind, _ in counts):
            print(f"{name:>5}  {kind:<10}  {counts[kind, False]:,} pieces, {counts[kind, True]:,} unseen")


if __name__ == "__main__":
    main()
