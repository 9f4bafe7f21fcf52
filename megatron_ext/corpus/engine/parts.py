"""What a stage leaves that writes documents: a file a shard, its documents in order, a line of JSON each.

Between two stages the files lie in `work/STAGE/`, those of the last in the run's folder itself. `rejects/` has a line for every
document that is not kept.
"""

from __future__ import annotations

import json
import pathlib
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Document, Record, dumps, named, open_source, records
from megatron_ext.corpus.engine.stages import writing
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.corpus.readers import jsonl
from megatron_ext.corpus.whole_file import WholeFile

ENDINGS = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class Parts:
    """Where a stage's documents are.

    Args:
        key: under which their text is.
        lasting: they are what the run is for, and not read once and removed: then small files count for more than speed.
    """

    def __init__(self, folder: pathlib.Path, compression: str, key: str = "text", lasting: bool = True):
        self.folder, self._compression, self.key, self._lasting = folder, compression, key, lasting

    def path(self, number: int) -> pathlib.Path:
        return self.folder / f"part-{number:05d}.jsonl{ENDINGS[self._compression]}"

    def writer(self, number: int) -> Lines:
        return Lines(self.path(number), self._compression, self._lasting)

    def lines(self, number: int) -> Iterator[bytes]:
        """The documents of a shard as they were written, in order."""
        with open_source(str(self.path(number)), jsonl) as source:
            for record in records(source, jsonl, None, InputFlags()):
                if record.payload is None:
                    raise UserError(f"{source.path}: line {record.number} is longer than a document may be")
                yield record.payload

    def read(self, number: int) -> Iterator[tuple[bytes, Document]]:
        """The documents of a shard, in order, each with its line."""
        for line in self.lines(number):
            yield line, self.document(line)

    def document(self, line: bytes) -> Document:
        """A document from its line: `line_of` saw to it that it has a name, a source and a text."""
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError:
            values = jsonl.fields(line, None)
        return Document(named(values["id"]), named(values["source"]), values, self.key)


def line_of(found: Document, line: bytes | None) -> bytes:
    """A document as a line of JSON. Args: line: which it was read from, if it was one: it goes out as it came, with the id and
    source that it lacked put in front, unless something was edited."""
    values = found.values
    lacking = {key: name for key, name in (("id", found.id), ("source", found.source)) if values.get(key) in (None, "")}
    if line is not None and not found.edited and not any(key in values for key in lacking):
        return (dumps(lacking)[:-1] + b"," if lacking else b"{") + line.strip()[1:] + b"\n"
    if line is not None and any(key not in found.edited and _is_beyond(value) for key, value in values.items()):
        values = json.loads(line) | {key: values[key] for key in found.edited}
        return json.dumps(lacking | {key: value for key, value in values.items() if key not in lacking}).encode() + b"\n"
    return dumps(lacking | {key: value for key, value in values.items() if key not in lacking}) + b"\n"


def _is_beyond(value: Any) -> bool:
    """Whether orjson may have taken it for another number, or would write it as null: integers beyond 64 bits, NaN."""
    if isinstance(value, float):
        return not abs(value) < 2**63
    return any(map(_is_beyond, value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()))


class Rejects:
    """The lines of what is not kept, a shard's."""

    def __init__(self, lines: Lines, c: SimpleNamespace):
        self.lines, self._with_text = lines, c.rejects_with_text

    def write(self, id: str, source: str, why: Any, text: str | None, record: Record | None = None) -> None:
        """Args: why: `Dropped`; record: where the input has it."""
        line = {"id": id, "source": source, **why._asdict()}
        if record is not None:
            line |= {"file": record.file, "record": record.number, "place": record.place}
        self.lines.write(dumps(line | {"text": text} if self._with_text and text is not None else line) + b"\n")


class Lines:
    """A file of lines, compressed or not, that is there whole or not at all. A context manager: what is not published is gone."""

    def __init__(self, path: pathlib.Path, compression: str, lasting: bool = True):
        with writing():
            self._file = WholeFile(str(path))
        self._packed = _compressor(compression, lasting)
        self._held: list[bytes] = []
        self._size = 0

    def write(self, line: bytes) -> None:
        self._held.append(line)
        self._size += len(line)
        if self._size >= 2**20:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._held)
        self._held, self._size = [], 0
        self._put(self._packed.compress(data) if self._packed else data)

    def _put(self, data: bytes) -> None:
        with writing():
            self._file.write(data)

    def publish(self) -> None:
        self._flush()
        if self._packed:
            self._put(self._packed.flush())
        with writing():
            self._file.seal()
            self._file.publish()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.discard()


def _compressor(name: str, lasting: bool) -> Any:
    if name == "gzip":
        return zlib.compressobj(6 if lasting else 1, zlib.DEFLATED, 31)
    if name == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3 if lasting else 1, write_checksum=True).compressobj()
    return None
