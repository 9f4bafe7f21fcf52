"""Control tokens that a tokenizer is learned with: `--special-tokens`, `--additional-special-tokens`, and reserved ones.

They stand for no text. A text that holds such a name keeps it as text: no objective's sentinel can be written by a document.
An objective finds its own by name in `Tokenizer.control_tokens`.

Ids: 0 ends a document, then come the token for what is unknown (where an algorithm needs one) and these families in the order of
`FAMILIES`, then `--additional-special-tokens`, then the alphabet and what was learned, then the reserved ones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

EXTRA_IDS = 100
_NUMBERED = "<extra_id_{}>"

FAMILIES = {
    # Fill in the middle (arXiv:2207.14255), by the names of StarCoder 2 and Qwen 2.5 Coder
    "fim": ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    # Span corruption (T5, arXiv:1910.10683): as many as --extra-ids
    "span_corruption": (_NUMBERED,),
    # The modes of a mixture of denoisers (UL2, arXiv:2205.05131)
    "ul2": ("[R]", "[S]", "[X]"),
    # Masked language modelling (BERT, arXiv:1810.04805) and blank infilling (GLM, arXiv:2103.10360, 2210.02414)
    "masks": ("[MASK]", "[CLS]", "[SEP]", "[PAD]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
    # Prefix language modelling whose prefixes the data gives (objectives/prefix_lm.py)
    "prefix_lm": ("<|prefix_end|>",),
}
"""Family -> its names. Each is a control token."""

RESERVED = "<|reserved_{}|>"
UNKNOWN = "<unk>"
RESERVED_NAME = re.compile(r"<\|reserved_\d+\|>|<0x[0-9A-F]{2}>|<unk>|\[UNK\]")
"""Names that a learned tokenizer may need for itself."""


def span_sentinel(number: int) -> str:
    """The name of T5's sentinel of this number, from 0."""
    return _NUMBERED.format(number)


def names(families: Collection[str], extra_ids: int = EXTRA_IDS, additional: Sequence[str] = ()) -> list[str]:
    """All control tokens but the end of a document, in the order of their ids."""
    found = []
    for family, members in FAMILIES.items():
        if family in families:
            for name in members:
                found += [span_sentinel(number) for number in range(extra_ids)] if name == _NUMBERED else [name]
    return [*found, *additional]


def reserved(entries: int, multiple: int) -> list[str]:
    """The names that fill a vocabulary of so many entries up to a multiple."""
    return [RESERVED.format(number) for number in range(-entries % multiple)]
