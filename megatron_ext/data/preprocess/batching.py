"""Files to batches of records of about a megabyte: large enough that handing one over costs nothing, small enough to wait for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from megatron_ext.corpus.documents import Record, open_source, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import format_of
from megatron_ext.data.preprocess.encoding import Batch

BATCH_BYTES = 2**20
BATCH_RECORDS = 2**14


def read_batches(files: Sequence[str], keys: Sequence[str], flags: InputFlags, whole: bool = False) -> Iterator[Batch]:
    """The records of all files, in order. A batch may span files, of one format.

    Args:
        whole: read all of each record, and not those keys alone.
    """
    held: list[Record] = []
    size = read = 0
    before = None
    for file in files:
        kind = flags.input_format or format_of(file, READERS)
        if held and kind != before:
            yield Batch(before, held, read)
            held, size, read = [], 0, 0
        reader = READERS.load(kind)
        with open_source(file, reader) as source:
            counted, before = 0, kind
            for record in records(source, reader, None if whole else keys, flags, needed=keys if whole else ()):
                held.append(record)
                size += _size(record.payload)
                if size >= BATCH_BYTES or len(held) >= BATCH_RECORDS:
                    yield Batch(kind, held, read + source.position - counted)
                    held, size, read, counted = [], 0, 0, source.position
            read += source.size - counted
    if held:
        yield Batch(before, held, read)


def _size(payload: bytes | dict | None) -> int:
    if isinstance(payload, bytes):
        return len(payload)
    return sum(len(value) for value in payload.values() if isinstance(value, bytes)) if payload else 0
