"""Tensors that backward makes again in place of keeping them: masks, and keys that other processes hold."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Again:
    """Stands, in autograd's memory, for a tensor and all its views.

    Args:
        make: gives the tensor again, in the same form; called once in a backward pass, however many kept a view.
    """

    def __init__(self, tensor: torch.Tensor, make: Callable[[], torch.Tensor]):
        self._address = tensor.untyped_storage().data_ptr()  # autograd keeps this object: it must not hold the tensor
        self.make, self._promised, self._made = make, 0, None

    def holds(self, kept: torch.Tensor) -> bool:
        return kept.untyped_storage().data_ptr() == self._address

    def promise(self, kept: torch.Tensor) -> tuple:
        self._promised += 1
        return self, kept.size(), kept.stride(), kept.storage_offset()

    def keep_promise(self, *form) -> torch.Tensor:
        made = self.make() if self._made is None else self._made
        self._promised -= 1
        self._made = made if self._promised > 0 else None
        return made.as_strided(*form)


def made_again(*things: Again):
    """Inside, autograd keeps a promise where it would keep one of the things. Nested, the innermost alone counts."""

    def pack(kept: torch.Tensor):
        for thing in things:
            if thing.holds(kept):
                return thing.promise(kept)
        return kept

    def unpack(kept):
        return kept if isinstance(kept, torch.Tensor) else kept[0].keep_promise(*kept[1:])

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)
