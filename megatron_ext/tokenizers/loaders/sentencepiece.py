"""`--tokenizer-type sentencepiece`: a SentencePiece model file, BPE or Unigram (arXiv:1808.06226).

Lossless when it was trained with `byte_fallback`, identity normalisation and without `remove_extra_whitespaces`. A space is
written U+2581 in its pieces; most models put one such space before each text (`prefix_bytes`), which `decode` takes off.

A U+2581 of the text would become a space, too. Where the model puts no space before a text and is else lossless, it is written as
its three bytes instead; these are the only ids that differ from sentencepiece's own.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterable, Sequence

import sentencepiece

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.contract import BYTE, CONTROL, TEXT, UNUSED, Entry, Tokenizer, digest, find_eod, well_formed
from megatron_ext.tokenizers.files import find
from megatron_ext.tokenizers.flags import TokenizerFlags

SPACE = "\u2581"


class SentencePieceTokenizer(Tokenizer):
    written_in = "characters"

    def __init__(self, file: pathlib.Path, eod_token: str | None = None):
        try:
            self.content = file.read_bytes()
            self._model = sentencepiece.SentencePieceProcessor(model_proto=self.content)
        except (OSError, RuntimeError) as error:
            raise UserError(f"--tokenizer-model {file}: is not a SentencePiece model ({error})") from None
        self.vocab_size = self._model.get_piece_size()
        own = self._model.eos_id()
        # Of user-defined pieces none: text could hold them, and so end its document.
        self.control_tokens = {
            self._model.id_to_piece(token): token for token in range(self.vocab_size) if self._model.is_control(token)
        }
        self.eod = own if own >= 0 and eod_token is None else find_eod(eod_token, self.control_tokens.get, str(file))

    @functools.cached_property
    def ids_of_space(self) -> list[int] | None:
        """The bytes of U+2581; None where the model has no bytes, or would do something to the parts of a text."""
        ids = [self._model.piece_to_id(f"<0x{byte:02X}>") for byte in SPACE.encode()]
        probe = " a  b "
        whole = self._model.decode(self._model.encode(probe, out_type=int)) == probe and self.prefix_bytes == 0
        return ids if whole and all(map(self._model.is_byte, ids)) else None

    def encode(self, text: str) -> list[int]:
        well_formed(text)
        if SPACE not in text or self.ids_of_space is None:
            return self._model.encode(text, out_type=int)
        first, *parts = self._model.encode(text.split(SPACE), out_type=int, num_threads=1)
        return first + [number for part in parts for number in (*self.ids_of_space, *part)]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        if any(SPACE in text for text in texts):
            return super().encode_batch(texts)
        for text in texts:
            well_formed(text)
        return self._model.encode(list(texts), out_type=int, num_threads=1)

    def decode(self, ids: Iterable[int]) -> str:
        return self._model.decode([token for token in map(int, ids) if token < self.vocab_size])

    def special_tokens(self) -> dict[str, str]:
        """The names of its control tokens, as a `tokenizer_config.json` of Hugging Face's has them."""
        ids = {"bos": self._model.bos_id(), "eos": self.eod, "unk": self._model.unk_id(), "pad": self._model.pad_id()}
        return {f"{key}_token": self._model.id_to_piece(number) for key, number in ids.items() if number >= 0}

    def entries(self) -> list[Entry]:
        return [self._entry(token) for token in range(self.vocab_size)]

    def _entry(self, token: int) -> Entry:
        piece = self._model.id_to_piece(token)
        if self._model.is_control(token) or self._model.is_unknown(token):
            return Entry(CONTROL, piece.encode())
        if self._model.is_unused(token):
            return Entry(UNUSED, b"")
        if self._model.is_byte(token):
            return Entry(BYTE, bytes([int(piece[3:5], 16)]))  # <0x41>
        return Entry(TEXT, piece.replace(SPACE, " ").encode())

    def normalized(self, text: str) -> str:
        """What the model cuts into pieces, with spaces for U+2581."""
        return self._model.normalize(text).replace(SPACE, " ")

    def pieces(self, entry: Entry) -> list[int]:
        try:
            return self._within_text.encode(entry.text.decode(), out_type=int)
        except UnicodeDecodeError:
            return []

    @functools.cached_property
    def _within_text(self) -> sentencepiece.SentencePieceProcessor:
        """The same model for what stands in the middle of a text, normalised already: no space before it, none taken away."""
        proto = model_proto(self.content)
        proto.normalizer_spec.precompiled_charsmap = b""
        proto.normalizer_spec.add_dummy_prefix = proto.normalizer_spec.remove_extra_whitespaces = False
        return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())

    def fingerprint(self) -> str:
        return digest("sentencepiece", self.content, str(self.eod))


def model_proto(content: bytes):
    """A model's file, taken apart: its pieces with scores and kinds, and how it splits text."""
    from sentencepiece import sentencepiece_model_pb2

    return sentencepiece_model_pb2.ModelProto.FromString(content)


def load(flags: TokenizerFlags) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(find(flags.tokenizer_model, "sentencepiece"), flags.eod_token)
