"""`--tokenizer-type huggingface`: a `tokenizer.json` of Hugging Face's tokenizers: BPE, Unigram, WordPiece, WordLevel.

Taken off before use: truncation, padding, BPE dropout and the template of begin and end tokens, since a corpus wants all
of its text, and the same ids every time.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tokenizers

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.byte_alphabet import bytes_of, in_alphabet
from megatron_ext.tokenizers.byte_level import fast_encoding, is_byte_level
from megatron_ext.tokenizers.contract import (
    BYTE,
    CONTINUATION,
    CONTROL,
    LITERAL,
    TEXT,
    UNUSED,
    Entry,
    Tokenizer,
    digest,
    find_eod,
    first_difference,
    well_formed,
)
from megatron_ext.tokenizers.files import find
from megatron_ext.tokenizers.flags import TokenizerFlags

SPACE = "\u2581"
_THREADS = "TOKENIZERS_PARALLELISM"


class HuggingFaceTokenizer(Tokenizer):
    def __init__(self, file: pathlib.Path, eod_token: str | None = None, content: str | None = None):
        """`content` stands for the file's, where a tokenizer is made of other files (`gpt2_bpe.py`)."""
        try:
            self.content = content = content or file.read_text(encoding="utf-8")
            self._whole = tokenizers.Tokenizer.from_str(content)
            self._config = json.loads(self._whole.to_str())  # older files leave things out, such as GPT-2's the model's type
            self._encoder = _text_only(self._whole, self._config)
        except Exception as error:  # tokenizers raises plain Exception
            raise UserError(f"--tokenizer-model {file}: is not a tokenizer.json ({error})") from None
        self._ids = self._whole.get_vocab(with_added_tokens=True)
        special = {token["content"]: token["id"] for token in self._config["added_tokens"] if token["special"]}
        self._unknown = _unknown(self._config["model"])
        self.control_tokens = {name: number for name, number in special.items() if name != self._unknown}
        self.vocab_size = max(self._ids.values()) + 1
        self.eod = find_eod(eod_token, self.control_tokens.get, str(file), self.control_tokens.get(_own_eos(file)))
        self._fast = fast_encoding(self._config, self._encoder)
        self._print = digest("huggingface", content, str(self.eod))

    def encode(self, text: str) -> list[int]:
        well_formed(text)
        if self._fast is not None:
            with contextlib.suppress(ValueError):  # a run of white space that is too long for tiktoken
                return self._fast.encode(text)
        return self._encoder.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        if self._fast is not None:
            return [self.encode(text) for text in texts]
        for text in texts:
            well_formed(text)
        with _one_thread():
            return [found.ids for found in self._encoder.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_flat(self, texts: Sequence[str], end: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        if self._fast is not None:
            with contextlib.suppress(ValueError):  # then one of them is told, or goes the other way
                return self._fast.encode_flat(texts, end)
        return super().encode_flat(texts, end)

    def difference(self, texts: Sequence[str]) -> tuple[int, int] | None:
        if self._fast is None:
            return None
        return first_difference(texts, self.encode, lambda text: self._encoder.encode(text, add_special_tokens=False).ids, self)

    def take_the_slow_way(self) -> None:
        self._fast = None

    def decode(self, ids: Iterable[int]) -> str:
        return self._whole.decode(list(map(int, ids)), skip_special_tokens=True)

    @property
    def written_in(self) -> str:
        if is_byte_level(self._config):
            return "bytes"
        model = self._config["model"]
        within = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
        return "parts of words" if within or model["type"] == "WordPiece" else "characters"

    def entries(self) -> list[Entry]:
        control = set(self.control_tokens.values()) | {self._ids.get(self._unknown)}
        literal = {token["id"] for token in self._config["added_tokens"]} - control
        read = _in_bytes if self.written_in == "bytes" else _in_characters(self._config)
        found = [Entry(UNUSED, b"")] * self.vocab_size
        for token, number in self._ids.items():
            kind = CONTROL if number in control else LITERAL if number in literal else None
            found[number] = Entry(kind, token.encode()) if kind else read(token)
        return found

    def pieces(self, entry: Entry) -> list[int]:
        """A byte-level token may hold a part of a character, which only the model itself can be given."""
        if entry.kind == CONTINUATION:
            return self._within_word(entry.text.decode())
        try:
            text = entry.text.decode()
            if entry.kind == LITERAL or self.written_in == "bytes":
                return self.encode(text)
            token = text.replace(" ", _space(self._config)) if self.written_in == "characters" else text
        except UnicodeDecodeError:
            if self.written_in != "bytes":
                return []
            token = in_alphabet(entry.text)
        try:
            return [found.id for found in self._encoder.model.tokenize(token)]
        except Exception:  # tokenizers raises plain Exception where it has no token for what is unknown
            return []

    def _within_word(self, text: str) -> list[int]:
        """WordPiece's rule, the longest first, where a word has begun already."""
        prefix, found = self._config["model"].get("continuing_subword_prefix") or "", []
        while text:
            length = next((size for size in range(len(text), 0, -1) if prefix + text[:size] in self._ids), None)
            if length is None:
                return [self._ids[name] for name in [self._unknown] if name in self._ids]
            found.append(self._ids[prefix + text[:length]])
            text = text[length:]
        return found

    def fingerprint(self) -> str:
        return self._print


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """tokenizers starts a thread a core for a batch, unless the environment says otherwise when it comes."""
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before


def _text_only(whole: tokenizers.Tokenizer, config: dict[str, Any]) -> tokenizers.Tokenizer:
    """The tokenizer that takes all of the text, every time the same way, and never for a control token.

    `encode_special_tokens` keeps tokenizers from looking for them in the text. But Unigram, WordPiece and WordLevel, and
    BPE with `ignore_merges`, may still find a control token's name in their vocabulary, and Unigram that of what is unknown:
    there it gets a name that no text has. (The model has it under its name for decoding, so this is then another tokenizer
    than `whole`.)
    """
    model, vocab = config["model"], config["model"]["vocab"]
    names = set(vocab) if isinstance(vocab, dict) else {token for token, _ in vocab}
    special = {token["content"] for token in config["added_tokens"] if token["special"]} - {_unknown(model)}
    if model["type"] == "Unigram":  # which knows by number what is unknown, so its name may change
        special.add(_unknown(model))
    hidden = set() if model["type"] == "BPE" and not model["ignore_merges"] else special & names
    if hidden:
        rename = lambda token: f"\U0010ffff{token}\U0010ffff" if token in hidden else token
        if isinstance(vocab, dict):
            vocab = {rename(token): number for token, number in vocab.items()}
        else:
            vocab = [[rename(token), score] for token, score in vocab]
        added = [token for token in config["added_tokens"] if token["content"] not in hidden]
        whole = tokenizers.Tokenizer.from_str(json.dumps({**config, "model": {**model, "vocab": vocab}, "added_tokens": added}))
    whole.encode_special_tokens = True
    whole.no_truncation()
    whole.no_padding()
    if model["type"] == "BPE":
        whole.model.dropout = None
    return whole


def _unknown(model: dict[str, Any]) -> str | None:
    """The name of the token for what the vocabulary does not have."""
    if model["type"] == "Unigram":
        return model["vocab"][model["unk_id"]][0] if model.get("unk_id") is not None else None
    return model.get("unk_token")


def _space(config: dict[str, Any]) -> str:
    """How tokens write a space: a step that writes it as U+2581, or writes it back, has the character among its settings."""
    steps = json.dumps([config.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")], ensure_ascii=False)
    return SPACE if SPACE in steps else " "


def _in_bytes(token: str) -> Entry:
    return Entry(TEXT, bytes_of(token))


def _in_characters(config: dict[str, Any]) -> Callable[[str], Entry]:
    """What a token stands for in a model that is not byte-level."""
    model, space = config["model"], _space(config)
    prefix = model.get("continuing_subword_prefix") or ""
    fallback = model.get("byte_fallback", False)

    def read(token: str) -> Entry:
        if fallback and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return Entry(BYTE, bytes([int(token[3:5], 16)]))
        kind = CONTINUATION if prefix and token.startswith(prefix) else TEXT
        return Entry(kind, token.removeprefix(prefix).replace(space, " ").encode())

    return read


def _own_eos(file: pathlib.Path) -> str | None:
    """What the `tokenizer_config.json` beside it calls its end token."""
    try:
        found = json.loads((file.parent / "tokenizer_config.json").read_text(encoding="utf-8")).get("eos_token")
    except (OSError, ValueError):
        return None
    return found["content"] if isinstance(found, dict) else found


def load(flags: TokenizerFlags) -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer(find(flags.tokenizer_model, "huggingface"), flags.eod_token)
