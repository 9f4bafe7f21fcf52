"""Flags of tools/inspect_dataset.py."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.tokenizers.flags import TokenizerFlags


@flag_group("inspection", "What is shown")
class InspectFlags:
    data_path: str | None = flag(None, "prefix of the pair, without .bin or .idx; may stand first, without the flag", front=True)
    document: tuple[int, ...] = flag((), "numbers of documents to show as text, from 0", least=0, front=True)
    verify: bool = flag(False, "read all of it and name the first damage", front=True)
    statistics: bool = flag(False, "lengths of documents, frequencies of tokens", front=True)
    checksum: bool = flag(False, "a checksum of tokens and documents, the same however they lie in files", front=True)
    json: bool = flag(False, "print one JSON object", front=True)

    @staticmethod
    def check(c):
        if not c.data_path:
            yield Problem("--data-path", None, "is missing", "give the prefix of a pair")


@flag_group("tokenizer", "Tokens to text (default: the tokenizer that the file .json beside the pair names)")
class OptionalTokenizerFlags(TokenizerFlags):
    @staticmethod
    def check(c):
        if any(getattr(c, name) is not None for name in ("tokenizer_type", "tokenizer_model", "vocab_file", "merge_file")):
            yield from TokenizerFlags.check(c)
