"""The quick way of a tokenizer, tried on the corpus itself before it is trusted with it.

That both ways give the same ids is shown when the tokenizer is loaded (tokenizers/byte_level.py), for what its file says. Here
the first documents go both ways, too: where they differ, the library's own way is taken for all.
"""

from __future__ import annotations

from collections.abc import Sequence

from megatron_ext.corpus.documents import Reject, texts
from megatron_ext.corpus.flags import READERS
from megatron_ext.data.preprocess.encoding import Batch
from megatron_ext.tokenizers.contract import Tokenizer

SAMPLE = 2**17
"""Characters of text, about: less than a tenth of a second the slow way."""


def difference(tokenizer: Tokenizer, batch: Batch, keys: Sequence[str]) -> str | None:
    """Where both ways first give different ids in a batch's first documents, in a sentence; None where they nowhere do."""
    reader, sample, records, size = READERS.load(batch.format), [], [], 0
    for record in batch.records:
        try:
            found = texts(record, reader, keys)
        except Reject:
            continue
        sample += found
        records += [record] * len(found)
        size += sum(map(len, found))
        if size >= SAMPLE:
            break
    place = tokenizer.difference(sample)
    if place is None:
        return None
    number, byte = place
    where = f"{records[number].file}, {reader.UNIT} {records[number].number}, byte {byte} of the text"
    return (
        f"{where}: the quick way of encoding gives other ids here than the tokenizer's library, so the library encodes "
        "everything, several times as slowly"
    )
