"""What a worker does: a batch of records in, the tokens of its documents and the records that were not used out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.steps import Cleaner
from megatron_ext.corpus.cleaning.tally import Tally
from megatron_ext.corpus.documents import Record, Reject, document, name_of, source_of, texts
from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.utf8 import scan
from megatron_ext.data.indexed_writer import token_dtype
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.contract import Tokenizer
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
        prefix: the key of what stands before each text, and the control token between the two.
        slow: the tokenizer's quick way is not to be trusted with these texts.
        built: the tokenizer, where it is there already.
    """

    def __init__(
        self,
        tokenizer: TokenizerFlags,
        keys: Sequence[str],
        append_eod: bool,
        cleaning: SimpleNamespace | None = None,
        slow: bool = False,
        built: Tokenizer | None = None,
        prefix: tuple[str, str] | None = None,
    ):
        self._cleaner = None if cleaning is None else Cleaner(cleaning)
        self._flags = cleaning
        self._tokenizer, self._keys = built or build(tokenizer), keys
        self._read = keys if prefix is None else (*keys, prefix[0])
        self._between = None if prefix is None else boundary(self._tokenizer, prefix)
        if slow:
            self._tokenizer.take_the_slow_way()
        self._end = self._tokenizer.eod if append_eod else None
        self._dtype = token_dtype(self._tokenizer.vocab_size)

    def __call__(self, batch: Batch) -> Encoded:
        reader = READERS.load(batch.format)
        found = [self._texts(record, reader) for record in batch.records]
        columns = self._columns([row for row in found if not isinstance(row, Reject)])
        if columns is None:  # one of the texts cannot be encoded: which one?
            found = [row if isinstance(row, Reject) else self._refused(row) or row for row in found]
            columns = self._columns([row for row in found if not isinstance(row, Reject)])
        rows, rejects = [], []
        for record, row in zip(batch.records, found):
            if isinstance(row, Reject):
                rejects.append(_reject_line(record, reader.UNIT, row))
            else:
                rows.append(row)
        used = list(itertools.chain.from_iterable(rows))
        content = "\n".join(used).encode()
        seen, joints = scan(content), max(len(used) - 1, 0)
        return Encoded(
            read_bytes=batch.read_bytes,
            columns=columns,
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
            return texts(record, reader, self._read) if self._cleaner is None else self._cleaned(record, reader)
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

    def _columns(self, rows: list[list[str]]) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """`(tokens of all documents, tokens of each)` for each key; None where one of the texts has no tokens."""
        columns = []
        for key in range(len(self._keys)):
            try:
                tokens, lengths = self._tokenizer.encode_flat([row[key] for row in rows], self._end)
                if (lengths == (self._end is not None)).any():
                    return None
                if self._between is not None:
                    before = self._tokenizer.encode_flat([row[-1] for row in rows], self._between)
                    if (before[1] == 1).any():
                        return None
                    tokens, lengths = _joined(before, (tokens, lengths))
            except ValueError:
                return None
            columns.append((tokens.astype(self._dtype), lengths.astype(np.int32)))
        return columns

    def _refused(self, row: list[str]) -> Reject | None:
        for text in row:
            try:
                if not self._tokenizer.encode(text):
                    return Reject("no_tokens", "the tokenizer makes nothing of the text")
            except ValueError as error:
                return Reject("not_tokenized", str(error))
        return None


def boundary(tokenizer: Tokenizer, prefix: tuple[str, str]) -> int:
    """The id of the control token that ends a prefix; UserError where the tokenizer has none of that name."""
    key, name = prefix
    if name not in tokenizer.control_tokens:
        raise UserError(
            f"--prefix-key {key}: the tokenizer has no control token {name} to end a prompt; train one with --special-tokens "
            "prefix_lm, or name one that it has with --prefix-end-token"
        )
    return tokenizer.control_tokens[name]


def _joined(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Texts in pairs, one behind the other; each `(ids end to end, how many are of each)`."""
    (one, heads), (other, tails) = first, second
    lengths = np.stack([heads, tails], axis=1).ravel().astype(np.int64)
    of_second = np.repeat(np.arange(len(lengths)) % 2, lengths).astype(bool)
    both = np.empty(len(one) + len(other), one.dtype)
    both[~of_second], both[of_second] = one, other
    return both, heads + tails


def _reject_line(record: Record, unit: str, reject: Reject) -> dict:
    line = {"file": record.file, unit: record.number, "reason": reject.reason, "detail": reject.detail}
    return line if reject.byte is None else {**line, "byte": reject.byte}
