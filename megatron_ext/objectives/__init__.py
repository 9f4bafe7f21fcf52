"""What a model is trained to do, one file each. `--objective`

Two kinds. causal_lm takes samples as they are cut from the stream of documents: `batch(tokens, reading)` makes of a micro-batch
what the model takes. All others work document by document: `Pairs(setting)` makes of a document's tokens, and of random numbers
that belong to the sample, a `Pair` of what is given and what is to be predicted; `reading/` lays pairs out for an architecture.
Both kinds end in `loss(per_token, batch)`. What a trained model is asked with stands beside it, as `Asked` (reading/pairs.py):
`continued(ids)` goes on with a text, `infilled(before, after)` writes what stands between two, `filled(parts)` says what has been
masked; what an objective has not, its models cannot be asked.
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

    @property
    def apart(self) -> bool:
        """Whether documents are told from one another."""
        return self.reset_position_ids or self.reset_attention_mask or self.eod_mask_loss


PLAIN = Reading(eod=-1)
