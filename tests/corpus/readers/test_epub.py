"""Books made with zipfile: order, names, what is broken, what is a bomb."""

import io
import tracemalloc
import zipfile

import pytest

from megatron_ext.corpus.documents import Reject, document, open_source, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import format_of
from megatron_ext.corpus.readers import epub

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">
<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="i">urn:isbn:1</dc:identifier>
<dc:identifier>other</dc:identifier><dc:title>Das
 Buch</dc:title><dc:creator>A</dc:creator><dc:creator>B</dc:creator><dc:language>de</dc:language><dc:rights>CC0</dc:rights>
<dc:publisher>C</dc:publisher></metadata>
<manifest><item id="b" href="two.xhtml" media-type="application/xhtml+xml"/><item id="a" href="text/one%20&amp;.xhtml"
 media-type="application/xhtml+xml"/><item id="p" href="p.png" media-type="image/png"/></manifest>
<spine><itemref idref="a"/><itemref idref="p"/><itemref idref="b"/></spine></package>"""
PAGE = '<?xml version="1.0" encoding="{}"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title></head><body>{}</body></html>'
ONE = PAGE.format("utf-8", "<h1>Eins</h1><p>Über&#160;alles<br/>Zeile</p><pre>a\n  b</pre>")
FILES = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": PACKAGE,
    "OEBPS/two.xhtml": PAGE.format("utf-8", "<nav>Menü</nav><p>Zwei</p>"),
    "OEBPS/text/one &.xhtml": ONE,
    "OEBPS/p.png": b"\x89PNG",
}


def packed(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return stream.getvalue()


def found(tmp_path, content):
    (tmp_path / "a.epub").write_bytes(content if isinstance(content, bytes) else packed(content))
    with open_source(f"{tmp_path}/a.epub", epub) as source:
        (record,) = records(source, epub, None, InputFlags())
    return document(record, epub)


def test_a_book(tmp_path):
    book = found(tmp_path, FILES)
    assert book.text.split() == "Eins Über alles Zeile a b Menü Zwei".split()
    assert "a\n  b" in book.text
    assert {key: value for key, value in book.values.items() if key != "text"} == {
        "id": "urn:isbn:1", "title": "Das Buch", "author": "A, B", "language": "de", "license": "CC0"
    }  # fmt: skip
    assert (book.id, book.source) == ("urn:isbn:1", "epub") and format_of(f"{tmp_path}/a.epub", READERS) == "epub"


def test_without_an_id_it_is_the_file(tmp_path):
    files = FILES | {"OEBPS/book.opf": PACKAGE.replace("dc:identifier", "dc:source")}
    assert found(tmp_path, files).id == f"{tmp_path}/a.epub:1"


def without(name):
    return {key: value for key, value in FILES.items() if key != name}


def locked(name):
    return FILES | {
        "META-INF/encryption.xml": f'<encryption xmlns="urn:x"><e:EncryptedData xmlns:e="urn:e"><e:CipherReference URI="{name}"/>'
        "</e:EncryptedData></encryption>"
    }


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        (b"", "damaged", "no whole zip"),
        (packed(FILES)[:-100], "damaged", "no whole zip"),
        (packed(FILES)[:200] + b"x" * 50 + packed(FILES)[250:], "damaged", "no whole zip"),
        (without("META-INF/container.xml"), "damaged", "has no META-INF/container.xml"),
        (without("OEBPS/two.xhtml"), "damaged", "has no OEBPS/two.xhtml"),
        (FILES | {"META-INF/container.xml": "<x/>"}, "damaged", "names no package file"),
        (FILES | {"OEBPS/book.opf": PACKAGE[:-300]}, "damaged", "XML file of the book cannot be read"),
        (FILES | {"OEBPS/book.opf": PACKAGE.replace('idref="b"', 'idref="c"')}, "damaged", "spine names 'c'"),
        (FILES | {"OEBPS/book.opf": PACKAGE.replace("itemref", "other")}, "empty", "'text' is empty"),
        (locked("OEBPS/two.xhtml"), "encrypted", "OEBPS/two.xhtml is encrypted"),
    ],
)
def test_what_is_wrong(tmp_path, content, reason, said):
    with pytest.raises(Reject, match=said) as caught:
        found(tmp_path, content)
    assert caught.value.reason == reason


def test_fonts_may_be_encrypted(tmp_path):
    assert "Zwei" in found(tmp_path, locked("OEBPS/font.otf")).text


def test_a_bomb_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(epub, "LONGEST_RECORD", 10**6)
    bomb = packed(FILES | {"OEBPS/two.xhtml": b" " * 300_000_000})
    assert len(bomb) < 10**6
    tracemalloc.start()
    try:
        with pytest.raises(Reject) as caught:
            found(tmp_path, bomb)
        assert caught.value.reason == "too_long" and tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_entities_do_not_grow_without_bound(tmp_path):
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    laughs = f'<!DOCTYPE package [<!ENTITY l0 "ha">{lines}]>' + PACKAGE.replace("CC0", "&l11;")
    with pytest.raises(Reject) as caught:
        found(tmp_path, FILES | {"OEBPS/book.opf": laughs})
    assert caught.value.reason == "damaged"
