"""One shard, read, cleaned and written: the unit of work, whoever schedules it.

`part-00012.jsonl.zst` (what is kept, in order), `rejects/part-00012.jsonl.zst` (a line for every document that is not) and last
`manifests/part-00012.json` (what became of all of them) get their names when they are whole. A shard is done where its
manifest has its key.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
import zlib
from types import SimpleNamespace
from typing import Any

import orjson

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.steps import Cleaner, Dropped
from megatron_ext.corpus.cleaning.tally import Tally
from megatron_ext.corpus.documents import Document, Record, Reject, document, open_source, records
from megatron_ext.corpus.engine.local import StopAll
from megatron_ext.corpus.engine.shards import Shard
from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import state_of
from megatron_ext.corpus.whole_file import WholeFile, write_whole

ENDINGS = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class ShardRunner:
    """Called with a shard and its key, does it; bytes of text read and documents. Made once in each worker.

    Args:
        c: the flat configuration.
    """

    def __init__(self, c: SimpleNamespace):
        self._c = c
        self._folder = pathlib.Path(c.output)
        self._cleaner = Cleaner(c)

    def __call__(self, job: tuple[Shard, str]) -> tuple[int, int]:
        shard, key = job
        start = time.monotonic()
        self._cleaner.begin()
        ending = ".jsonl" + ENDINGS[self._c.output_compression]
        kept = _Lines(self._folder / (shard.name + ending), self._c.output_compression)
        rejects = _Lines(self._folder / "rejects" / (shard.name + ending), self._c.output_compression)
        try:
            self._clean(shard, kept, rejects)
            if state_of(shard.file) != shard.state:
                raise UserError(f"{shard.file}: was changed while it was read; run again")
            self._cleaner.finish()
            for lines in (kept, rejects):
                lines.publish()
            write_manifest(self._folder, shard, key, self._cleaner.tally, time.monotonic() - start)
        except OSError as error:
            raise StopAll(f"{self._folder}: cannot be written ({error.strerror or error})") from None
        finally:
            kept.discard()
            rejects.discard()
        reading = self._cleaner.tally.steps[0]
        return reading.bytes, reading.documents

    def _clean(self, shard: Shard, kept: _Lines, rejects: _Lines) -> None:
        reader = READERS.load(shard.format)
        with open_source(shard.file, reader, shard.begin, shard.end) as source:
            for record in records(source, reader, None, self._c, needed=("text",)):
                try:
                    found = document(record, reader, source=self._c.source)
                except Reject as reject:
                    origin = self._c.source or shard.format
                    self._reject(rejects, record, record.id, origin, self._cleaner.reject(record.id, origin, reject), None)
                    continue
                dropped = self._cleaner(found)
                if dropped is None:
                    kept.write(_line(found, record))
                else:
                    text = found.text if self._c.rejects_with_text else None
                    self._reject(rejects, record, found.id, found.source, dropped, text)

    def _reject(self, rejects: _Lines, record: Record, id: str, source: str, dropped: Dropped, text: str | None) -> None:
        line = {
            "id": id,
            "source": source,
            **dropped._asdict(),
            "file": record.file,
            "record": record.number,
            "place": record.place,
        }
        rejects.write(orjson.dumps(line if text is None else line | {"text": text}) + b"\n")


def _line(found: Document, record: Record) -> bytes:
    """A document as a line of JSON: as it was read, with the id and source that it lacked put in front, unless it was edited."""
    lacking = {"id": found.id, "source": found.source}
    if isinstance(record.payload, bytes) and record.payload.lstrip()[:1] == b"{" and not found.edited:
        if all(key in found.values for key in lacking):
            return record.payload.strip() + b"\n"
        if not any(key in found.values for key in lacking):
            return orjson.dumps(lacking)[:-1] + b"," + record.payload.strip()[1:] + b"\n"
    return (
        orjson.dumps(lacking | {key: value for key, value in found.values.items() if value is not None or key not in lacking})
        + b"\n"
    )


class _Lines:
    """A file of lines, compressed or not, that is there whole or not at all."""

    def __init__(self, path: pathlib.Path, compression: str):
        self._file = WholeFile(str(path))
        self._packed = _compressor(compression)
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
        try:
            self._file.write(data)
        except UserError as error:  # no space for this shard is none for the others
            raise StopAll(str(error)) from None

    def publish(self) -> None:
        self._flush()
        if self._packed:
            self._put(self._packed.flush())
        try:
            self._file.seal()
            self._file.publish()
        except UserError as error:
            raise StopAll(str(error)) from None

    def discard(self) -> None:
        self._file.discard()


def _compressor(name: str) -> Any:
    if name == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, 31)
    if name == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    return None


def manifest_path(folder: pathlib.Path, shard: Shard) -> pathlib.Path:
    return folder / "manifests" / f"{shard.name}.json"


def write_manifest(folder: pathlib.Path, shard: Shard, key: str, tally: Tally, seconds: float) -> None:
    content = {"key": key, "shard": dataclasses.asdict(shard), "seconds": seconds, "tally": tally.as_dict()}
    try:
        write_whole(manifest_path(folder, shard), json.dumps(content) + "\n")
    except UserError as error:
        raise StopAll(str(error)) from None


def read_manifest(folder: pathlib.Path, shard: Shard, key: str) -> dict[str, Any] | None:
    """The manifest of a shard that is done; None where it is not, or was done with another key."""
    try:
        content = json.loads(manifest_path(folder, shard).read_bytes())
    except (OSError, ValueError):
        return None
    return content if content.get("key") == key else None
