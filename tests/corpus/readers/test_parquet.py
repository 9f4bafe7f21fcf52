"""Against pyarrow's own writing: every way in which a column may hold text, and what Parquet does not check."""

import datetime
import decimal
import json

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, document, records, texts
from megatron_ext.corpus.readers import parquet
from megatron_ext.corpus.sources import Source
from tests.texts import HARD


def found(path, *keys):
    with Source(str(path)) as source:
        return list(records(source, parquet, keys or ("text",), "document"))


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()],
    ids=str,
)
def test_every_way_of_holding_text(tmp_path, kind):
    values = HARD * 50
    column = pa.array(values).cast(pa.binary()).cast(kind) if kind == pa.large_binary() else pa.array(values).cast(kind)
    table = pa.table({"text": column, "n": range(len(values))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=200)
    rows = found(tmp_path / "a.parquet")
    assert [row.number for row in rows] == list(range(1, len(values) + 1))
    assert [parquet.fields(row.payload, ["text"])["text"] for row in rows] == values


def test_only_the_columns_asked_for_are_read_and_in_parallel(tmp_path):
    pq.write_table(pa.table({"a": ["1", "2"], "b": ["x", "y"], "c": [0, 1]}), tmp_path / "a.parquet")
    assert [texts(row, parquet, ["b", "a"]) for row in found(tmp_path / "a.parquet", "b", "a")] == [["x", "1"], ["y", "2"]]
    assert set(found(tmp_path / "a.parquet", "b")[0].payload) == {"b"}


def test_nulls_numbers_and_bad_bytes_are_refused_by_row(tmp_path):
    bad = pa.array([b"fine", b"caf\xe9", None]).view(pa.string())
    pq.write_table(pa.table({"text": bad, "n": [1, 2, 3]}), tmp_path / "a.parquet")
    rows = found(tmp_path / "a.parquet", "text", "n")
    for row, key, reason, byte in (
        (rows[1], "text", "not_utf8", 3),
        (rows[2], "text", "not_text", None),
        (rows[0], "n", "not_text", None),
    ):
        with pytest.raises(Reject) as caught:
            texts(row, parquet, [key])
        assert (caught.value.reason, caught.value.byte) == (reason, byte)


def test_a_missing_column_is_the_files_fault_and_not_each_rows(tmp_path):
    pq.write_table(pa.table({"body": ["x"], "url": ["y"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="has no column text; its columns are body, url"):
        found(tmp_path / "a.parquet")


@pytest.mark.parametrize("keep", [0, 10, 0.5, -3])
def test_cut_off_or_no_parquet(tmp_path, keep):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [str(number) * 50 for number in range(5000)]}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)] if isinstance(keep, float) else whole[:keep])
    with pytest.raises(UserError, match="damaged or not a Parquet file"):
        found(path)


def test_a_row_as_a_whole_document_is_all_that_json_can_hold(tmp_path):
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9)
    nested = [{"a": [1, None], "b": "x"}, {"a": [], "b": None}]
    columns = {
        "text": pa.array([b"fine", b"caf\xe9"]).view(pa.string()),
        "picture": pa.array([b"\xff\xd8", b"ascii"]),
        "nested": nested,
        "when": [moment, None],
        "price": [decimal.Decimal("1.50"), None],
        "list": pa.array([[b"ok"], [b"\xe9"]]).cast(pa.list_(pa.binary())),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with Source(str(tmp_path / "a.parquet")) as source:
        good, bad = records(source, parquet, None, "document")
    found = document(good, parquet)
    assert found.values == {
        "text": "fine", "picture": "/9g=", "nested": nested[0], "when": "2024-05-06T07:08:09", "price": "1.50", "list": ["ok"]
    }  # fmt: skip
    assert json.loads(orjson.dumps(found.values)) == found.values
    with pytest.raises(Reject) as caught:
        document(bad, parquet)
    assert (caught.value.reason, caught.value.byte) == ("not_utf8", 3)
    bad.payload["text"] = b"good"
    assert document(bad, parquet).values["list"] == ["6Q=="]


def test_texts_inside_lists_that_are_not_utf8(tmp_path):
    inside = pa.ListArray.from_arrays([0, 1, 2], pa.array([b"\xff", b"ok"]).view(pa.string()))
    pq.write_table(pa.table({"text": ["a", "b"], "tags": inside}), tmp_path / "a.parquet")
    with Source(str(tmp_path / "a.parquet")) as source:
        tags = [document(record, parquet).values["tags"] for record in records(source, parquet, None, "document")]
    assert tags == ["/w==", ["ok"]]
