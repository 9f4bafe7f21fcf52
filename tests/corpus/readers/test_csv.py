"""Tables as Python's own csv module and pyarrow read them."""

import csv as python_csv
import gzip
import io

import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, document, open_source, records, texts
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import format_of, parts
from megatron_ext.corpus.readers import csv

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def found(path, keys=None):
    with open_source(str(path), csv) as source:
        return list(records(source, csv, keys, InputFlags(), needed=keys or ()))


@settings(deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6))
def test_what_python_writes_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = python_csv.writer(file, quoting=python_csv.QUOTE_ALL)
        writer.writerows([("a", "b", "c"), *rows])
    read = found(path)
    assert [tuple(csv.fields(record.payload, None).values()) for record in read] == rows
    content = path.read_bytes()
    assert [record.number for record in read] == list(range(1, len(rows) + 1))
    for record, row in zip(read, rows):  # a row's place is where it begins
        again = next(python_csv.reader(io.StringIO(content[record.place :].decode(), newline="")))
        assert tuple(again) == row


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.tsv", "\t"), ("a.tsv.gz", "\t")])
def test_the_same_as_pyarrow(tmp_path, name, mark):
    head, rows = ["id", "comment_text", "toxic"], [["1", '"two\r\nlines, ""quoted"""', "1"], [], ["2", "中文", "0"]]
    content = ("\ufeff" + "".join(mark.join(row) + "\r\n" for row in [head, *rows])).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert format_of(str(tmp_path / name), READERS) == "csv"
    options = pyarrow.csv.ParseOptions(delimiter=mark, newlines_in_values=True)
    kinds = pyarrow.csv.ConvertOptions(column_types={"id": pyarrow.string(), "toxic": pyarrow.string()})
    table = pyarrow.csv.read_csv(io.BytesIO(content), parse_options=options, convert_options=kinds).to_pylist()
    assert [csv.fields(record.payload, None) for record in found(tmp_path / name)] == table
    first = document(found(tmp_path / name)[0], csv, "comment_text")
    assert (first.id, first.source, first.text) == ("1", "csv", 'two\r\nlines, "quoted"')


def test_what_is_damaged_is_a_reject_or_a_sentence(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,n\ngood,1\nlonely\nb\xffd,2\nx,3,4\nfine,\xff\n")
    one, lonely, bad, many, fine = found(path)
    for record, reason in ((lonely, "damaged"), (bad, "not_utf8"), (many, "damaged")):
        with pytest.raises(Reject) as refused:
            texts(record, csv, ["text"])
        assert refused.value.reason == reason
    assert texts(one, csv, ["text"]) == ["good"] and texts(fine, csv, ["text"]) == ["fine"]
    assert document(fine, csv).values["n"] == "/w=="
    with pytest.raises(UserError, match="has no column body; its columns are text, n"):
        found(path, ["body"])
    path.write_text("")
    assert found(path) == []


def test_a_quote_that_is_never_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "LONGEST_RECORD", 1000)
    (tmp_path / "a.csv").write_text('text,n\ngood,1\n"open,2\n' + "words,3\n" * 1000)
    with pytest.raises(UserError, match=r"a.csv: cannot be read as CSV at byte 14 \(field larger than .*\); is a quote open"):
        found(tmp_path / "a.csv")


def test_a_table_is_never_cut(tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + "words\n" * 1000)
    assert parts(str(tmp_path / "a.csv"), csv, InputFlags(), 10) == [(0, None)]
