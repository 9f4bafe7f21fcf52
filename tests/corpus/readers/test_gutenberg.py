"""Frames of several years around one text."""

import pytest

from megatron_ext.corpus.documents import Reject, document, open_source, records
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.corpus.readers import gutenberg

BOOK = "CHAPTER I\n\nIt is a truth universally acknowledged…\n\n    indented verse\n\n\nTHE END"
HEADER = """The Project Gutenberg eBook of Pride and Prejudice

This ebook is for the use of anyone anywhere.

Title: Pride and Prejudice
        A Novel

Author: Jane Austen

Release date: June 1, 1998 [eBook #1342]
                Most recently updated: 2024

Language: English

"""
LICENSE = "\n\nUpdated editions will replace the previous one.\n*** START: FULL LICENSE ***\n"
START, END = "*** START OF THE PROJECT GUTENBERG EBOOK PRIDE AND PREJUDICE ***\n", "*** END OF THE PROJECT GUTENBERG EBOOK"


def found(tmp_path, content):
    (tmp_path / "1342-0.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with open_source(f"{tmp_path}/1342-0.txt", gutenberg) as source:
        (record,) = records(source, gutenberg, None, InputFlags())
    return document(record, gutenberg)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START, f"{END} PRIDE AND PREJUDICE ***"),
        ("*** START OF THIS PROJECT GUTENBERG EBOOK\nPRIDE AND PREJUDICE ***\n", "***END OF THIS PROJECT GUTENBERG EBOOK X***"),
        ("*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n", "End of the Project Gutenberg EBook of Pride"),
        (
            START + "\n\nProduced by A. Reader and\nthe Team at http://www.pgdp.net\n\n\n",
            "End of Project Gutenberg's Pride\n" + END,
        ),
        (START + "\nE-text prepared by B\n\n", END),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_frames(tmp_path, start, end, line_end):
    book = found(
        tmp_path,
        "\ufeff" * (line_end == "\n") + (HEADER + start + "\n\n" + BOOK + "\n\n" + end + LICENSE).replace("\n", line_end),
    )
    assert book.text == BOOK
    assert (book.id, book.source) == ("gutenberg-1342", "gutenberg")
    assert book.values == {
        "text": BOOK, "source": "gutenberg", "id": "gutenberg-1342", "title": "Pride and Prejudice A Novel",
        "author": "Jane Austen", "language": "English",
    }  # fmt: skip


def test_a_book_that_quotes_its_frame_is_not_cut_there(tmp_path):
    book = BOOK + "\n\nHe read: *** END OF THE PROJECT GUTENBERG EBOOK and wept.\nProduced by nobody\n\nLast words."
    assert found(tmp_path, HEADER + START + book + "\n" + END).text == book


def test_charsets(tmp_path):
    header = HEADER + "Character set encoding: {}\n\n" + START
    whole = header + "café\n" + END
    assert found(tmp_path, whole.format("ISO-8859-1").encode("latin-1")).text == "café"
    assert found(tmp_path, whole.format("UTF-8")).text == "café"
    for said in ("UTF-8", "nonsense"):
        with pytest.raises(Reject) as caught:
            found(tmp_path, whole.format(said).encode("latin-1"))
        assert caught.value.reason == "not_utf8" and caught.value.byte > len(HEADER)


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        ("", "empty", "empty"),
        ("words", "no_frame", "START OF"),
        (HEADER + START + BOOK, "no_frame", "END OF"),
        (HEADER + START + "\n" + END, "empty", "'text' is empty"),
        (HEADER + "x\n" * 50_000 + START + BOOK + "\n" + END, "no_frame", "START OF"),
    ],
)
def test_what_is_no_book(tmp_path, content, reason, said):
    with pytest.raises(Reject, match=said) as caught:
        found(tmp_path, content)
    assert caught.value.reason == reason
