"""What a model is trained to do, one file each: the batch's transform and its loss together.

A file offers `batch(tokens, reading)`, from a micro-batch of samples to what the model takes, and `loss(per_token, batch)`.
"""

from __future__ import annotations

from typing import NamedTuple


class Reading(NamedTuple):
    """How samples are read.

    Attributes:
        eod: the token that ends a document.
        reset_position_ids: positions count from each document's beginning.
        reset_attention_mask: tokens see their own document alone.
        eod_mask_loss: what follows the end of a document is no target, being another document's.
    """

    eod: int
    reset_position_ids: bool = False
    reset_attention_mask: bool = False
    eod_mask_loss: bool = False


PLAIN = Reading(eod=-1)
