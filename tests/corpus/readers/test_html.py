"""Pages in the charsets that browsers know, against the text that was put into them; both extractors."""

import html
import sys

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, document, open_source, records, texts
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.html_text import decode, page
from megatron_ext.corpus.inputs import format_of
from megatron_ext.corpus.readers import html as reader

PARAGRAPHS = [
    "Ein Satz über Größe & Maß, lang genug, um als Inhalt zu gelten: 5 < 6.",
    "Ein zweiter Absatz mit genügend Wörtern, der nichts anderes tut als dazustehen.",
]
PAGE = (
    '<!DOCTYPE html><html lang="de"><head>{meta}<title>Über\n alles &amp; mehr</title><link rel="canonical" href="http://x.de/1">'
    "<style>p {{ color: red }}</style><script>var secret = 1;</script></head><body><nav><a href=/>Startseite</a></nav>"
    "<article><h1>Kopf</h1><p>{}</p><p>{}</p><pre>def f():\n    return 1</pre></article><footer>Impressum</footer></body></html>"
)


def made(meta="", paragraphs=PARAGRAPHS):
    return PAGE.format(*map(html.escape, paragraphs), meta=meta)


def found(path, **flags):
    with open_source(str(path), reader) as source:
        (record,) = records(source, reader, None, InputFlags(**flags))
    return document(record, reader)


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_a_page(tmp_path, extractor):
    (tmp_path / "a.html").write_text(made('<meta charset="utf-8">'))
    page = found(tmp_path / "a.html", html_extractor=extractor)
    assert all(part in page.text for part in ["Kopf", *PARAGRAPHS, "def f():\n    return 1"])
    assert not any(part in page.text for part in ("Startseite", "Impressum", "secret", "color", "&amp;", "<p>"))
    assert page.values.keys() == {"text", "title", "language", "url"} and page.source == "html"
    assert [page.values[key] for key in ("title", "language", "url")] == ["Über alles & mehr", "de", "http://x.de/1"]
    assert page.id == f"{tmp_path}/a.html:1"


def test_the_extractors_differ(tmp_path):
    (tmp_path / "a.html").write_text(made())
    assert found(tmp_path / "a.html").text != found(tmp_path / "a.html", html_extractor="trafilatura").text


@pytest.mark.parametrize(
    ("charset", "meta", "words"),
    [
        ("utf-8", "", "naïve 中文"),
        ("utf-8-sig", "", "naïve 中文"),
        ("utf-16", "", "naïve 中文"),
        ("iso-8859-1", '<meta charset="iso-8859-1">', "naïve déjà"),
        ("gb18030", '<meta http-equiv="Content-Type" content="text/html; charset=gb2312">', "网页的内容很长"),
        ("shift_jis", '<meta charset="Shift_JIS">', "日本語のページ"),
        ("koi8-r", '<meta charset="koi8-r">', "русский текст"),
        ("big5", '<meta charset="big5">', "網頁的內容"),
    ],
)
def test_charsets(tmp_path, charset, meta, words):
    (tmp_path / "a.htm").write_bytes(made(meta, [words * 20, "x" * 50]).encode(charset, "xmlcharrefreplace"))
    assert words * 20 in found(tmp_path / "a.htm").text


def test_what_is_said_goes_by_who_says_it():
    russian = '<meta charset="koi8-r"><p>текст'
    assert "текст" in decode(russian.encode("koi8-r")) and "текст" in decode(russian.encode("utf-8"), "utf-8")
    assert "текст" in decode(russian.encode("utf-8-sig"), "koi8-r")
    assert "текст" not in decode(russian.encode("utf-8")), "browsers believe the page, too"
    assert "Menü" in decode("<p>Menü".encode(), "nonsense") and "Menü" in decode("<p>Menü".encode())
    assert "Menü" in decode('<?xml version="1.0" encoding="ISO-8859-1"?><p>Menü'.encode("latin-1"))
    assert "Menü" in decode('<meta charset="utf-16"><p>Menü'.encode())


@pytest.mark.parametrize("charset", ["gbk", "shift_jis", "windows-1251"])
def test_what_nobody_says_is_guessed(charset):
    words = {"gbk": "中文网页的内容", "shift_jis": "日本語のページです", "windows-1251": "это русский текст"}[charset]
    assert words in decode(("<p>" + words * 10).encode(charset))


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"<script>x</script>", b"\n\n", b"<p>" * 100_000])
def test_pages_without_content(tmp_path, content):
    (tmp_path / "a.html").write_bytes(content)
    with pytest.raises(Reject) as caught:
        found(tmp_path / "a.html")
    assert caught.value.reason == "empty"


@pytest.mark.parametrize(
    "content", [b"\x00\x00 nul", b"<" * 5000, b"<div>" * 100_000 + b"deep", b"\xff\xfe\xff", bytes(range(256))]
)
def test_odd_pages_are_read_all_the_same(tmp_path, content):
    (tmp_path / "a.html").write_bytes(content)
    for extractor in ("resiliparse", "trafilatura"):
        try:
            assert isinstance(found(tmp_path / "a.html", html_extractor=extractor).text, str)
        except Reject as reject:
            assert reject.reason in ("empty", "not_utf8")


def test_a_page_in_no_charset_is_refused(tmp_path):
    (tmp_path / "a.html").write_bytes(b'<meta charset="utf-8"><p>' + "한국어 문서 ".encode("euc-kr") * 50)
    with pytest.raises(Reject, match="mean nothing in the charset") as caught:
        found(tmp_path / "a.html")
    assert caught.value.reason == "not_utf8"


def test_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "LONGEST_RECORD", 100)
    (tmp_path / "a.html").write_text(made())
    with pytest.raises(Reject) as caught:
        found(tmp_path / "a.html")
    assert caught.value.reason == "too_long"


def test_texts_for_preprocessing(tmp_path):
    (tmp_path / "a.html.zst").touch()
    assert format_of(f"{tmp_path}/a.html.zst", READERS) == "html"
    (tmp_path / "a.html").write_text(made())
    with open_source(f"{tmp_path}/a.html", reader) as source:
        (record,) = records(source, reader, ("text",), InputFlags())
    assert texts(record, reader, ("text", "title"))[1] == "Über alles & mehr"


def test_a_missing_package_is_named_with_the_way_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "resiliparse.parse.html", None)
    with pytest.raises(UserError, match=r"HTML files need the package resiliparse .*pip install 'megatron-ext\[data\]'"):
        page("<p>x", "resiliparse")


def test_headings_and_terms_that_link_to_themselves_stay():
    """As man pages by mandoc have them, and READMEs: a heading that is nothing but a link is no content to Resiliparse."""
    html = "<main><h1><a class='permalink' href='#NAME'>NAME</a></h1><p>A sentence of words, which is the content.</p>"
    html += '<dl><dt><a href="#h"><b>-h</b>, <b>--help</b></a></dt><dd>says how.</dd></dl></main>'
    assert page(html, "resiliparse").text == "NAME\n\nA sentence of words, which is the content.\n\n-h, --help\nsays how."


def test_marks_beside_headings_and_menus_do_not():
    html = "<nav><ul><li><a href='#a'>Menu</a></li></ul></nav><main><h2>Title<a class='headerlink' href='#t'>¶</a></h2>"
    html += "<p>A sentence of words, which is the content.</p></main>"
    assert page(html, "resiliparse").text == "Title\n\nA sentence of words, which is the content."


def test_a_term_and_its_type_are_two_words():
    term = "<dt><strong>k</strong><span class='classifier'>array_like</span></dt>"
    html = f"<main><p>Some words before them.</p><dl>{term}<dd>Steps.</dd></dl></main>"
    assert page(html, "resiliparse").text == "Some words before them.\n\nk : array_like\nSteps."
