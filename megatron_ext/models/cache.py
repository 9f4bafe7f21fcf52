"""What a model's layers remember of the texts that they read, so that a new token alone goes through the model.

Attention of token n needs the keys and values of tokens 0…n, which do not change once they are computed: with them kept, a
step costs one token's matrices and not n tokens' (arXiv:1911.02150, section 2.4). A row is a text. Rows may differ in length:
slot i of a row holds its token i, so positions are the slots and padding stands at the end, where causality hides it. A row
thus sees the same as it would alone, whatever the kind of positions.

Memory: layers · 2 · groups · head width · slots · rows numbers, for attention that keeps keys and values. What a layer keeps
is its own business, rows first: `extend` serves everything that grows by a slot a token, `keep` what a decoder keeps of an
encoder's tokens, `memory` all else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from megatron.core.inference.contexts import BaseInferenceContext

from megatron_ext.models.attention.tokens import Tokens


class Cache(BaseInferenceContext):
    """One a batch; goes through the model as megatron-core's `inference_context`.

    Attributes:
        max_sequence_length: positions the model has; the length of tables of positions.
        lengths: tokens of each row, those that are going through the model included: `[b]`.
        positions: of the tokens that are going through the model, padding too: `[b, s]`.
        end: slots that are looked at: the longest row's length.
        tokens: where queries and keys lie, for attention; None where they are the same tokens, from position 0 on.
        documents: of an encoder's tokens, 0 where they are no padding, `[b, s]`; None without an encoder.
        memory: by layer number, what it keeps by name; tensors with rows first.
        shared: by layer number, what is the same for all rows.
    """

    def __init__(self, slots: int, max_positions: int, device: torch.device):
        super().__init__(materialize_only_last_token_logits=False)  # megatron-core would take the padding's
        self.max_sequence_length = max_positions
        self._slots, self._device = slots, device
        self.documents: torch.Tensor | None = None
        self.memory: dict[int, dict[str, torch.Tensor]] = {}
        self.shared: dict[int, torch.Tensor] = {}

    def is_static_batching(self) -> bool:
        """As megatron-core calls it when keys and values come as plain tensors."""
        return True

    def is_decode_only(self) -> bool:
        """Asked for megatron-core's CUDA graphs and flash decoding, which are not used here."""
        return False

    def read(self, counts: Sequence[int], prefixes: Sequence[int] = (), encoder: Sequence[int] = ()) -> None:
        """Announce the first tokens of all rows, `counts[row]` of them, padded to the longest at the end.

        Args:
            prefixes: of each row, how many at the beginning are a prefix, which the pattern of that name shows both ways.
            encoder: of each row, how many tokens an encoder reads for it, padded alike.
        """
        self._announce(torch.zeros(len(counts), dtype=torch.long, device=self._device), torch.tensor(counts, device=self._device))
        self.tokens = None
        if any(prefixes):
            index, shown = torch.arange(self.end, device=self._device), torch.tensor(prefixes, device=self._device)
            self.tokens = Tokens(index, self.end, prefix=index < shown[:, None])
        if any(encoder):
            index, shown = torch.arange(max(encoder), device=self._device), torch.tensor(encoder, device=self._device)
            self.documents = torch.where(index < shown[:, None], 0, -1)

    def next(self) -> None:
        """Announce one more token a row."""
        self._announce(self.lengths, torch.ones_like(self.lengths))
        self.tokens = Tokens(self.positions, self.end)

    @property
    def across(self) -> Tokens:
        """Where the announced tokens look at an encoder's."""
        of_queries = torch.zeros_like(self.positions)
        return Tokens(self.positions, self.documents.shape[1], self.documents, of_queries=of_queries)

    def _announce(self, before: torch.Tensor, counts: torch.Tensor) -> None:
        self.lengths = before + counts
        self.end = int(self.lengths.max())
        if self.end > self._slots:
            raise ValueError(f"a row of {self.end} tokens does not fit into the cache's {self._slots} slots")
        self.positions = before[:, None] + torch.arange(int(counts.max()), device=self._device)
        self._last = counts - 1

    def extend(self, layer: int, **new: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Keep what a layer computed for the announced tokens, and give what it keeps of all: `[b, n, s, d]` → `[b, n, end, d]`.

        What padding leaves behind lies beyond its row's length: hidden, and overwritten by the row's next token.
        """
        kept = self.memory.setdefault(layer, {})
        for name, tensor in new.items():
            if name not in kept:
                kept[name] = tensor.new_zeros((*tensor.shape[:2], self._slots, tensor.shape[3]))
            index = self.positions[:, None, :, None].expand_as(tensor)
            kept[name].scatter_(2, index, tensor)
        return tuple(kept[name][:, :, : self.end] for name in new)

    def keep(self, layer: int, **new: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What a layer computed in the first pass, rows first, whatever it comes with later."""
        kept = self.memory.setdefault(layer, {})
        return tuple(kept.setdefault(name, tensor) for name, tensor in new.items())

    def once(self, layer: int, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What a layer needs in every step and for all rows: made in the first."""
        if layer not in self.shared:
            self.shared[layer] = make()
        return self.shared[layer]

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone, in this order; a row may be taken several times."""
        index = torch.tensor(rows, device=self._device)
        self.lengths = self.lengths[index]
        self.documents = None if self.documents is None else self.documents[index]
        for kept in self.memory.values():
            for name in kept:
                kept[name] = kept[name][index]

    def last_of_rows(self, hidden: torch.Tensor) -> torch.Tensor:
        """Of the announced tokens, the last real one of each row: `[s, b, h]` → `[1, b, h]`."""
        return hidden[self._last, torch.arange(hidden.shape[1], device=self._device)][None]
