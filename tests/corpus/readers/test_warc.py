"""WARC files written by hand after ISO 28500; what FastWARC reads of a good one is what we read."""

import gzip
import io
import zlib

import brotli
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, document, open_source, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import format_of
from megatron_ext.corpus.readers import warc

WORDS = "Un paragraphe assez long, où l'on a déjà vu des mots comme naïf et café."
HTML = f"<html lang=fr><title>Page</title><body><article><h1>Tête</h1><p>{WORDS}</p></article></body></html>"


def record(number, content, kind="response", content_type="application/http; msgtype=response", more=""):
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\nWARC-Target-URI: http://e.com/{number}\r\n"
    head += f"WARC-Date: 2024-05-06T07:08:09Z\r\n{more}Content-Type: {content_type}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content + b"\r\n\r\n"


def http(body, content_type="text/html; charset=utf-8", status="200 OK", more=""):
    return f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}\r\n".encode() + body


def chunked(body, size=50):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def deflated(body, bits):
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(body) + packer.flush()


def write(folder, *parts, name="a.warc"):
    path = folder / name
    packed = map(gzip.compress, parts) if name.endswith(".gz") else parts  # a member a record, as crawlers write
    path.write_bytes(b"".join(packed))
    return str(path)


def found(path, **flags):
    """Documents, and rejects by reason."""
    with open_source(path, warc) as source:
        return [looked_into(each) for each in records(source, warc, None, InputFlags(**flags))]


def looked_into(each):
    try:
        return document(each, warc)
    except Reject as reject:
        return reject.reason


GOOD = [record(number, http(HTML.encode())) for number in range(3)]
OTHERS = [
    record("i", b"software: x\r\n", "warcinfo", "application/warc-fields"),
    record("q", b"GET / HTTP/1.1\r\n\r\n", "request", "application/http; msgtype=request"),
    record("m", b"fetchTimeMs: 5\r\n", "metadata", "application/warc-fields"),
    record("d", b"IN A 1.2.3.4", "response", "text/dns"),
]


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_pages(tmp_path, name):
    path = write(tmp_path, OTHERS[0], GOOD[0], *OTHERS, GOOD[1], GOOD[2], name=name)
    pages = found(path)
    assert format_of(path, READERS) == "warc" and [page.id for page in pages] == [f"urn:uuid:{number}" for number in range(3)]
    assert all("Tête" in page.text and WORDS in page.text for page in pages)
    assert pages[1].source == "warc" and pages[1].values == {
        "text": pages[1].text, "title": "Page", "language": "fr", "id": "urn:uuid:1", "url": "http://e.com/1",
        "date": "2024-05-06T07:08:09Z", "source": "warc",
    }  # fmt: skip
    with open(path, "rb") as file:
        theirs = [each.record_id for each in ArchiveIterator(file, record_types=WarcRecordType.response) if each.is_http]
    assert [f"<{page.id}>" for page in pages] == theirs


def test_a_records_number_counts_all_records(tmp_path):
    with open_source(write(tmp_path, *OTHERS, *GOOD), warc) as source:
        assert [each.number for each in records(source, warc, None, InputFlags())] == [5, 6, 7]


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (HTML.encode(), ""),
        (gzip.compress(HTML.encode()), "Content-Encoding: gzip\r\n"),
        (brotli.compress(HTML.encode()), "Content-Encoding: br\r\n"),
        (deflated(HTML.encode(), 15), "Content-Encoding: deflate\r\n"),
        (deflated(HTML.encode(), -15), "Content-Encoding: deflate\r\n"),
        (chunked(HTML.encode()), "Transfer-Encoding: chunked\r\n"),
        (chunked(gzip.compress(HTML.encode())), "Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n"),
        (HTML.encode(), "Content-Encoding: gzip\r\n"),  # undone by the crawler
        (HTML.encode(), "X-Crawler-Content-Encoding: gzip\r\nSet-Cookie: a=b\r\n"),
    ],
)
def test_what_http_does_to_a_page_is_undone(tmp_path, body, more):
    (page,) = found(write(tmp_path, record(1, http(body, more=more))))
    assert WORDS in page.text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (http(HTML.encode(), status="404 Not Found"), "http_status"),
        (http(b"", status="301 Moved"), "http_status"),
        (http(b"%PDF-1.4", "application/pdf"), "not_html"),
        (http(b"{}", ""), "not_html"),
        (http(b""), "empty"),
        (b"", "damaged"),
        (http(gzip.compress(HTML.encode())[:-20], more="Content-Encoding: gzip\r\n"), "damaged"),
        (http(brotli.compress(HTML.encode())[:-9], more="Content-Encoding: br\r\n"), "damaged"),
        (http(b"\x1f\x8bnonsense", more="Content-Encoding: gzip\r\n"), "damaged"),
        (http(gzip.compress(b"x" * 200_000_000), more="Content-Encoding: gzip\r\n"), "too_long"),
    ],
)
def test_what_is_no_page_is_refused_by_reason(tmp_path, content, reason):
    assert found(write(tmp_path, record(1, content), GOOD[2]))[0] == reason


def test_a_page_that_the_crawler_cut_is_what_is_there_of_it(tmp_path):
    body = gzip.compress(HTML.encode())[:-9]
    cut = record(1, http(body, more="Content-Encoding: gzip\r\n"), more="WARC-Truncated: length\r\n")
    assert WORDS[:40] in found(write(tmp_path, cut))[0].text


def test_charset_of_http_and_extractor(tmp_path):
    path = write(tmp_path, record(1, http(HTML.encode("latin-1"), "text/html; charset=ISO-8859-1")))
    first, second = found(path)[0].text, found(path, html_extractor="trafilatura")[0].text
    assert WORDS in first and WORDS in second and first != second


def test_texts_that_somebody_extracted(tmp_path):
    more = "WARC-Identified-Content-Language: eng,fra\r\n"
    parts = [record(n, text, "conversion", "text/plain", more) for n, text in enumerate([b"Words\nand words", b"caf\xe9", b" "])]
    path = write(tmp_path, *parts, name="a.warc.wet.gz")
    assert format_of(path, READERS) == "warc"
    first, *bad = found(path)
    assert (first.text, first.values["language"], first.id) == ("Words\nand words", "eng", "urn:uuid:0") and bad == [
        "not_utf8",
        "empty",
    ]


@pytest.mark.parametrize("keep", [20, 300, -5, -len(GOOD[2]) + 10])
def test_cut_off(tmp_path, keep):
    whole = b"".join(GOOD)
    path = write(tmp_path, whole[:keep])
    expected = "is cut off" if keep != -5 else "bytes are there"
    with pytest.raises(UserError, match=rf"a\.warc, record \d: .*{expected}"):
        found(path)
    packed = gzip.compress(whole)
    (tmp_path / "b.warc.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UserError, match="b.warc.gz: is cut off"):
        found(f"{tmp_path}/b.warc.gz")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>no warc</html>", r"record 1: is damaged or no WARC file: it begins with b'<html>no warc"),
        (GOOD[0] + b"rubbish\r\n\r\n" + GOOD[1], "record 2: is damaged"),
        (b"WARC/1.0\r\nWARC-Type: response\r\n\r\n", "record 1: is damaged: it does not say how long"),
        (b"WARC/1.0\r\n" + b"x" * 3_000_000, "record 1: is damaged: its headers do not end"),
    ],
)
def test_damaged(tmp_path, content, said):
    with pytest.raises(UserError, match=said):
        found(write(tmp_path, content))


def test_nothing_in_nothing(tmp_path):
    assert found(write(tmp_path, b"")) == []


def test_a_record_that_is_too_long_passes_by_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(warc, "LONGEST_RECORD", 2000)
    assert [each if isinstance(each, str) else each.id for each in found(
        write(tmp_path, record(0, http(b"x" * 5000)), GOOD[1])
    )] == ["too_long", "urn:uuid:1"]  # fmt: skip


def test_a_damaged_gzip_is_named(tmp_path):
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb") as file:
        file.write(b"".join(GOOD * 50))
    content = bytearray(stream.getvalue())
    content[100:110] = bytes(10)
    (tmp_path / "a.warc.gz").write_bytes(bytes(content))
    with pytest.raises(UserError, match="a.warc.gz"):
        found(f"{tmp_path}/a.warc.gz")
