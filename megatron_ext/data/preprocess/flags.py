"""Flags of tools/preprocess_data.py (Megatron-LM's names)."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.corpus.engine.flags import usable_cores

PREFIX_END = "<|prefix_end|>"
CLEANING = ("filters", "scrub", "decontaminate", "dedup")


@flag_group("output", "What is written, and how")
class PreprocessFlags:
    output_prefix: str | None = flag(
        None, "files are PREFIX_KEY_document.bin, .idx and .json, PREFIX_rejects.jsonl and PREFIX_summary.json", front=True
    )
    json_keys: tuple[str, ...] = flag(("text",), "keys (or columns) that hold text; each makes a data set of its own", front=True)
    append_eod: bool = flag(False, "end each document with the end-of-document token", front=True)
    prefix_key: str | None = flag(
        None, "key (or column) that holds what is given before each text: prompt and text become a document of two parts"
    )
    prefix_end_token: str = flag(PREFIX_END, "control token between the two, for --objective prefix_lm")
    workers: int | None = flag(None, "processes that tokenize (default: one a core)", positive=True, front=True)
    strict: bool = flag(False, "stop at the first record that cannot be used, and write nothing", front=True)
    log_interval: int = flag(100_000, "documents between progress lines where stderr is not a terminal; 0: none", least=0)

    @staticmethod
    def resolve(c):
        if c.workers is None:
            c.workers = usable_cores()

    @staticmethod
    def check(c):
        if not c.output_prefix:
            yield Problem("--output-prefix", None, "is missing", "name the path with which the files written begin")
        elif os.path.isdir(c.output_prefix) or c.output_prefix.endswith("/"):
            yield Problem("--output-prefix", c.output_prefix, "is a folder", "add the beginning of a file's name")
        if len(c.json_keys) > 1 and any(getattr(c, name, ()) for name in CLEANING):
            asked = " and ".join("--" + name for name in CLEANING if getattr(c, name, ()))
            yield Problem("--json-keys", " ".join(c.json_keys), f"are several, and {asked} are for one text")
        if c.prefix_key is None and "prefix_end_token" in c.typed:
            yield Problem(
                "--prefix-end-token", c.prefix_end_token, "has no effect without --prefix-key", "name the key of prompts"
            )
        if c.prefix_key is not None and any(getattr(c, name, ()) for name in CLEANING):
            asked = " and ".join("--" + name for name in CLEANING if getattr(c, name, ()))
            yield Problem("--prefix-key", c.prefix_key, f"makes a document of two texts, and {asked} are for one")
        if c.prefix_key in c.json_keys:
            reason = "is one of --json-keys, too: a text is no prompt of its own"
            yield Problem("--prefix-key", c.prefix_key, reason, "name another key")
        for key in c.json_keys:
            if "/" in key or not key:
                yield Problem("--json-keys", key, "cannot be part of a file's name", "rename the key in the input")
            elif c.json_keys.count(key) > 1:
                yield Problem("--json-keys", key, "is given twice", "name each key once")
                break
