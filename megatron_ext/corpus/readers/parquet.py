"""`--input-format parquet`: one record a row; only the columns that are asked for are read, some rows at a time.

The payload is the row: bytes for columns of text or bytes (which may not be UTF-8: Parquet does not check), None for
null, the value itself for anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import check_utf8
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = (".parquet", ".pq")
UNIT = "row"

_ROWS = 128


def read(source: Source, keys: Sequence[str], sample_by: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(source.file, buffer_size=2**20, pre_buffer=False)
        missing = [key for key in keys if key not in file.schema_arrow.names]
        if missing:
            raise UserError(f"{source.path}: has no column {missing[0]}; its columns are {', '.join(file.schema_arrow.names)}")
        number = 0
        for rows in file.iter_batches(batch_size=_ROWS, columns=list(keys), use_threads=False):
            columns = [_values(rows.column(key)) for key in keys]
            for row in zip(*columns, strict=True):
                number += 1
                size = sum(len(value) for value in row if isinstance(value, bytes))
                yield number, dict(zip(keys, row, strict=True)) if size <= LONGEST_RECORD else None
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{source.path}: is damaged or not a Parquet file ({reason})") from None


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
    return column.to_pylist()


def fields(payload: dict[str, Any], keys: Sequence[str]) -> Mapping[str, Any]:
    record = dict(payload)
    for key, value in payload.items():
        if isinstance(value, bytes):
            check_utf8(value)
            record[key] = value.decode()
    return record
