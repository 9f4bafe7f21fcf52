"""What a stage leaves that writes documents: a file a shard, its documents in order, a line of JSON each.

Between two stages the files lie in `work/STAGE/`, and behind each line, after a tab, stands where the input has the document:
`["crawl.jsonl", 17, 40961]`, as in `Record`. Those of the last stage lie in the run's folder itself, in lines of JSON alone.
`rejects/` has a line for every document that is not kept.
"""

from __future__ import annotations

import json
import pathlib
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson

from megatron_ext.corpus.documents import Document, Record, dumps, named
from megatron_ext.corpus.engine.stages import writing
from megatron_ext.corpus.readers import jsonl
from megatron_ext.corpus.sources import Source
from megatron_ext.corpus.whole_file import WholeFile

ENDINGS = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class Parts:
    """Where a stage's documents are, or its rejects. Attributes: folder; key: under which the text is.

    Args:
        between: another stage reads them, so each goes with where it came from.
    """

    def __init__(self, folder: pathlib.Path, compression: str, key: str = "text", between: bool = False):
        self.folder, self._compression, self.key, self._between = folder, compression, key, between

    def path(self, number: int) -> pathlib.Path:
        return self.folder / f"part-{number:05d}.{'placed' if self._between else 'jsonl'}{ENDINGS[self._compression]}"

    def writer(self, number: int) -> Lines:
        return Lines(self.path(number), self._compression, self._between)

    def lines(self, number: int) -> Iterator[bytes]:
        """The documents of a shard that lies between stages, in order, as they were written."""
        with Source(str(self.path(number))) as source:
            while line := source.readline(-1):  # whatever its length: it was read once, and an id may have been added
                yield line

    def read(self, number: int) -> Iterator[tuple[bytes, Document]]:
        """The same, each with its line."""
        for line in self.lines(number):
            yield line, self.document(line)

    def document(self, line: bytes) -> Document:
        """The document of a line between stages: `line_of` saw to it that it has a name, a source and a text."""
        payload = _payload(line)
        try:
            values = orjson.loads(payload)
        except orjson.JSONDecodeError:
            values = jsonl.fields(payload, None)
        return Document(named(values["id"]), named(values["source"]), values, self.key)


def record_of(line: bytes) -> Record:
    """Of a line between stages, the record that it was: its place is that in the input, its payload what was written."""
    payload = _payload(line)
    file, number, at = _loads(line[len(payload) + 1 :])
    return Record(file, number, payload, at)


def _payload(line: bytes) -> bytes:
    return line[: line.rindex(b"\t")]


def _loads(data: bytes) -> Any:
    """JSON. What orjson does not read, Python's json does: names of files that are not UTF-8."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)


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

    def write(self, id: str, source: str, why: Any, text: str | None, record: Record) -> None:
        """Args: why: `Dropped`; record: where the input has it."""
        line = {"id": id, "source": source, **why._asdict()}
        line |= {"file": record.file, "record": record.number, "place": record.place}
        self.lines.write(dumps(line | {"text": text} if self._with_text and text is not None else line) + b"\n")


class Lines:
    """A file of lines, compressed or not, that is there whole or not at all. A context manager: what is not published is gone."""

    def __init__(self, path: pathlib.Path, compression: str, between: bool = False):
        self._between = between
        with writing():
            self._file = WholeFile(str(path))
        self._packed = _compressor(compression, fast=between)
        self._held: list[bytes] = []
        self._size = 0

    def put(self, found: Document, record: Record, line: bytes | None) -> None:
        """A document. Args: record: where the input has it; line: of `line_of`."""
        written = line_of(found, line)
        if self._between:
            written = written[:-1] + b"\t" + dumps([record.file, record.number, record.place]) + b"\n"
        self.write(written)

    def pass_on(self, line: bytes) -> None:
        """A document that nothing was changed in, as it came from the stage before."""
        self.write(line if self._between else _payload(line) + b"\n")

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


def _compressor(name: str, fast: bool) -> Any:
    if name == "gzip":
        return zlib.compressobj(1 if fast else 6, zlib.DEFLATED, 31)
    if name == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=1 if fast else 3, write_checksum=True).compressobj()
    return None
