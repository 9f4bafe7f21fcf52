"""Small `.bin/.idx` pairs for tests, written in a few lines and without flushing to disk."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pathlib
import struct
import tempfile

import numpy as np
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.cache import Cache
from megatron_ext.data.fingerprint import content
from megatron_ext.data.index import Documents, Index
from megatron_ext.data.packing import PackedSamples

CODES = {"uint16": 8, "int32": 4}
NOWHERE = Cache(None)
LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=60).filter(lambda lengths: sum(lengths) > 8)


def write_pair(prefix, documents, dtype="int32") -> str:
    """Write `documents`, lists of ids, and return the prefix."""
    lengths = np.array([len(document) for document in documents], np.int32)
    size = np.dtype(dtype).itemsize
    offsets = (np.cumsum(lengths, dtype=np.int64) - lengths) * size
    head = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, CODES[dtype], len(lengths), len(lengths) + 1)
    ends = np.arange(len(lengths) + 1, dtype=np.int64)
    pathlib.Path(f"{prefix}.idx").write_bytes(head + lengths.tobytes() + offsets.tobytes() + ends.tobytes())
    flat = [token for document in documents for token in document]
    pathlib.Path(f"{prefix}.bin").write_bytes(np.array(flat, dtype).tobytes())
    return str(prefix)


def write_numbered(prefix, lengths, dtype="int32", first: int = 0) -> str:
    """Documents of these lengths, in which every token is its own number, so that nothing can be mixed up."""
    starts = first + np.cumsum([0, *lengths])
    return write_pair(prefix, [range(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)], dtype)


@contextlib.contextmanager
def numbered(lengths, first: int = 0, **options):
    """The documents of a numbered pair in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        index = Index(write_numbered(f"{folder}/numbered", lengths, first=first), **options)
        yield Documents(index, 0, len(lengths), content(index))


def told_without_rights(action) -> str:
    """What `action` says as a UserError in a process that is not root's. Its files must be open to all on the way to them."""
    ours, theirs = multiprocessing.get_context("fork").Pipe()

    def run():
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            theirs.send(repr(action()))
        except UserError as error:
            theirs.send(str(error))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    said = ours.recv() if ours.poll(30) else "nothing"
    process.join()
    return said


@contextlib.contextmanager
def packed(lengths, seq_length, seed=1, **options):
    """Packed samples of a numbered pair, without a cache."""
    with numbered(lengths, **options) as documents:
        yield PackedSamples(documents, seq_length, seed, NOWHERE)
