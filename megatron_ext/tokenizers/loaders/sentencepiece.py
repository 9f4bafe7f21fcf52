"""`--tokenizer-type sentencepiece`: a SentencePiece model file, BPE or Unigram (arXiv:1808.06226).

Lossless when it was trained with `byte_fallback`, identity normalisation and without `remove_extra_whitespaces`. A space is
written U+2581 in its pieces; most models put one such space before each text (`prefix_bytes`), which `decode` takes off.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import sentencepiece

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.contract import Tokenizer, digest, find_eod
from megatron_ext.tokenizers.files import find
from megatron_ext.tokenizers.flags import TokenizerFlags

SPACE = "\u2581"


class SentencePieceTokenizer(Tokenizer):
    def __init__(self, file: pathlib.Path, eod_token: str | None = None):
        try:
            self._content = file.read_bytes()
            self._model = sentencepiece.SentencePieceProcessor(model_proto=self._content)
        except (OSError, RuntimeError) as error:
            raise UserError(f"--tokenizer-model {file}: is not a SentencePiece model ({error})") from None
        self.vocab_size = self._model.get_piece_size()
        own = self._model.eos_id()
        # Of user-defined pieces none: text could hold them, and so end its document.
        self.control_tokens = {
            self._model.id_to_piece(token): token for token in range(self.vocab_size) if self._model.is_control(token)
        }
        self.eod = own if own >= 0 and eod_token is None else find_eod(eod_token, self.control_tokens.get, str(file))

    def encode(self, text: str) -> list[int]:
        return self._model.encode(text, out_type=int)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._model.encode(list(texts), out_type=int, num_threads=1)

    def decode(self, ids: Iterable[int]) -> str:
        return self._model.decode([token for token in map(int, ids) if token < self.vocab_size])

    def special_tokens(self) -> dict[str, str]:
        """The names of its control tokens, as a `tokenizer_config.json` of Hugging Face's has them."""
        ids = {"bos": self._model.bos_id(), "eos": self.eod, "unk": self._model.unk_id(), "pad": self._model.pad_id()}
        return {f"{key}_token": self._model.id_to_piece(number) for key, number in ids.items() if number >= 0}

    def token_bytes(self) -> np.ndarray:
        return np.array([self._size(token) for token in range(self.vocab_size)], np.int32)

    def _size(self, token: int) -> int:
        if self._model.is_control(token) or self._model.is_unknown(token) or self._model.is_unused(token):
            return 0
        if self._model.is_byte(token):
            return 1
        return len(self._model.id_to_piece(token).replace(SPACE, " ").encode())

    def fingerprint(self) -> str:
        return digest("sentencepiece", self._content, str(self.eod))


def load(flags: TokenizerFlags) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(find(flags.tokenizer_model, "sentencepiece"), flags.eod_token)
