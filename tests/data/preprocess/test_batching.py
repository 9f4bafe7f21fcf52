"""All records, in order, in batches of one format and about one size."""

import gzip
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.data.preprocess import batching
from megatron_ext.data.preprocess.batching import read_batches
from tests.texts import write_jsonl


def batches(files, keys=("text",), **flags):
    return list(read_batches([str(file) for file in files], keys, InputFlags(**flags)))


def test_batches_are_full_and_nothing_is_lost_or_moved(tmp_path, monkeypatch):
    monkeypatch.setattr(batching, "BATCH_BYTES", 5000)
    files = [write_jsonl(tmp_path / f"{name}.jsonl", [f"{name} {number} {'x' * 200}" for number in range(50)]) for name in "ab"]
    found = batches(files)
    assert [(record.file, record.number) for batch in found for record in batch.records] == [
        (str(file), number) for file in files for number in range(1, 51)
    ]
    sizes = [sum(len(record.payload) for record in batch.records) for batch in found]
    assert min(sizes[:-1]) >= 5000 and max(sizes) < 5300
    assert sum(batch.read_bytes for batch in found) == sum(map(os.path.getsize, files))


def test_a_batch_is_not_endless_where_records_are_small(tmp_path, monkeypatch):
    monkeypatch.setattr(batching, "BATCH_RECORDS", 7)
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\n" * 20)
    assert [len(batch.records) for batch in batches([file])] == [7, 7, 6]


def test_files_share_a_batch_where_their_format_is_the_same(tmp_path):
    pq.write_table(pa.table({"text": ["row"]}), tmp_path / "c.parquet")
    (tmp_path / "d.txt").write_text("words")
    (tmp_path / "e.txt.gz").write_bytes(gzip.compress(b"more"))
    files = [write_jsonl(tmp_path / f"{name}.jsonl", ["line"]) for name in "ab"]
    files += [tmp_path / "c.parquet", tmp_path / "d.txt", tmp_path / "e.txt.gz"]
    found = batches(files)
    assert [(batch.format, len(batch.records)) for batch in found] == [("jsonl", 2), ("parquet", 1), ("text", 2)]
    assert sum(batch.read_bytes for batch in found) == sum(map(os.path.getsize, files))


def test_a_format_that_is_named_goes_before_the_ending(tmp_path):
    (tmp_path / "a.jsonl").write_text("one\n\ntwo\n")
    (only,) = batches([tmp_path / "a.jsonl"], input_format="text", text_sample_by="paragraph")
    assert [record.payload for record in only.records] == [b"one", b"two"]


def test_a_file_that_vanished_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        batches([tmp_path / "gone.jsonl"])
