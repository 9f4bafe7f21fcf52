"""Flags of the tokenizer that a run uses, and of the tool that trains one."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group, flags_of
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry
from megatron_ext.tokenizers.byte_alphabet import BYTE_OF
from megatron_ext.tokenizers.files import NAMES, find, sniff
from megatron_ext.tokenizers.patterns import MEGATRON_CONTROL_COUNT, PATTERNS, pattern_of_file
from megatron_ext.tokenizers.special_tokens import EXTRA_IDS, FAMILIES, RESERVED_NAME, names

LOADERS = Registry("megatron_ext.tokenizers.loaders")
ALGORITHMS = Registry("megatron_ext.tokenizers.training")


@flag_group("tokenizer", "Text to tokens")
class TokenizerFlags:
    tokenizer_type: str | None = flag(None, "kind of tokenizer (default: seen from the file)", choices=LOADERS, front=True)
    tokenizer_model: str | None = flag(
        None, "the tokenizer's file (tokenizer.json, *.model, *.tiktoken) or the folder that holds it", front=True
    )
    eod_token: str | None = flag(None, "name of the control token that ends a document (default: found by known names)")
    vocab_file: str | None = flag(None, "GPT-2's vocabulary (vocab.json), beside --merge-file")
    merge_file: str | None = flag(None, "GPT-2's merges (merges.txt), beside --vocab-file")
    tiktoken_pattern: str | None = flag(
        None, f"how a tiktoken file splits text: {', '.join(PATTERNS)}, or a regular expression (default: by the file's name)"
    )
    tiktoken_num_special_tokens: int | None = flag(
        None, f"ids before the ranks in Megatron-LM's JSON form of a tiktoken file [{MEGATRON_CONTROL_COUNT:,}]", least=7
    )
    vocab_size: int | None = flag(
        None,
        "ids of the null tokenizer, the last of which ends a document; of others, the model's entries, where they are more than "
        "the tokenizer's",
        least=2,
    )

    @staticmethod
    def resolve(c):
        if c.tokenizer_type is None and c.tokenizer_model is not None:
            file = find(c.tokenizer_model)
            c.tokenizer_type = sniff(file) if file else None
        elif c.tokenizer_type is None and (c.vocab_file is not None or c.merge_file is not None):
            c.tokenizer_type = "gpt2_bpe"
        elif c.tokenizer_type is None and c.vocab_size is not None:
            c.tokenizer_type = "null"
        if c.tokenizer_type == "tiktoken" and c.tokenizer_model is not None and c.tiktoken_pattern is None:
            c.tiktoken_pattern = pattern_of_file(str(find(c.tokenizer_model, "tiktoken") or ""))

    @staticmethod
    def check(c):
        kind, model = c.tokenizer_type, c.tokenizer_model
        if kind == "gpt2_bpe":
            yield from _check_gpt2(c)
        elif kind is None and model is None:
            yield Problem(
                "--tokenizer-model", None, "is missing", "give a tokenizer's file, or --vocab-size for a null tokenizer"
            )
        elif kind == "null":
            yield from _check_null(c)
        elif model is None:
            yield Problem("--tokenizer-model", None, f"is missing for --tokenizer-type {kind}", "give its file or folder")
        elif find(model, kind) is None:
            names = ", ".join(NAMES[kind]) if kind else "tokenizer.json, *.model, *.tiktoken"
            yield Problem("--tokenizer-model", model, "is not there", f"give a file, or a folder with one of {names}")
        elif kind is None:
            yield Problem("--tokenizer-model", model, "is of no known kind", "name it with --tokenizer-type")
        elif kind == "tiktoken" and c.tiktoken_pattern is None:
            yield Problem(
                "--tiktoken-pattern", None, f"is missing: {model} does not tell it", f"give one of {', '.join(PATTERNS)}"
            )
        for name in ("tiktoken_pattern", "tiktoken_num_special_tokens"):
            if kind != "tiktoken":
                yield from _without_effect(c, name, kind)
        for name in ("vocab_file", "merge_file"):
            if kind not in (None, "gpt2_bpe"):
                yield from _without_effect(c, name, kind)


def _check_null(c):
    if c.vocab_size is None:
        yield Problem("--vocab-size", None, "is missing for --tokenizer-type null", "give the number of ids")
    for name in ("tokenizer_model", "eod_token"):
        yield from _without_effect(c, name, "null")


def _check_gpt2(c):
    for name, other in (("vocab_file", "merge_file"), ("merge_file", "vocab_file")):
        path, option = getattr(c, name), "--" + name.replace("_", "-")
        if path is None:
            yield Problem(option, None, "is missing for --tokenizer-type gpt2_bpe", f"give it beside --{other.replace('_', '-')}")
        elif not os.path.isfile(path):
            yield Problem(option, path, "is not there", "give GPT-2's vocab.json and merges.txt")
    yield from _without_effect(c, "tokenizer_model", "gpt2_bpe")


def _without_effect(c, name: str, kind: str | None):
    if getattr(c, name) is not None:
        option = "--" + name.replace("_", "-")
        yield Problem(option, getattr(c, name), f"has no effect with --tokenizer-type {kind}", "leave it out")


@flag_group("training", "What is learned")
class TrainTokenizerFlags:
    algorithm: str = flag("byte_level_bpe", "how the tokenizer is learned", choices=ALGORITHMS, front=True)
    vocab_size: int = flag(
        32_000, "entries to learn, control tokens and the 256 bytes included; reserved ones come besides", least=257, front=True
    )
    extend: str | None = flag(
        None, "an earlier tokenizer's file or folder: keep all its ids, and learn further tokens up to --vocab-size", front=True
    )
    output: str | None = flag(None, "folder in which the tokenizer is written", front=True)
    split_digits: bool = flag(
        True, "every digit a token of its own, so that numbers are written alike (as LLaMA does)", front=True
    )
    byte_fallback: bool = flag(True, "write what the vocabulary lacks as bytes; without it such characters are lost", front=True)
    character_coverage: float = flag(
        0.9995, "share of the text's characters that get an entry; the rest are written as bytes", least=0.9, most=1.0
    )
    min_frequency: int | None = flag(
        None, "pairs seen less often are not merged (default: 2; wordpiece: as many as still fill the vocabulary)", least=1
    )
    wordpiece_form: str = flag(
        "byte_level", "bytes, lossless; or BERT's words, ## and [UNK], which lose text", choices=("byte_level", "bert")
    )
    wordpiece_lowercase: bool = flag(False, "capitals and accents are dropped (BERT uncased)")
    eod_token: str = flag("<|endoftext|>", "name of the control token that ends a document; it gets id 0")
    special_tokens: tuple[str, ...] = flag(
        (), "families of control tokens for objectives: sentinels, modes, masks", choices=tuple(FAMILIES), front=True
    )
    extra_ids: int = flag(EXTRA_IDS, "sentinels <extra_id_0> ... of --special-tokens span_corruption", least=1)
    additional_special_tokens: tuple[str, ...] = flag((), "names of further control tokens")
    make_vocab_size_divisible_by: int = flag(
        1, "fill the vocabulary with reserved control tokens to a multiple of this and of --tensor-model-parallel-size", least=1
    )
    tensor_model_parallel_size: int = flag(1, "tensor parallelism that the vocabulary shall divide over", least=1)
    allow_lossy: bool = flag(False, "write a tokenizer that does not give back the text that it was learned from")

    @property
    def vocab_size_multiple(self) -> int:
        """What the number of entries is a multiple of, reserved ones included."""
        return self.make_vocab_size_divisible_by * self.tensor_model_parallel_size

    @staticmethod
    def check(c):
        if c.output is None:
            yield Problem("--output", None, "is missing", "name the folder in which the tokenizer is written")
        if c.extend is not None:
            yield from _check_extension(c)
            return
        yield from _check_names(c)
        taken = ALGORITHMS.load(c.algorithm).FLAGS
        for each in flags_of(TrainTokenizerFlags):
            if each.name in OF_SOME_ALGORITHMS and each.name not in taken and getattr(c, each.name) != each.default:
                option = each.opposite if getattr(c, each.name) is False else each.option
                yield Problem(option, None, f"has no effect with --algorithm {c.algorithm}", "leave it out")
        if c.algorithm == "wordpiece":
            yield from _check_wordpiece(c)
        if c.extra_ids != EXTRA_IDS and "span_corruption" not in c.special_tokens:
            yield Problem("--extra-ids", c.extra_ids, "has no effect without --special-tokens span_corruption")
        least = 257 + len(control_names(c))
        if c.vocab_size < least:
            yield Problem("--vocab-size", c.vocab_size, f"is too small: control tokens and bytes alone are {least - 1}")


OF_SOME_ALGORITHMS = (
    "split_digits", "byte_fallback", "character_coverage", "min_frequency", "wordpiece_form", "wordpiece_lowercase",
)  # fmt: skip
"""Flags that not every algorithm takes; its module's FLAGS name those that it does."""


def control_names(flags, unknown: str | None = None) -> list[str]:
    """The control tokens that are asked for, in the order of their ids: the end of a document, `unknown` where an algorithm needs
    a token for what its vocabulary lacks, the families, further ones."""
    first = [flags.eod_token] + ([unknown] if unknown else [])
    return [*first, *names(flags.special_tokens, flags.extra_ids, flags.additional_special_tokens)]


_OF_EXTENSIONS = ("extend", "vocab_size", "output", "character_coverage", "min_frequency", "allow_lossy")


def _check_extension(c):
    """What is learned, and the control tokens, are the earlier tokenizer's."""
    for each in flags_of(TrainTokenizerFlags):
        if each.name in c.typed and each.name not in _OF_EXTENSIONS:
            option = each.opposite if getattr(c, each.name) is False else each.option
            yield Problem(option, None, "has no effect with --extend: it is as in the earlier tokenizer", "leave it out")


def _check_wordpiece(c):
    of_the_other = ("split_digits",) if c.wordpiece_form == "bert" else ("character_coverage", "wordpiece_lowercase")
    for each in flags_of(TrainTokenizerFlags):
        if each.name in of_the_other and getattr(c, each.name) != each.default:
            option = each.opposite if getattr(c, each.name) is False else each.option
            yield Problem(option, None, f"has no effect with --wordpiece-form {c.wordpiece_form}", "leave it out")


def _check_names(c):
    named = [("--eod-token", c.eod_token), *(("--additional-special-tokens", name) for name in c.additional_special_tokens)]
    known = names(c.special_tokens, c.extra_ids)
    for place, (option, name) in enumerate(named):
        if len(name) < 2:
            yield Problem(option, repr(name), "is too short for a control token's name", "give two characters or more")
        elif name in known or name in [other for _, other in named[:place]]:
            yield Problem(option, name, "is a control token's name already", "give each name once")
        elif _is_byte_level(c) and _reads_as_bytes(name):
            yield Problem(option, name, "is how byte-level tokens write a text's bytes", "give it in ASCII")
        elif RESERVED_NAME.fullmatch(name):
            yield Problem(option, name, "is a name that reserved entries, bytes or what is unknown have", "give another name")


def _is_byte_level(c) -> bool:
    return c.algorithm == "byte_level_bpe" or (c.algorithm == "wordpiece" and c.wordpiece_form == "byte_level")


def _reads_as_bytes(name: str) -> bool:
    """Whether it may be a byte-level token, which writes bytes as characters: a space as Ġ."""
    if name.isascii():
        return False  # then it stands for itself, and `training/_text.py` sees to it
    return set(name) <= set(BYTE_OF)
