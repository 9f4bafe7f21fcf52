"""`--tokenizer-type tiktoken`: byte-level BPE from a file of ranks, and a pattern that splits the text first.

Two forms of file: OpenAI's and Llama 3's lines of "base64 rank", with the control tokens after the ranks; and Megatron-LM's
JSON list, with 1,000 control tokens (`--tiktoken-num-special-tokens`) before them (patterns.py has both layouts).
"""

from __future__ import annotations

import base64
import binascii
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers import patterns, ranks_as_json
from megatron_ext.tokenizers.byte_pairs import BytePairs
from megatron_ext.tokenizers.contract import CONTROL, TEXT, UNUSED, Entry, Tokenizer, digest, find_eod, first_difference
from megatron_ext.tokenizers.files import find
from megatron_ext.tokenizers.flags import TokenizerFlags


class TiktokenTokenizer(Tokenizer):
    written_in = "bytes"

    def __init__(
        self,
        file: pathlib.Path,
        pattern: str,
        eod_token: str | None = None,
        vocab_size: int | None = None,
        control_count: int | None = None,
    ):
        ranks, control = _read(file, pattern, vocab_size, control_count)
        self._pattern = patterns.PATTERNS.get(pattern, pattern)
        try:
            self._encoding = BytePairs(self._pattern, ranks)
        except ValueError as error:
            raise UserError(f"--tiktoken-pattern {pattern}: is neither a known name nor a regular expression ({error})") from None
        self._texts = {token: text for text, token in ranks.items()}
        self.vocab_size = max(max(ranks.values()), *control.values()) + 1
        self.control_tokens = control
        self.eod = find_eod(eod_token, control.get, str(file))
        self._print = digest("tiktoken", file.read_bytes(), self._pattern, str(self.vocab_size), str(self.eod))

    def encode(self, text: str) -> list[int]:
        return self._encoding.encode(text)

    def encode_flat(self, texts: Sequence[str], end: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        return self._encoding.encode_flat(texts, end)

    def difference(self, texts: Sequence[str]) -> tuple[int, int] | None:
        return first_difference(texts, self.encode, self._encoding.encode_as_tiktoken, self)

    def take_the_slow_way(self) -> None:
        self._encoding.quick = False

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self._texts.get(int(token), b"") for token in ids).decode("utf-8", errors="replace")

    def entries(self) -> list[Entry]:
        found = [Entry(UNUSED, b"")] * self.vocab_size
        for token, text in self._texts.items():
            found[token] = Entry(TEXT, text)
        for name, token in self.control_tokens.items():
            found[token] = Entry(CONTROL, name.encode())
        return found

    def pieces(self, entry: Entry) -> list[int]:
        try:
            return self.encode(entry.text.decode())
        except UnicodeDecodeError:  # a part of a character
            ranks = {text: token for token, text in self._texts.items()}
            return [ranks[part] for part in ranks_as_json.parts(ranks, entry.text)]

    def tokenizer_json(self) -> dict[str, Any]:
        """The content of a `tokenizer.json` with the same ids."""
        return ranks_as_json.tokenizer_json(self._texts, self.control_tokens, self._pattern)

    def fingerprint(self) -> str:
        return self._print


def _read(
    file: pathlib.Path, pattern: str, vocab_size: int | None, control_count: int | None
) -> tuple[dict[bytes, int], dict[str, int]]:
    """`(ranks by bytes, ids of control tokens)` of either form of file."""
    try:
        content = file.read_bytes()
        if content.lstrip()[:1] == b"[":
            ranks, control = _megatron(json.loads(content), vocab_size, control_count or patterns.MEGATRON_CONTROL_COUNT)
        elif control_count is not None:
            raise UserError(
                f"--tiktoken-num-special-tokens {control_count}: {file} is not of Megatron-LM's JSON form, and has its control "
                "tokens after the ranks; leave it out"
            )
        else:
            ranks, control = _lines(content, pattern)
        if any(bytes([byte]) not in ranks for byte in range(256)):
            raise ValueError("the 256 bytes are not all among its tokens")
    except (OSError, ValueError, TypeError, KeyError, binascii.Error) as error:
        raise UserError(f"--tokenizer-model {file}: is not a file of tiktoken ranks ({error})") from None
    return ranks, control


def _lines(content: bytes, pattern: str) -> tuple[dict[bytes, int], dict[str, int]]:
    words = (line.split() for line in content.splitlines() if line.strip())
    ranks = {base64.b64decode(text, validate=True): int(rank) for text, rank in words}
    after = max(ranks.values(), default=-1) + 1
    places = patterns.CONTROL_TOKENS.get(pattern, patterns.OTHERS_CONTROL_TOKENS)
    return ranks, {name: after + place for name, place in places.items()}


def _megatron(entries: list[dict], vocab_size: int | None, count: int) -> tuple[dict[bytes, int], dict[str, int]]:
    kept = entries[: (vocab_size or patterns.MEGATRON_VOCAB_SIZE) - count]
    ranks = {base64.b64decode(entry["token_bytes"], validate=True): entry["rank"] + count for entry in kept}
    named = patterns.MEGATRON_CONTROL_TOKENS
    names = (*named, *(f"<SPECIAL_{place}>" for place in range(len(named), count)))
    return ranks, {name: place for place, name in enumerate(names)}


def load(flags: TokenizerFlags) -> TiktokenTokenizer:
    file = find(flags.tokenizer_model, "tiktoken")
    return TiktokenTokenizer(file, flags.tiktoken_pattern, flags.eod_token, flags.vocab_size, flags.tiktoken_num_special_tokens)
