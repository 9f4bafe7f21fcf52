"""A file that is cut into ranges gives the records of the whole file, each once, under the same ids."""

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus import sources
from megatron_ext.corpus.documents import document, open_source, records
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.corpus.inputs import parts
from megatron_ext.corpus.readers import jsonl, parquet, text
from megatron_ext.corpus.sources import Source

LINES = InputFlags(text_sample_by="line")


def of(path, reader, size, flags=LINES):
    """`(number of ranges, documents as (id, text))`."""
    ranges, found = parts(str(path), reader, flags, size), []
    for begin, end in ranges:
        with open_source(str(path), reader, begin, end) as source:
            found += [document(record, reader) for record in records(source, reader, None, flags)]
    assert ranges[0][0] == 0 and ranges[-1][1] is None
    assert [end for _, end in ranges[:-1]] == [begin for begin, _ in ranges[1:]]
    return len(ranges), [(each.id, each.text) for each in found]


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(max_size=60).map(lambda some: some.replace(b"\x00", b"\n")), cuts=st.sets(st.integers(1, 60), max_size=5)
)
def test_ranges_of_lines_give_each_line_once(tmp_path_factory, content, cuts):
    path = tmp_path_factory.mktemp("x") / "a"
    path.write_bytes(content)
    edges = [0, *sorted(cuts), None]
    found, places = [], []
    for begin, end in zip(edges, edges[1:]):
        with Source(str(path), begin, end) as source:
            for number, (count, line) in enumerate(source.lines(), start=1):
                assert count == number and begin <= source.at and (end is None or source.at < end)
                found.append(line)
                places.append(source.at)
    expected = content.removeprefix(b"\xef\xbb\xbf")
    assert b"".join(found) == expected
    assert all(content[place:].startswith(line) or place == 0 for place, line in zip(places, found))


@pytest.mark.parametrize("size", [1, 50, 999, 10**9])
@pytest.mark.parametrize("reader", [jsonl, text])
def test_lines(tmp_path, reader, size):
    path = tmp_path / "a"
    chance = random.Random(0)
    path.write_text("".join(json.dumps({"text": f"{number} " + "ä" * chance.randrange(90)}) + "\n" for number in range(60)))
    _, whole = of(path, reader, 10**9)
    count, found = of(path, reader, size)
    assert found == whole and len(whole) == len({id for id, _ in whole}) == 60
    assert whole[0][0] == f"{path}:0" and count == max(-(-path.stat().st_size // size), 1)


def test_a_line_over_several_ranges_is_of_the_first_and_one_too_long_of_none(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one\n" + b"x" * 50 + b"\nlast")
    assert of(path, text, 10)[1] == [(f"{path}:0", "one"), (f"{path}:4", "x" * 50), (f"{path}:55", "last")]
    monkeypatch.setattr(sources, "LONGEST_RECORD", 8)
    with Source(str(path), 2, 20) as source:
        assert list(source.lines()) == [(1, None)] and source.at == 4
    with Source(str(path), 5, None) as source:
        assert list(source.lines()) == [(1, b"last")] and source.at == 55


def test_ids_are_those_of_the_content_below_the_compression(tmp_path):
    lines = "".join(json.dumps({"text": str(number)}) + "\n" for number in range(20))
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (count, packed), (_, plain) = of(tmp_path / "a.jsonl.gz", jsonl, 5), of(tmp_path / "a.jsonl", jsonl, 5)
    assert count == 1 and packed == [(id.replace(".jsonl:", ".jsonl.gz:"), text) for id, text in plain]


def test_plain_text_is_cut_only_by_lines(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n\n\nthree")
    for sample_by, expected in (("document", [0]), ("paragraph", [0, 5, 11])):
        count, found = of(tmp_path / "a.txt", text, 2, InputFlags(text_sample_by=sample_by))
        assert count == 1 and [id for id, _ in found] == [f"{tmp_path}/a.txt:{place}" for place in expected]


def test_row_groups(tmp_path):
    values = [f"{number} " + "x" * (number % 90) for number in range(1000)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": values, "n": range(1000)}), path, row_group_size=150, compression="none")
    one, whole = of(path, parquet, 10**9)
    assert one == 1 and [text for _, text in whole] == values and whole[299][0] == f"{path}:300"
    for size, expected in ((1, 7), (path.stat().st_size / 3, range(3, 6)), (path.stat().st_size * 2, 1)):
        count, found = of(path, parquet, size)
        assert found == whole and (count in expected if isinstance(expected, range) else count == expected)


def test_nothing_in_nothing(tmp_path):
    for name, reader in (("a.jsonl", jsonl), ("a.txt", text)):
        (tmp_path / name).write_bytes(b"")
        assert of(tmp_path / name, reader, 10) == (1, [])
