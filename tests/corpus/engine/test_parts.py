"""What is kept goes out as it came: byte for byte where nothing was edited, value for value where something was."""

import json
import math

from hypothesis import example, given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.documents import Record, document
from megatron_ext.corpus.engine.parts import line_of
from megatron_ext.corpus.readers import jsonl, text

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
