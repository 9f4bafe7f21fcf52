"""What objectives are tried on: a tokenizer with all control tokens, real documents, and settings."""

from __future__ import annotations

import functools
import pathlib
import tempfile
from types import SimpleNamespace

import numpy as np

from megatron_ext.objectives.reading.flags import ObjectiveFlags
from megatron_ext.objectives.reading.pairs import Setting
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.tokenizers.loaders import huggingface
from tests import texts


@functools.cache
def tokenizer():
    with tempfile.TemporaryDirectory() as folder:
        texts.write_tokenizer_with_control_tokens(pathlib.Path(folder), 800)
        return huggingface.load(TokenizerFlags(tokenizer_model=folder, tokenizer_type="huggingface"))


def setting(objective: str, **flags) -> Setting:
    return Setting(SimpleNamespace(**vars(ObjectiveFlags(objective=objective, **flags))), tokenizer())


def ordinary(length: int, seed: int = 0) -> np.ndarray:
    """Ids that are no control tokens, and the end of the document behind them."""
    ids = np.random.default_rng(seed).integers(150, 800, length)
    return np.append(ids, tokenizer().eod)


@functools.cache
def control(name: str) -> int:
    return tokenizer().control_tokens[name]
