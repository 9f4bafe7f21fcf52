"""`tools/train_tokenizer.py --extend OLD`: a tokenizer that keeps every id of an earlier one and has further tokens.

    byte-level BPE   the text is cut as the earlier tokenizer cuts it, and further pairs of its tokens are merged, the most
                     frequent first (pair_merging.py). They stand behind all earlier merges, so every text is what it was, with
                     some tokens joined to new ones. A tiktoken file becomes a tokenizer.json: control tokens lie behind its
                     ranks, where new ranks would go.
    SentencePiece    a model of the same kind is learned from the text alone, and its pieces that the earlier one lacks are put
                     behind (Chinese-LLaMA, arXiv:2304.08177), those of one character first. BPE: with scores below all others,
                     so that earlier merges come first. Unigram: with their own scores, since the best way to cut a text without
                     new pieces stays the best of those; and, so that languages that it knew change little, only pieces with a
                     character that it cannot write, or that it cuts into single characters.

A text that gets no new token keeps its ids, and nothing that could be written is lost.
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tokenizers

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers import pair_merging
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.byte_level import is_byte_level
from megatron_ext.tokenizers.contract import TEXT, Entry, Tokenizer
from megatron_ext.tokenizers.files import contents, find, named
from megatron_ext.tokenizers.flags import TokenizerFlags, TrainTokenizerFlags
from megatron_ext.tokenizers.loaders.huggingface import HuggingFaceTokenizer
from megatron_ext.tokenizers.loaders.sentencepiece import SPACE, SentencePieceTokenizer, model_proto
from megatron_ext.tokenizers.loaders.tiktoken import TiktokenTokenizer
from megatron_ext.tokenizers.patterns import PATTERNS, pattern_of_file
from megatron_ext.tokenizers.training._huggingface import LONGEST_TOKEN, MIN_FREQUENCY
from megatron_ext.tokenizers.training._sentencepiece import count, learn, pieces

_UNIGRAM, _BPE, _NORMAL = 1, 2, 1  # SentencePiece's numbers
_KINDS = {_UNIGRAM: "unigram", _BPE: "bpe"}


def train(texts: Iterable[str], flags: TrainTokenizerFlags) -> dict[str, bytes]:
    """Learn from `texts`, read once; the files of the tokenizer's folder.

    May end below `--vocab-size` where they hold too little. UserError: the earlier one is of another kind, or as large.
    """
    of_earlier = earlier_flags(flags)
    earlier = build(of_earlier)
    if flags.vocab_size <= earlier.vocab_size:
        raise UserError(
            f"--vocab-size {flags.vocab_size}: {flags.extend} has {earlier.vocab_size} entries already, all of which are kept; "
            "give more"
        )
    if isinstance(earlier, SentencePieceTokenizer):
        return {"tokenizer.model": _sentencepiece(earlier, texts, flags)}
    config = earlier.tokenizer_json() if isinstance(earlier, TiktokenTokenizer) else json.loads(_plain(earlier, flags))
    extended = _byte_level(config, texts, flags)
    beside = ("tokenizer_config.json", "chat_template.jinja")
    kept = {name: content for name, content in contents(of_earlier).items() if name in beside}
    own = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": _name_of(earlier, earlier.eod)}
    kept.setdefault("tokenizer_config.json", json.dumps(own | {"clean_up_tokenization_spaces": False}, indent=2).encode() + b"\n")
    return {"tokenizer.json": json.dumps(extended, indent=2, ensure_ascii=False).encode() + b"\n", **kept}


def model(flags: TrainTokenizerFlags) -> str:
    """The name of the file that `train` gives the tokenizer in."""
    return "tokenizer.model" if earlier_flags(flags).tokenizer_type == "sentencepiece" else "tokenizer.json"


def earlier_flags(flags: TrainTokenizerFlags) -> TokenizerFlags:
    """The flags that load the tokenizer of `--extend`. UserError where there is none, or its rule to split text is not told."""
    found = named(flags.extend)
    if not found:
        raise UserError(f"--extend {flags.extend}: there is no tokenizer; give its file, or the folder that holds it")
    if found["tokenizer_type"] != "tiktoken":
        return TokenizerFlags(**found)
    file = find(flags.extend)
    pattern = pattern_of_file(str(file))
    if pattern is None:
        raise UserError(
            f"--extend {flags.extend}: {file.name} does not tell how it splits text; give it a name that begins with one of "
            f"{', '.join(PATTERNS)}"
        )
    return TokenizerFlags(**found, tiktoken_pattern=pattern)


def _name_of(tokenizer: Tokenizer, token: int) -> str:
    return next(name for name, number in tokenizer.control_tokens.items() if number == token)


# --- Byte-level BPE ------------------------------------------------------------------------------------------------


def _plain(earlier: HuggingFaceTokenizer, flags: TrainTokenizerFlags) -> str:
    """Its file's content, in tokenizers' newest form; UserError where it is no byte-level BPE."""
    content = tokenizers.Tokenizer.from_str(earlier.content).to_str()
    config = json.loads(content)
    model = config["model"]
    if model["type"] != "BPE" or not is_byte_level(config) or model.get("byte_fallback"):
        kind = model["type"] if model["type"] != "BPE" else "a BPE over characters"
        raise UserError(
            f"--extend {flags.extend}: is {kind}; what can be extended is byte-level BPE and SentencePiece's two kinds; learn a "
            "new one"
        )
    return content


def _byte_level(config: dict[str, Any], texts: Iterable[str], flags: TrainTokenizerFlags) -> dict[str, Any]:
    model, added = config["model"], config["added_tokens"]
    vocab: dict[str, int] = {**model["vocab"], **{token["content"]: token["id"] for token in added}}
    size = max(vocab.values()) + 1
    names = [""] * size
    for token, number in vocab.items():
        names[number] = token
    cut = tokenizers.Tokenizer.from_str(json.dumps({**config, "model": {**model, "dropout": None}}))
    counts = collections.Counter(word for text in texts for word in _words(cut, added, text))
    rows = ([token.id for token in cut.model.tokenize(word)] for word in counts)
    merges = pair_merging.learn(
        pair_merging.Words.of(rows, counts.values()),
        size,
        flags.vocab_size - size,
        min_count=flags.min_frequency or MIN_FREQUENCY,
        lengths=[len(name) for name in names],  # a character of the alphabet is a byte
        longest=LONGEST_TOKEN,
        spellings=[name.encode() for name in names],
    )
    pairs = []
    for left, right in merges.pairs.tolist():
        pairs.append([names[left], names[right]])
        vocab[names[left] + names[right]] = len(names)
        names.append(names[left] + names[right])
    # Control tokens stand in the vocabulary, too: their ids would else begin where the model's end.
    return {**config, "model": {**model, "vocab": vocab, "merges": [*model["merges"], *pairs]}}


def _words(cut: tokenizers.Tokenizer, added: list[dict[str, Any]], text: str) -> Iterator[str]:
    """The pieces that merges do not cross, in the byte-level alphabet; text that is a token before all else is none of them."""
    literal = [re.escape(token["content"]) for token in added if not token["special"]]
    for part in re.split("|".join(sorted(literal, key=len, reverse=True)), text) if literal else [text]:
        normal = cut.normalizer.normalize_str(part) if cut.normalizer else part
        yield from (word for word, _ in cut.pre_tokenizer.pre_tokenize_str(normal))


# --- SentencePiece -------------------------------------------------------------------------------------------------


def _sentencepiece(earlier: SentencePieceTokenizer, texts: Iterable[str], flags: TrainTokenizerFlags) -> bytes:
    """The model's file."""
    proto = model_proto(earlier.content)
    kind = _KINDS.get(proto.trainer_spec.model_type)
    if kind is None:
        raise UserError(
            f"--extend {flags.extend}: is a model of words or characters; of SentencePiece's, BPE and Unigram can be extended"
        )
    counts = count(earlier.normalized(text) for text in texts)
    wanted = flags.vocab_size - len(proto.pieces)
    normal = {piece.piece: piece.score for piece in proto.pieces if piece.type == _NORMAL}
    have, lowest = {piece.piece for piece in proto.pieces}, min(normal.values())
    lacks = lambda piece: piece not in have and (kind == "bpe" or _is_another_languages(piece, earlier, normal))
    added = _lacking(counts, kind, wanted, lacks, proto.trainer_spec.split_digits, flags)
    for place, (piece, score) in enumerate(added):
        proto.pieces.add(piece=piece, score=lowest - 1 - place if kind == "bpe" else max(score, lowest), type=_NORMAL)
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return proto.SerializeToString()


def _is_another_languages(piece: str, earlier: SentencePieceTokenizer, normal: dict[str, float]) -> bool:
    """Whether it holds a character that the earlier model cannot write, or that model knows its characters and no words of it."""
    if any(character not in normal for character in piece):
        return True
    return len(earlier.pieces(Entry(TEXT, piece.replace(SPACE, " ").encode()))) == len(piece)


def _lacking(
    counts: collections.Counter, kind: str, wanted: int, lacks: Callable[[str], bool], split_digits: bool, flags
) -> list[tuple[str, float]]:
    """At most `wanted` pieces with their scores that a model learned from words has and the earlier one lacks."""
    size = wanted + 1000
    while True:
        settings = dict(model_type=kind, vocab_size=size, byte_fallback=False, character_coverage=flags.character_coverage)
        learned = pieces(learn(counts.items(), split_digits=split_digits, unk_id=0, eos_id=-1, **settings))[1:]
        found = [each for each in learned if lacks(each[0])]
        if len(found) >= wanted or len(learned) < size - 1:
            break
        size += 2 * (wanted - len(found))
    characters = [each for each in found if len(each[0]) == 1]
    if len(characters) > wanted:
        raise UserError(
            f"--vocab-size {flags.vocab_size}: {len(characters)} characters of the text are new, and there is room for {wanted}; "
            f"give more, or a --character-coverage below {flags.character_coverage}"
        )
    longer = [each for each in found if len(each[0]) > 1]
    return (characters + longer)[:wanted]
