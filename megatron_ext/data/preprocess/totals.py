"""What a run of preprocessing did: counted as it goes, told at the end, kept in PREFIX_summary.json."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from megatron_ext.corpus.documents import REASONS
from megatron_ext.data.preprocess.encoding import Encoded


@dataclass
class Totals:
    """Attributes: tokens: by key; rejects: by reason; told: how a person reads those; warnings: of
    the receipt; seconds: from the first record read to the last token written."""

    keys: Sequence[str]
    files: int
    told: Mapping[str, str] = field(default_factory=lambda: REASONS)
    documents: int = 0
    tokens: collections.Counter = field(default_factory=collections.Counter)
    text_bytes: int = 0
    characters: int = 0
    words: int = 0
    han: int = 0
    rejects: collections.Counter = field(default_factory=collections.Counter)
    first_reject: dict | None = None
    seconds: float = 0.0
    warnings: Sequence[str] = ()

    def add(self, batch: Encoded) -> None:
        self.documents += batch.documents
        for name in ("text_bytes", "characters", "words", "han"):
            setattr(self, name, getattr(self, name) + getattr(batch, name))
        for key, (tokens, _) in zip(self.keys, batch.columns):
            self.tokens[key] += len(tokens)
        if batch.rejects and self.first_reject is None:
            self.first_reject = batch.rejects[0]
        self.rejects.update(line["reason"] for line in batch.rejects)

    @property
    def refused(self) -> str:
        """`3 (2 not JSON, 1 empty)`."""
        reasons = ", ".join(f"{count:,} {self.told[reason]}" for reason, count in self.rejects.most_common())
        return f"{self.rejects.total():,} ({reasons})" if reasons else "0"

    def lines(self) -> list[tuple[str, str]]:
        """The closing summary, as pairs of what and how much."""
        tokens, seconds = self.tokens.total(), max(self.seconds, 1e-9)
        each = ", ".join(f"{key} {count:,}" for key, count in self.tokens.items()) if len(self.keys) > 1 else f"{tokens:,}"
        han = self.han / max(self.characters, 1)
        speed = f"{self.text_bytes / seconds / 1e6:.1f} MB/s, {self.documents / seconds:,.0f} docs/s"
        content = f"{self.text_bytes / 1e6:,.1f} MB, {self.characters:,} characters ({han:.0%} Chinese), {self.words:,} words"
        return [
            ("documents", f"{self.documents:,} from {self.files:,} file{'s' * (self.files != 1)}"),
            ("rejected", self.refused),
            ("text", content),
            ("tokens", f"{each}; {self.text_bytes / max(tokens, 1):.2f} bytes/token"),
            ("time", f"{self.seconds:,.1f} s; {speed}"),
        ]

    def as_dict(self) -> dict:
        tokens = dict(self.tokens)
        names = ("files", "documents", "text_bytes", "characters", "words", "han")
        return {**{name: getattr(self, name) for name in names}, "tokens": tokens, "rejects": dict(self.rejects)}
