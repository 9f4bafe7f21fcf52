"""Against Python's own json: what it reads is read, what neither reads is named."""

import json

import pytest

from megatron_ext.corpus.documents import Reject, records
from megatron_ext.corpus.readers import jsonl
from megatron_ext.corpus.sources import Source
from tests import texts


def test_every_line_is_a_record(tmp_path):
    path = texts.write_jsonl(tmp_path / "a.jsonl", texts.HARD)
    with Source(str(path)) as source:
        found = list(records(source, jsonl, ["text"], "document"))
    assert [record.number for record in found] == list(range(1, len(texts.HARD) + 1))
    assert [jsonl.fields(record.payload, ["text"])["text"] for record in found] == texts.HARD
    assert {record.file for record in found} == {str(path)}


@pytest.mark.parametrize(
    "line", [b'{"text": "\\ud83d\\ude00", "n": NaN, "m": -Infinity}', b'{"a": "\\ud800"}', b'  {"a": 1}\r\n', b'{"a": 1, "a": 2}']
)
def test_what_pythons_json_reads_is_read(line):
    assert str(jsonl.fields(line, ["a"])) == str(json.loads(line))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\n", "empty"),
        (b"  \r\n", "empty"),
        (b"words", "not_json"),
        (b'{"text": "cut o', "not_json"),
        (b'{"a": 1} {"b": 2}', "not_json"),
        (b'{"text": "a\tb"}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[1]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"text": "\xff"}', "not_utf8"),
    ],
)
def test_what_is_wrong_with_a_line(line, reason):
    with pytest.raises(Reject) as caught:
        jsonl.fields(line, ["text"])
    assert caught.value.reason == reason
    assert caught.value.byte == (10 if reason == "not_utf8" else None)
