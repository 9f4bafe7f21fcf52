"""From one tokenizer's vocabulary to another's: which rows of the old embedding each row of the new one is the mean of.

A token that both have, by its text and kind, keeps its row, whatever its id is; so does the token that ends a document, where
the old tokenizer has another name for it. A new token's row is the mean of the rows of the pieces that the old tokenizer makes of
its text: what the old model read there. A new control token stands for no text, and its row is the mean of all rows: then its
logit begins among the others', and what the old model said changes little (John Hewitt, "Initializing new word embeddings for
pretrained language models", 2021).
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.contract import CONTROL, UNUSED, Tokenizer


@dataclasses.dataclass(frozen=True)
class VocabularyChange:
    """Row i of the new vocabulary is the mean of the rows `old[starts[i]:starts[i + 1]]`, or of `all` where these are none.

    Attributes:
        starts: int64 `[rows + 1]`.
        old: int64, ids of the old vocabulary.
        all: int64, the old ids that have a meaning.
        rows, old_rows: entries of the new and the old model, without padding.
        keeps: bool `[rows]`, which keep a row.
        means, plain: how many are means of pieces, and how many the mean of all rows.
        dropped: old ids that no new one has.
    """

    starts: np.ndarray
    old: np.ndarray
    all: np.ndarray
    rows: int
    old_rows: int
    keeps: np.ndarray
    means: int
    plain: int
    dropped: int

    @property
    def kept(self) -> int:
        return int(self.keeps.sum())

    def sentence(self, new_rows: str) -> str:
        """What becomes of the rows, new ones being `mean` or `random`."""
        words = [f"{self.kept:,} keep their row"]
        if new_rows == "random":
            words.append(f"{self.rows - self.kept:,} begin at random")
        elif self.means:
            words.append(f"{self.means:,} are means of the rows of their pieces")
        if new_rows == "mean" and self.plain:
            words.append(f"{self.plain:,} are the mean of all (control tokens, and what the earlier tokenizer cannot write)")
        if self.dropped:
            words.append(f"{self.dropped:,} earlier rows are dropped, whose tokens the new tokenizer lacks")
        return f"vocabulary of {self.rows:,} rows, from one of {self.old_rows:,}: {', '.join(words)}"


def vocabulary_change(old: Tokenizer, new: Tokenizer) -> VocabularyChange:
    """UserError where tokens of the two cannot be told to be the same, or are none."""
    if old.written_in != new.written_in or new.written_in == "numbers":
        raise UserError(
            f"tokens of the earlier tokenizer are {old.written_in}, those of the new one {new.written_in}: no token of one is "
            "known to be one of the other; extend a vocabulary with a tokenizer of the same kind"
        )
    entries = old.entries()
    ids = {entry: token for token, entry in reversed(list(enumerate(entries))) if entry.kind != UNUSED}
    sources: list[list[int]] = []
    kept: list[int | None] = []
    for token, entry in enumerate(new.entries()):
        same = ids.get(entry, old.eod if token == new.eod else None)
        kept.append(same)
        pieces = old.pieces(entry) if same is None and entry.kind not in (CONTROL, UNUSED) else []
        sources.append(pieces if same is None else [same])
    beyond = new.model_entries - new.vocab_size
    sources += [[]] * beyond
    keeps = np.array([same is not None for same in kept] + [False] * beyond)
    sizes = [len(each) for each in sources]
    meant = np.array(sorted(ids.values()), np.int64)
    return VocabularyChange(
        starts=np.cumsum([0, *sizes], dtype=np.int64),
        old=np.fromiter(itertools.chain.from_iterable(sources), np.int64),
        all=meant,
        rows=new.model_entries,
        old_rows=old.model_entries,
        keeps=keeps,
        means=len(sizes) - sizes.count(0) - int(keeps.sum()),
        plain=sizes.count(0),
        dropped=len(meant) - len(set(kept) - {None}),
    )
