"""What is kept goes out as it came: byte for byte where nothing was edited, value for value where something was."""

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.documents import Record, document
from megatron_ext.corpus.engine.parts import Parts, line_of, record_of
from megatron_ext.corpus.readers import jsonl, text
from megatron_ext.corpus.sources import LONGEST_RECORD

NUMBERS = st.integers() | st.integers(min_value=2**62, max_value=2**200) | st.floats(allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.sampled_from(["id", "source", "a", "b", "ü"]), VALUES).map(lambda record: {"text": "x"} | record)


@settings(deadline=None)
@given(RECORDS, st.booleans(), st.sampled_from([", ", ",  "]))
@example({"text": "x", "id": 2**100, "b": [2**64, math.inf]}, True, ", ")
def test_a_line_of_json(record, edited, comma):
    line = json.dumps(record, separators=(comma, ": ")).encode()
    found = document(Record("a.jsonl", 1, line, 0), jsonl)
    if edited:
        found.text = "y"
    written = line_of(found, line)
    again = json.loads(written)
    assert written.endswith(b"\n") and b"\n" not in written[:-1]
    missing = [key for key in ("id", "source") if record.get(key) in (None, "")]
    assert again == record | {"text": found.text} | {key: getattr(found, key) for key in missing}
    if not edited and not any(key in record for key in missing):
        assert written.strip().endswith(line[1:]), "as it came"
    later = document(Record("work/a.jsonl", 9, written.strip(), 99), jsonl)
    assert (later.id, later.source) == (found.id, found.source), "the next stage calls it the same"


def test_not_a_number_stays_one():
    line = b'{"text": "x", "id": "1", "source": "s", "score": NaN, "note": "\\ud800"}'
    found = document(Record("a.jsonl", 1, line, 0), jsonl)
    found.text = "y"
    again = json.loads(line_of(found, line))
    assert math.isnan(again["score"]) and again["note"] == "\ud800"


def test_a_text_that_begins_with_a_brace_is_no_line_of_json(tmp_path):
    found = document(Record("a.txt", 1, b"{as\nis}", 0), text)
    assert json.loads(line_of(found, None)) == {"id": "a.txt:0", "source": "text", "text": "{as\nis}"}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_between_stages_documents_go_with_where_the_input_has_them(compression, tmp_path):
    """Whatever the file is called, with tabs in the line or the text, and as long as a record may be before it got an id."""
    parts = Parts(tmp_path, compression, between=True)
    longest = b'{"text": "' + b"a" * (LONGEST_RECORD - 13) + b'"}'
    lines = [b'{"text":\t"a\\tb" }\t\r\n', longest, b'{"id": "x", "source": "s", "text": "c"}\n']
    names = ("a\tb\n.jsonl", "\udcff.jsonl", "ü")
    records = [Record(name, 3, line, at) for line, name, at in zip(lines, names, (0, None, 2**40))]
    with parts.writer(7) as file:
        for record in records:
            file.put(document(record, jsonl), record, record.payload)
        file.publish()
    found = [(record_of(line), document) for line, document in parts.read(7)]
    assert [record._replace(payload=None) for record, _ in found] == [record._replace(payload=None) for record in records]
    assert [each.text for _, each in found] == ["a\tb", "a" * (LONGEST_RECORD - 13), "c"]
    assert found[0][1].id == "a\tb\n.jsonl:0" and line_of(found[2][1], found[2][0].payload) == lines[2]
