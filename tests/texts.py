"""Real text that every Python brings, and small tokenizers learned from it: fixtures for all rooms that need them."""

from __future__ import annotations

import base64
import functools
import io
import json
import pathlib
import random
import sysconfig
from collections.abc import Collection

import sentencepiece
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.byte_alphabet import BYTE_OF
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.flags import ALGORITHMS, TokenizerFlags, TrainTokenizerFlags
from megatron_ext.tokenizers.special_tokens import FAMILIES
from megatron_ext.tokenizers.training import byte_level_bpe

HARD = [
    "plain words",
    "  two spaces  and more   ",
    "tabs\tand\r\nline ends\n\n\n",
    "naïve café, Zürich: 3,141,592.65 €",
    "中文与 English 混排。日本語 한국어",
    "👩‍👩‍👧‍👦 family, ½ Ⅷ ٣, \u00a0\u2003wide",
    "<|endoftext|> is text, </s> too, <s> <unk> [SEP] <0x41>",
    "nul \x00, bell \x07, bom \ufeff, U+10FFFF \U0010ffff, combining e\u0301",
    "\n",
    "x" * 3000,
    " " * 3000,
]


@functools.cache
def library_texts(count: int = 40) -> list[str]:
    """Modules of Python's own library, in pieces of at most 4,000 characters."""
    pieces = []
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="ignore")
        pieces += [text[start : start + 4000] for start in range(0, len(text), 4000)]
        if len(pieces) >= 10 * count:
            break
    return [piece for piece in pieces[:: len(pieces) // count] if piece.strip()][:count]


@functools.cache
def byte_level_bpe_json(vocab_size: int = 600) -> str:
    """A byte-level BPE as our own tool learns it."""
    return byte_level_bpe.train(library_texts(), TrainTokenizerFlags(vocab_size=vocab_size))["tokenizer.json"].decode()


@functools.cache
def learned(algorithm: str, **flags) -> dict[str, bytes]:
    """The folder that our own tool writes, by the modules of `--algorithm` alone."""
    flags = TrainTokenizerFlags(algorithm=algorithm, **{"vocab_size": 800, **flags})
    return ALGORITHMS.load(algorithm).train(library_texts(), flags)


def load(contents: dict[str, bytes], folder: pathlib.Path, **flags) -> Tokenizer:
    """The tokenizer of a folder with these files, through our loaders."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    kind = "sentencepiece" if "tokenizer.model" in contents else "huggingface"
    return build(TokenizerFlags(tokenizer_type=kind, tokenizer_model=str(folder), **flags))


def write_tokenizer_with_control_tokens(
    folder: pathlib.Path, vocab_size: int, learned_from: list[str] | None = None, families: Collection[str] = tuple(FAMILIES)
) -> str:
    """A byte-level BPE with the control tokens of all objectives, as a folder."""
    flags = TrainTokenizerFlags(vocab_size=vocab_size, special_tokens=tuple(families))
    for name, content in byte_level_bpe.train(learned_from or library_texts(), flags).items():
        (folder / name).write_bytes(content)
    return str(folder)


@functools.cache
def unigram_json() -> str:
    """A Unigram model whose vocabulary has the control token's name among its pieces, as T5's has."""
    learned = tokenizers.Tokenizer(models.Unigram())
    learned.pre_tokenizer = pre_tokenizers.Metaspace()
    learned.decoder = tokenizers.decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False, initial_alphabet=list("<>/")
    )
    learned.train_from_iterator(library_texts(10), trainer)
    return learned.to_str()


@functools.cache
def sentencepiece_model(**settings) -> bytes:
    """A SentencePiece BPE; lossless unless `settings` say otherwise."""
    written = io.BytesIO()
    lines = (line for text in library_texts() for line in text.split("\n") if line)
    lossless = dict(normalization_rule_name="identity", byte_fallback=True, remove_extra_whitespaces=False)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=written,
        vocab_size=600,
        minloglevel=2,
        **{"model_type": "bpe", **lossless, **settings},
    )
    return written.getvalue()


def ranks() -> list[bytes]:
    """The tokens of `byte_level_bpe_json` as bytes, by rank: the 256 bytes in order, then the merges."""
    vocab = json.loads(byte_level_bpe_json())["model"]["vocab"]
    tokens = [
        bytes(BYTE_OF[character] for character in token) for token in sorted(vocab, key=vocab.get) if token != "<|endoftext|>"
    ]
    return [bytes([byte]) for byte in range(256)] + [token for token in tokens if len(token) > 1]


def tiktoken_file() -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(ranks()))


def megatron_tiktoken_file() -> bytes:
    entries = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": token.decode(errors="replace")}
        for rank, token in enumerate(ranks())
    ]
    return json.dumps(entries).encode()


def write_jsonl(path: pathlib.Path, texts: list[str], key: str = "text") -> pathlib.Path:
    path.write_text("".join(json.dumps({key: text}) + "\n" for text in texts), encoding="utf-8")
    return path


@functools.cache
def chinese_texts(count: int = 30) -> list[str]:
    """Sentences of made-up words of one to four characters, some far more frequent than others, as words are."""
    draw = random.Random(5)
    characters = [chr(draw.randrange(0x4E00, 0x9FA5)) for _ in range(120)]
    words = ["".join(draw.choices(characters, k=draw.choice((1, 2, 2, 2, 3, 4)))) for _ in range(150)]
    often = [1 / rank for rank in range(1, 151)]
    sentence = lambda: "".join(draw.choices(words, often, k=draw.randrange(4, 12)))
    return ["，".join(sentence() for _ in range(40)) + "。\n" for _ in range(count)]


@functools.cache
def bilingual_bpe_json(vocab_size: int = 700, eod: str = "<|end_of_text|>") -> str:
    """A byte-level BPE learned from both, by tokenizers' own trainer: other ids than `byte_level_bpe_json` has."""
    learned = tokenizers.Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = tokenizers.decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|pad|>", eod],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learned.train_from_iterator([*chinese_texts(), *library_texts(20)], trainer)
    return learned.to_str()
