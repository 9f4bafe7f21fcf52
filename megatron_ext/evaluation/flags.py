"""Flags of tools/evaluate.py."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem


@flag_group("evaluation", "Evaluation")
class EvaluationFlags:
    documents: str | None = flag(None, "a JSONL file of held-out documents", front=True)
    text_key: str = flag("text", "the key of a document's text")
    source_key: str = flag("source", "the key by which documents are told apart; one group where it is missing", front=True)
    max_documents: int | None = flag(None, "documents of each source at most [all]", least=1)
    json: str | None = flag(None, "a file for the figures", front=True)
    batch_size: int = flag(8, "windows, or samples, in one forward pass", least=1)
    seed: int = flag(1234, "of what the objective draws, which depends on it and on the document's number alone", least=0)

    @staticmethod
    def check(c):
        if c.documents is None:
            yield Problem("--documents", None, "is missing", "give a JSONL file of held-out documents")
        if c.json is not None and os.path.isdir(c.json):
            yield Problem("--json", c.json, "is a folder", "name a file")
