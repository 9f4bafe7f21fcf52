"""corpus/utf8.py: the native paths and the Python twin give one answer, and validity is Python's decoder's own."""

import mmap
import subprocess
import sys
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from megatron_ext.corpus import utf8
from megatron_ext.corpus.utf8 import Scan, scan

NATIVE = [name for name in utf8.IMPLEMENTATIONS if name != "python"]
needs_native = pytest.mark.skipif(not NATIVE, reason="the native module was not built here")

# Text of all lengths of code points, whitespace that only Unicode has, and stretches long enough for the vector loops.
pieces = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="aZ09 \n\t\x1c\x1f\x85\xa0\u1680\u2003\u2028\u202f\u205f\u3000中文㐀豈𠀀é", max_size=80),
    st.integers(0, 70).map(lambda n: "the 42 quick\n"[: n % 13 + 1] * (n // 4 + 1)),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
damage = st.sampled_from([b"", b"\x80", b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\xe4\xb8"])
mixed = st.lists(st.one_of(pieces, damage, st.binary(max_size=6)), max_size=12).map(b"".join)


@needs_native
@settings(max_examples=1000, deadline=None)
@given(mixed)
@example(b"a" * 63 + "中".encode())
@example(b"a" * 64 + b"\xff")
@example(b" " * 32 + b"a" * 32 + b" " * 64 + b"b")
def test_native_equals_the_twin(data):
    expected = scan(data, "python")
    for implementation in NATIVE:
        assert scan(data, implementation) == expected


@settings(max_examples=500, deadline=None)
@given(mixed)
def test_validity_is_the_decoders(data):
    try:
        data.decode("utf-8")
        expected = len(data)
    except UnicodeDecodeError as error:
        expected = error.start
    for implementation in utf8.IMPLEMENTATIONS:
        assert scan(data, implementation).valid_up_to == expected


@pytest.mark.parametrize("implementation", utf8.IMPLEMENTATIONS)
def test_every_code_point(implementation):
    """All 1,112,064 of them, and none of the surrogates."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    found = scan(everything.encode(), implementation)
    assert found.valid_up_to == len(everything.encode())
    assert (found.characters, found.lines, found.words) == (len(everything), 1, len(everything.split()))
    assert (found.latin, found.digits) == (52, 10)
    for surrogate in range(0xD800, 0xE000):
        assert scan(chr(surrogate).encode("utf-8", "surrogatepass"), implementation).valid_up_to == 0


@pytest.mark.parametrize("implementation", utf8.IMPLEMENTATIONS)
@pytest.mark.parametrize("length", [1, 2, 3])
def test_every_short_sequence(implementation, length):
    """All one- and two-byte sequences and those of three bytes at the edges, each after text and cut off by its end."""
    edges = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF]
    choices = range(256) if length < 3 else edges
    sequences = [b""]
    for _ in range(length):
        sequences = [head + bytes([byte]) for head in sequences for byte in choices]
    for sequence in sequences:
        try:
            expected = 2 + len(sequence.decode("utf-8").encode())
        except UnicodeDecodeError as error:
            expected = 2 + error.start
        assert scan(b"ok" + sequence, implementation).valid_up_to == expected, sequence


@pytest.mark.parametrize("implementation", utf8.IMPLEMENTATIONS)
def test_by_hand(implementation):
    text = "Megatron 2 三国演义\u3000第1回\n"
    size = len(text.encode())
    expected = Scan(valid_up_to=size, characters=20, lines=1, words=4, latin=8, digits=2, han=6)
    assert scan(text.encode(), implementation) == expected
    assert scan(text.encode() + b"\xe4\xb8 lost", implementation) == expected
    assert scan(b"", implementation) == Scan(0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("implementation", utf8.IMPLEMENTATIONS)
def test_takes_any_buffer(implementation, tmp_path):
    data = "naïve 文\n".encode() * 40_000  # more than 64 KiB: the native module then lets other threads run
    expected = scan(data, "python")
    (tmp_path / "text").write_bytes(data)
    with open(tmp_path / "text", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for buffer in (bytearray(data), memoryview(data), mapped):
            assert scan(buffer, implementation) == expected
    with pytest.raises(TypeError):
        scan("a string", implementation)


def test_threads_agree():
    data = "word 字 ".encode() * 50_000
    found = []
    threads = [threading.Thread(target=lambda: found.append(scan(data))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [scan(data, "python")] * 4


def test_an_unknown_implementation_is_named():
    with pytest.raises(ValueError, match="'sse9'.*python"):
        scan(b"", "sse9")


def test_without_the_native_with_tables_the_twin_serves_and_says_so_once():
    program = (
        "import sys; sys.modules['megatron_ext.native.compiled'] = None\n"
        "from megatron_ext.corpus.utf8 import IMPLEMENTATIONS, scan\n"
        "print(IMPLEMENTATIONS, scan(b'one two').words, scan(b'three').words)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["('python',)", "2", "1"]
    assert ran.stderr.count("tens of times slower") == 1
