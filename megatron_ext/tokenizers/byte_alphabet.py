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
