"""Documents of plain text, by file, paragraph and line."""

import pytest

from megatron_ext.corpus.documents import Reject, records
from megatron_ext.corpus.readers import text
from megatron_ext.corpus.sources import Source

CONTENT = b"\n\nfirst\nparagraph\r\n \t\n\n\nsecond\n\n  third, indented\nand more  "


def found(folder, sample_by, content=CONTENT):
    path = folder / "a.txt"
    path.write_bytes(content)
    with Source(str(path)) as source:
        return [(record.number, record.payload) for record in records(source, text, ["text"], sample_by)]


def test_the_file_is_a_document(tmp_path):
    assert found(tmp_path, "document") == [(1, CONTENT)]


def test_paragraphs(tmp_path):
    assert found(tmp_path, "paragraph") == [
        (3, b"first\nparagraph"),
        (8, b"second"),
        (10, b"  third, indented\nand more  "),
    ]


def test_lines(tmp_path):
    assert found(tmp_path, "line") == list(enumerate((line.rstrip(b"\r") for line in CONTENT.split(b"\n")), start=1))


@pytest.mark.parametrize("sample_by", ["document", "paragraph", "line"])
def test_what_is_too_long_has_no_payload(tmp_path, monkeypatch, sample_by):
    monkeypatch.setattr("megatron_ext.corpus.sources.LONGEST_RECORD", 12)
    monkeypatch.setattr(text, "LONGEST_RECORD", 12)
    content = b"short\n\none two three four\n\nfive six\nseven\neight\n\nend\n"
    assert found(tmp_path, sample_by, content) == {
        "document": [(1, None)],
        "paragraph": [(1, b"short"), (3, None), (5, None), (9, b"end")],
        "line": [
            (1, b"short"), (2, b""), (3, None), (4, b""), (5, b"five six"), (6, b"seven"), (7, b"eight"), (8, b""), (9, b"end")
        ],
    }[sample_by]  # fmt: skip


def test_bytes_that_are_not_utf8_are_named():
    with pytest.raises(Reject) as caught:
        text.fields(b"caf\xe9", ["text"])
    assert (caught.value.reason, caught.value.byte) == ("not_utf8", 3)
