"""Personal data and secrets in texts: found by form and by checksum, then removed, masked or replaced by consistent fakes.

A file of `kinds` is one kind (`--scrub email phone_number …`) and offers

TITLE                       how a person reads the kind, in the plural ("e-mail addresses")
CERTAINTY                   how little its check leaves to chance, 1 to 9: of two spans that overlap, the surer one stays
check(text, start, end, c)  `(start, end)` of the one that stands in the proposed text[start:end], or None; `c`: the flags
fake(found, draw)           another of the same form that belongs to nobody. `draw(normal form)` is a number of 128 bits, the
                            same for the same value and salt. A value that belongs to nobody already stays as it is

`candidates.py` proposes spans for all kinds in one pass over the text, by form alone; `scrub.py` puts the two together.
"""

from __future__ import annotations

from megatron_ext.arguments.registry import Registry

KINDS = Registry("megatron_ext.corpus.sensitive.kinds")
