"""Streams of bytes from files of every kind; a file that is cut off or damaged is never taken as whole."""

import gzip
import os
import random
import tracemalloc

import pytest
import zstandard

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus import sources
from megatron_ext.corpus.sources import Source

CONTENT = b"".join(b"line %d %s\n" % (number, b"x" * (number % 300)) for number in range(20_000))
PACK = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor(write_checksum=True).compress}


def write(folder, ending, content):
    path = folder / f"a{ending}"
    path.write_bytes(content)
    return str(path)


def lines(path):
    with Source(path) as source:
        found = list(source.lines())
        assert source.position == source.size
    return found


@pytest.mark.parametrize("ending", PACK)
def test_lines_and_their_numbers(tmp_path, ending):
    expected = list(enumerate(CONTENT.splitlines(keepends=True), start=1))
    assert lines(write(tmp_path, ending, PACK[ending](CONTENT))) == expected


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_several_compressed_pieces_in_a_row_are_one_stream(tmp_path, ending):
    packed = PACK[ending](CONTENT) + PACK[ending](b"") + PACK[ending](b"the end")
    assert lines(write(tmp_path, ending, packed))[-1] == (20_001, b"the end")


def test_zeros_after_the_compressed_data_are_padding(tmp_path):
    assert len(lines(write(tmp_path, ".gz", gzip.compress(CONTENT) + bytes(70_000)))) == 20_000


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("keep", [0, 1, 12, 0.5, -9, -1])
def test_cut_off(tmp_path, ending, keep):
    packed = PACK[ending](CONTENT)
    kept = packed[: int(len(packed) * keep)] if isinstance(keep, float) else packed[:keep]
    with pytest.raises(UserError, match="is cut off"):
        lines(write(tmp_path, ending, kept))


def test_a_second_piece_that_is_cut_off(tmp_path):
    packed = zstandard.ZstdCompressor().compress(CONTENT)
    with pytest.raises(UserError, match="is cut off"):
        lines(write(tmp_path, ".zst", packed + packed[:100]))


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_damaged_or_misnamed(tmp_path, ending):
    packed = bytearray(PACK[ending](random.Random(0).randbytes(100_000)))
    packed[50_000:50_100] = bytes(100)
    for content in (bytes(packed), b"this is not compressed at all", PACK[ending](CONTENT) + b"trailing words"):
        with pytest.raises(UserError, match="damaged|cut off"):
            found = lines(write(tmp_path, ending, content))
            assert b"".join(line for _, line in found) != CONTENT


def test_a_byte_order_mark_is_no_text(tmp_path):
    assert lines(write(tmp_path, "", b"\xef\xbb\xbfone\n\xef\xbb\xbftwo"))[0] == (1, b"one\n")
    with Source(write(tmp_path, "", b"\xef\xbb\xbfone")) as source:
        assert source.read(100) == b"one"


def test_a_line_that_is_too_long_is_passed_over_by_number(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST_RECORD", 10)
    path = write(tmp_path, "", b"short\n" + b"x" * 35 + b"\n" + b"123456789\n" + b"y" * 10)
    assert lines(path) == [(1, b"short\n"), (2, None), (3, b"123456789\n"), (4, None)]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_memory_does_not_grow_with_what_comes_out(tmp_path, ending):
    """One block repeated compresses a thousandfold (.gz) or ten thousandfold (.zst)."""
    path = write(tmp_path, ending, PACK[ending]((b"a line again and again " * 5000 + b"\n") * 1000))
    tracemalloc.start()
    try:
        with Source(path) as source:
            assert sum(1 for _ in source.lines()) == 1000
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


def test_what_cannot_be_opened_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="is a folder; give files"):
        Source(str(tmp_path))
    with pytest.raises(UserError, match="cannot be read"):
        Source(str(tmp_path / "nothing"))
    if os.geteuid():
        path = write(tmp_path, "", b"secret")
        os.chmod(path, 0)
        with pytest.raises(UserError, match="cannot be read"):
            Source(path)
