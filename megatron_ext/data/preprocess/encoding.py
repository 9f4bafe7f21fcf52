"""What a worker does: a batch of records in, the tokens of its documents and the records that were not used out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import numpy as np

from megatron_ext.corpus.cleaning.steps import Cleaner
from megatron_ext.corpus.cleaning.tally import Tally
from megatron_ext.corpus.documents import Record, Reject, document, name_of, source_of, texts
from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.utf8 import scan
from megatron_ext.data.indexed_writer import token_dtype
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags


@dataclass(frozen=True)
class Batch:
    """Records of one format. Attributes: read_bytes: of files on disk, read since the batch before."""

    format: str
    records: list[Record]
    read_bytes: int


@dataclass(frozen=True)
class Encoded:
    """A batch's documents.

    Attributes:
        columns: `(tokens, lengths)` for each key, in the order of `--json-keys`.
        rejects: lines of the file of rejects, in the records' order.
        text_bytes, characters, words, han: of the texts of the documents (`han`: Chinese characters).
        tally: what the steps of cleaning did, where there are any.
    """

    read_bytes: int
    columns: list[tuple[np.ndarray, np.ndarray]]
    documents: int
    rejects: list[dict]
    text_bytes: int
    characters: int
    words: int
    han: int
    tally: Tally | None = None


class Encoder:
    """Turns batches into tokens. A record with several keys is used whole or not at all, so the data sets stay parallel.

    Args:
        cleaning: the flat configuration of the steps that documents go through before.
    """

    def __init__(self, tokenizer: TokenizerFlags, keys: Sequence[str], append_eod: bool, cleaning: SimpleNamespace | None = None):
        self._cleaner = None if cleaning is None else Cleaner(cleaning)
        self._flags = cleaning
        self._tokenizer, self._keys = build(tokenizer), keys
        self._end = [self._tokenizer.eod] if append_eod else []
        self._dtype = token_dtype(self._tokenizer.vocab_size)

    def __call__(self, batch: Batch) -> Encoded:
        reader = READERS.load(batch.format)
        found = [self._texts(record, reader) for record in batch.records]
        ids = iter(self._encode([text for row in found if not isinstance(row, Reject) for text in row]))
        used, rows, rejects = [], [], []
        for record, its_texts in zip(batch.records, found):
            row = [its_texts] if isinstance(its_texts, Reject) else [next(ids) for _ in self._keys]
            refused = next((item for item in row if isinstance(item, Reject)), None)
            if refused is None:
                used += its_texts
                rows.append(row)
            else:
                rejects.append(_reject_line(record, reader.UNIT, refused))
        content = "\n".join(used).encode()
        seen, joints = scan(content), max(len(used) - 1, 0)
        return Encoded(
            read_bytes=batch.read_bytes,
            columns=[self._packed([row[column] for row in rows]) for column in range(len(self._keys))],
            documents=len(rows),
            rejects=rejects,
            text_bytes=len(content) - joints,
            characters=seen.characters - joints,
            words=seen.words,
            han=seen.han,
            tally=self._tally(),
        )

    def _texts(self, record: Record, reader: ModuleType) -> list[str] | Reject:
        try:
            return texts(record, reader, self._keys) if self._cleaner is None else self._cleaned(record, reader)
        except Reject as reject:
            return reject

    def _cleaned(self, record: Record, reader: ModuleType) -> list[str]:
        """The text that the steps let through; Reject by a step."""
        source = source_of(record.file, self._flags)
        try:
            found = document(record, reader, self._keys[0], source)
        except Reject as reject:
            self._cleaner.reject(record.id, source or name_of(reader), reject)
            raise
        dropped = self._cleaner(found)
        if dropped is not None:
            raise Reject(dropped.reason, dropped.detail)
        return [found.text]

    def _tally(self) -> Tally | None:
        """What became of the batch's documents."""
        if self._cleaner is None:
            return None
        self._cleaner.finish()
        tally = self._cleaner.tally
        self._cleaner.begin()
        return tally

    def _encode(self, texts: list[str]) -> list[list[int] | Reject]:
        try:
            encoded = self._tokenizer.encode_batch(texts)
        except ValueError:  # one of them cannot be encoded: which one?
            encoded = [self._encode_one(text) for text in texts]
        return [ids if ids else Reject("no_tokens", "the tokenizer makes nothing of the text") for ids in encoded]

    def _encode_one(self, text: str) -> list[int] | Reject:
        try:
            return self._tokenizer.encode(text)
        except ValueError as error:
            return Reject("not_tokenized", str(error))

    def _packed(self, documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
        """`(tokens of all documents, tokens of each)`."""
        lengths = np.array([len(ids) + len(self._end) for ids in documents], np.int32)
        parts = (part for ids in documents for part in (ids, self._end))
        tokens = np.fromiter(itertools.chain.from_iterable(parts), self._dtype, count=int(lengths.sum(dtype=np.int64)))
        return tokens, lengths


def _reject_line(record: Record, unit: str, reject: Reject) -> dict:
    line = {"file": record.file, unit: record.number, "reason": reject.reason, "detail": reject.detail}
    return line if reject.byte is None else {**line, "byte": reject.byte}
