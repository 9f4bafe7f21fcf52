"""The alphabet in which byte-level BPE (GPT-2) writes bytes in a `tokenizer.json`: 256 visible characters for the 256 bytes.

So a token's bytes are one for each of its characters.
"""

from __future__ import annotations


def _alphabet() -> dict[str, int]:
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


BYTE_OF = _alphabet()
"""Character of the byte-level alphabet -> the byte that it stands for."""

_CHARACTER_OF = {byte: character for character, byte in BYTE_OF.items()}


def in_alphabet(text: bytes) -> str:
    """Bytes in the byte-level alphabet."""
    return "".join(map(_CHARACTER_OF.__getitem__, text))


def bytes_of(token: str) -> bytes:
    """The bytes of a token in that alphabet; of one that is not in it (a control token's name among the others), its own."""
    return bytes(map(BYTE_OF.__getitem__, token)) if all(map(BYTE_OF.__contains__, token)) else token.encode()
