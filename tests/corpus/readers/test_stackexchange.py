"""Small dumps as the sites write them, read back by Python's own XML parser for comparison."""

import gzip
import html
import os
import random
import tempfile
import tracemalloc
import xml.etree.ElementTree
from xml.sax.saxutils import quoteattr

import fsspec
import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus import sources
from megatron_ext.corpus.documents import Reject, document, open_source, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import format_of
from megatron_ext.corpus.readers import stackexchange

HEAD, TAIL = '\ufeff<?xml version="1.0" encoding="utf-8"?>\n<posts>\n', "</posts>\n"


def row(id, kind=1, parent=None, score=0, body="", **more):
    said = {"Id": id, "PostTypeId": kind, "ParentId": parent, "Score": score, "Body": body, **more}
    marks = {"\n": "&#xA;", '"': "&quot;"}
    return f"  <row {' '.join(f'{key}={quoteattr(str(each), marks)}' for key, each in said.items() if each is not None)} />\n"


CODE = '<p>Use <code>a &lt; b</code>, say "x" Score="99":</p>\n<pre class="lang-py"><code>def f():\n'
CODE += "    return  1 &amp; 2\n</code></pre>"
ROWS = [
    row(4, score=7, body="<p>How?</p>", Title='A "title"\n & more', Tags="<c#><visual-studio>",
        CreationDate="2008-07-31T21:42:52.667", ContentLicense="CC BY-SA 2.5"),
    row(6, body="<p>Nobody knows.</p>", Title="Alone", Tags="|a|b|"),
    row(5, 4, body="a description of a tag"),
    row(7, 2, 4, 3, CODE, ContentLicense="CC BY-SA 4.0"),
    row(8, 2, 4, -2, "<p>Badly.</p>"),
    row(9, 2, 4, 10, "<p>So. 中文</p>"),
    row(10, 2, 4, 3, "<p>Later, with as many votes.</p>"),
]  # fmt: skip
ANSWERS = ["So. 中文", 'Use a < b, say "x" Score="99":\n\ndef f():\n    return  1 & 2', "Later, with as many votes.", "Badly."]


def write(folder, rows=ROWS, head=HEAD, tail=TAIL, name="site.example.com/Posts.xml"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    content = (head + "".join(rows) + tail).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


def found(path, **flags):
    with open_source(path, stackexchange) as source:
        return [looked_into(record) for record in records(source, stackexchange, None, InputFlags(**flags))]


def looked_into(record):
    try:
        return document(record, stackexchange)
    except Reject as reject:
        return f"{record.number} {reject.reason}"


@pytest.mark.parametrize("name", ["site.example.com/Posts.xml", "site.example.com-Posts.xml.gz"])
def test_questions_with_their_answers_by_score(tmp_path, name):
    path = write(tmp_path, name=name)
    assert format_of(path, READERS) == "stackexchange"
    first, second = found(path)
    assert first.text == "\n\n".join(['A "title" & more', "How?", *ANSWERS])
    assert {key: value for key, value in first.values.items() if key != "text"} == {
        "id": "site.example.com:4", "source": "site.example.com", "title": 'A "title" & more', "tags": ["c#", "visual-studio"],
        "score": 7, "date": "2008-07-31T21:42:52.667", "url": "https://site.example.com/questions/4",
        "license": "CC BY-SA 2.5, CC BY-SA 4.0",
    }  # fmt: skip
    assert second.text == "Alone\n\nNobody knows." and second.values["tags"] == ["a", "b"]


def test_flags_choose_answers(tmp_path):
    path = write(tmp_path)
    for flags, expected in (
        ({"stackexchange_min_score": 3}, ANSWERS[:3]),
        ({"stackexchange_max_answers": 1}, ANSWERS[:1]),
        ({"stackexchange_max_answers": 0}, []),
        ({"stackexchange_min_score": -2, "stackexchange_max_answers": 9}, ANSWERS),
    ):
        assert found(path, **flags)[0].text == "\n\n".join(['A "title" & more', "How?", *expected])


def test_against_a_parser_that_holds_everything(tmp_path):
    chance = random.Random(0)
    questions = [row(n, score=n, body=f"question {n}", Title=f"t{n}") for n in range(1, 300)]
    answers = [row(n, 2, chance.randrange(1, 300), chance.randrange(-5, 20), f"answer {n}") for n in range(1000, 3000)]
    mixed = questions + answers
    chance.shuffle(mixed)
    path = write(tmp_path, mixed)
    by_question = {}
    for each in xml.etree.ElementTree.parse(path).getroot():
        if each.get("PostTypeId") == "2":
            by_question.setdefault(each.get("ParentId"), []).append(
                (-int(each.get("Score")), int(each.get("Id")), each.get("Body"))
            )
    expected = [[f"t{n}", f"question {n}", *(body for *_, body in sorted(by_question.get(str(n), [])))] for n in range(1, 300)]
    assert [each.text.split("\n\n") for each in found(path)] == expected


def test_a_url_is_read_too(tmp_path):
    content = open(write(tmp_path), "rb").read()
    fsspec.filesystem("memory").pipe("/site.example.com/Posts.xml", content)
    assert [each.id for each in found("memory://site.example.com/Posts.xml")] == ["site.example.com:4", "site.example.com:6"]


def test_rows_that_are_broken_or_answer_nothing(tmp_path):
    bad = [
        row(20, 2, 999, 1, "orphan"),
        '<row Id="21" PostTypeId="1" Body="cut\n',
        'off" />\n',
        '<row Id="22" PostTypeId="1" Body="&nope;" />\n',
        '<row PostTypeId="1" Body="no id" />\n',
        "<comment/>\n",
        row(23, 2, None, 1, "no parent"),
        '<row Id="24" PostTypeId="1" Body="\x01" />\n',
        "\n",
    ]
    result = found(write(tmp_path, ROWS + bad))
    assert sorted(each for each in result if isinstance(each, str)) == sorted(
        ["10 no_parent", "11 damaged", "12 damaged", "13 damaged", "14 damaged", "15 damaged", "16 damaged", "17 damaged"]
    )
    assert len(result) == 10


@pytest.mark.parametrize(
    ("head", "tail", "said"),
    [
        (HEAD, "", "is cut off: </posts> is missing"),
        (HEAD, "  <row Id=", "is cut off"),
        ("<users>\n", "</users>\n", "line 2: is no Posts.xml"),
    ],
)
def test_files_that_are_not_whole(tmp_path, head, tail, said):
    with pytest.raises(UserError, match=f"Posts.xml.*{said}"):
        found(write(tmp_path, head=head, tail=tail))


def test_a_compressed_file_that_is_cut_off(tmp_path):
    path = write(tmp_path, name="Posts.xml.gz")
    content = open(path, "rb").read()
    open(path, "wb").write(content[:-20])
    with pytest.raises(UserError, match="is cut off"):
        found(path)


def test_too_long(tmp_path, monkeypatch):
    for module in (sources, stackexchange):
        monkeypatch.setattr(module, "LONGEST_RECORD", 300)
    rows = [
        row(1, body="q", Title="t"),
        row(2, body="x" * 400),
        row(3, 2, 1, 0, "y" * 150),
        row(4, 2, 1, 0, "z" * 150),
        row(5, body="w"),
    ]
    result = found(write(tmp_path, rows))
    assert [each if isinstance(each, str) else each.text for each in result] == ["4 too_long", "3 too_long", "w"]
    assert found(write(tmp_path, rows), stackexchange_max_answers=1)[1].text == "t\n\nq\n\n" + "y" * 150


def test_memory_is_flat_and_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    peaks = []
    for count in (2_000, 20_000):
        body = html.escape("<p>" + "words " * 30 + "</p>")
        rows = (row(n, 1 if n % 2 else 2, None if n % 2 else n - 1, 0, body, Title="t") for n in range(1, count + 1))
        path = write(tmp_path, rows)
        del rows
        tracemalloc.start()
        with open_source(path, stackexchange) as source:
            assert sum(1 for _ in records(source, stackexchange, None, InputFlags())) == count // 2
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] + 1e6
    assert os.listdir(tmp_path) == ["site.example.com"]
