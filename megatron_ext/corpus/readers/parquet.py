"""`--input-format parquet`: one record a row; only the columns that are asked for are read, some rows at a time.

The payload is the row: bytes for columns of text or bytes (which may not be UTF-8: Parquet does not check), None for
null, the value itself for anything else. As a whole document a row has all columns, as far as JSON can hold them: bytes
that are not UTF-8 in base64, dates and decimal numbers in words. A file may be cut between its row groups.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import check_utf8
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = (".parquet", ".pq")
UNIT = "row"

_ROWS = 128


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, dict[str, Any] | None, None]]:
    with _naming(source):
        file = _opened(source)
        names = file.schema_arrow.names if keys is None else list(keys)
        require(source, names)
        number, groups = _range(file.metadata, source.begin, source.end)
        for rows in file.iter_batches(batch_size=_ROWS, row_groups=groups, columns=names, use_threads=False):
            columns = [_values(rows.column(key)) for key in names]
            for row in zip(*columns, strict=True):
                number += 1
                size = sum(len(value) for value in row if isinstance(value, bytes))
                yield number, dict(zip(names, row, strict=True)) if size <= LONGEST_RECORD else None, None


def require(source: Source, keys: Sequence[str]) -> None:
    with _naming(source):
        columns = _opened(source).schema_arrow.names
    missing = [key for key in keys if key not in columns]
    if missing:
        raise UserError(f"{source.path}: has no column {missing[0]}; its columns are {', '.join(columns)}")


def _opened(source: Source) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(source.file, buffer_size=2**20, pre_buffer=False)


@contextmanager
def _naming(source: Source) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{source.path}: is damaged or not a Parquet file ({reason})") from None


def parts(path: str, flags: Any, size: float) -> list[tuple[int, int | None]]:
    """As many row groups a part as `size` bytes hold, and one at least."""
    with Source(path) as source:
        try:
            with _naming(source):
                begins = _begins(_opened(source).metadata)
        except UserError:
            return [(0, None)]  # whoever reads it says what is wrong with it
        edges = [0]
        for here, after in zip(begins, [*begins[1:], source.size]):
            if after - edges[-1] > size and here > edges[-1] and here != begins[0]:
                edges.append(here)
    return list(zip(edges, [*edges[1:], None]))


def _begins(metadata: Any) -> list[int]:
    """The offset of each row group's first byte."""
    found = []
    for number in range(metadata.num_row_groups):
        column = metadata.row_group(number).column(0)
        pages = (column.dictionary_page_offset, column.data_page_offset)
        found.append(min(offset for offset in pages if offset))
    return found


def _range(metadata: Any, begin: int, end: int | None) -> tuple[int, list[int] | None]:
    """`(rows of the file before the range, row groups that begin in it)`."""
    if not begin and end is None:
        return 0, None
    begins = _begins(metadata)
    before = sum(metadata.row_group(number).num_rows for number, at in enumerate(begins) if at < begin)
    return before, [number for number, at in enumerate(begins) if begin <= at and (end is None or at < end)]


def _values(column: Any) -> list[Any]:
    """A column as Python values, its texts as bytes that nobody has looked at."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_string(kind):
        column = column.view(pyarrow.binary())
    elif types.is_large_string(kind):
        column = column.view(pyarrow.large_binary())
    elif types.is_string_view(kind):
        column = column.cast(pyarrow.binary_view())
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_value(item) for item in column]


def _value(item: Any) -> Any:
    """A value; of one with text inside that is not UTF-8, that text's bytes."""
    try:
        return item.as_py()
    except UnicodeDecodeError as error:
        return error.object


def fields(payload: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    record = dict(payload)
    for key, value in payload.items():
        if isinstance(value, bytes):
            record[key] = _decoded(value, refuse=keys is not None)
        elif keys is None:
            record[key] = _plain(value)
    return record


def _decoded(value: bytes, refuse: bool) -> str | bytes:
    """The text; where it is not UTF-8, Reject, or the bytes as they are: perhaps nobody takes this column for text."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        if refuse:
            check_utf8(value)
        return value


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, bytes):
        found = _decoded(value, refuse=False)
        return found if isinstance(found, str) else base64.b64encode(found).decode()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
