"""Whether a tokenizer gives back the text that it was given, and what became of it where it does not."""

from __future__ import annotations

import dataclasses

from megatron_ext.tokenizers.contract import Tokenizer


@dataclasses.dataclass(frozen=True)
class Loss:
    """The first place where a text came back as another one.

    Attributes:
        place: characters before it.
        given, back: a few characters from there, of the text and of what came back.
    """

    place: int
    given: str
    back: str

    def __str__(self) -> str:
        if not self.given:
            return f"at its end {self.back!r} is added"
        shown = f"character {self.place}, {self.given[0]!r} (U+{ord(self.given[0]):04X})"
        return f"{shown}: {self.given!r} comes back as {self.back!r}" if self.back else f"{shown}, does not come back"


def loss(tokenizer: Tokenizer, text: str) -> Loss | None:
    """What is lost of the text by encoding and decoding it; None: nothing."""
    return difference(text, tokenizer.decode(tokenizer.encode(text)))


def difference(text: str, back: str, around: int = 12) -> Loss | None:
    """The first place where `back`, which came back of the text, is another one; None: nowhere."""
    if back == text:
        return None
    place = next((at for at, (one, other) in enumerate(zip(text, back)) if one != other), min(len(text), len(back)))
    return Loss(place, text[place : place + around], back[place : place + around])
