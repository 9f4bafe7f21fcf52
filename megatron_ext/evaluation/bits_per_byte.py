"""Bits per byte of documents under a model: −Σ log₂ p(token) / bytes of UTF-8. Comparable across tokenizers and with gzip.

Each document is one stream: the end-of-document token stands before it, every token of the text and the end token after
it are predicted, so the code is complete and a document could be decoded from it. A text longer than the model's window
is read in windows that overlap by half, each token being predicted once, with at least half a window before it.

A model that learnt document by document has never seen what follows an end. It is fed none, and a document's first token takes as
much as one of the vocabulary drawn evenly.

The model may be spread over processes; those beyond one model's share the windows among them.
"""

from __future__ import annotations

import dataclasses
import gzip
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from megatron.core import parallel_state

from megatron_ext.inference.stages import forward, share


@dataclasses.dataclass
class Score:
    """Sums over documents: `nats` of all targets, `tokens` predicted, `size` in bytes, and in bytes after gzip -9."""

    documents: int = 0
    tokens: int = 0
    size: int = 0
    nats: float = 0.0
    gzip_size: int = 0

    COLUMNS = ("kB", "bytes/token", "loss (nats/token)", "bits/byte", "gzip -9 bits/byte")

    def row(self) -> tuple[str, ...]:
        a_token = self.size / self.tokens, self.nats / self.tokens
        rates = f"{self.bits_per_byte:.3f}", f"{self.gzip_bits_per_byte:.3f}"
        return f"{self.size / 1000:.0f}", f"{a_token[0]:.2f}", f"{a_token[1]:.3f}", *rates

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / max(self.size, 1)

    @property
    def gzip_bits_per_byte(self) -> float:
        return 8 * self.gzip_size / max(self.size, 1)

    def figures(self) -> dict[str, float]:
        """As `--json` has them."""
        sums = {"documents": self.documents, "bytes": self.size, "tokens": self.tokens, "nats": self.nats}
        return {**sums, "bits_per_byte": self.bits_per_byte, "gzip_bits_per_byte": self.gzip_bits_per_byte}


def windows(length: int, window: int) -> Iterator[tuple[int, int, int]]:
    """`(begin, end, first)` over `length` inputs: inputs begin…end go through the model, targets from `first` on count."""
    begin = first = 0
    while first < length:
        end = min(begin + window, length)
        yield begin, end, first
        first, begin = end, max(end - window // 2, begin + 1)


@torch.no_grad()
def score(model, tokenizer, texts: list[str], window: int, batch_size: int, device, behind_ends: bool = True) -> Score:
    """Score the documents of one source; gzip -9 is given all of them at once, end to end.

    Args:
        behind_ends: whether the model has learnt what follows the token that ends a document.
    """
    raw = [text.encode("utf-8") for text in texts]
    result = Score(documents=len(texts), size=sum(map(len, raw)), gzip_size=len(gzip.compress(b"".join(raw), compresslevel=9)))
    pieces = []
    for text in texts:
        ids = torch.tensor([*[tokenizer.eod] * behind_ends, *tokenizer.encode(text), tokenizer.eod])
        result.tokens += len(ids) - behind_ends
        pieces += [
            (ids[begin:end], ids[begin + 1 : end + 1], first - begin) for begin, end, first in windows(len(ids) - 1, window)
        ]
    pieces.sort(key=lambda piece: len(piece[0]))  # windows of a length go together: little padding
    nats = torch.zeros(1, dtype=torch.float64, device=device)
    mine = parallel_state.get_data_parallel_rank()
    for batch, at in enumerate(range(0, len(pieces), batch_size)):
        if batch % parallel_state.get_data_parallel_world_size() == mine:
            nats += _nats(model, pieces[at : at + batch_size], device)
    torch.distributed.all_reduce(nats, group=parallel_state.get_data_parallel_group())
    result.nats = share(nats).item() + (0.0 if behind_ends else len(texts) * math.log(model.config.vocab_size))
    return result


def _nats(model, pieces: list[tuple], device) -> float:
    """On the last stage; 0 on others. Padding stands at the end, where a causal model lets no real token see it."""
    length = max(len(inputs) for inputs, _, _ in pieces)
    inputs = torch.stack([F.pad(inputs, (0, length - len(inputs))) for inputs, _, _ in pieces]).to(device)
    targets = torch.stack(
        [
            F.pad(targets.masked_fill(torch.arange(len(targets)) < skip, -100), (0, length - len(targets)), value=-100)
            for _, targets, skip in pieces
        ]
    ).to(device)
    positions = torch.arange(length, device=device).expand_as(inputs)
    logits = forward(model, inputs, positions)
    if logits is None:
        return 0.0
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum").item()
