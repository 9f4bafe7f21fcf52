"""One stack of layers in which each token sees all others (BERT, arXiv:1810.04805). `--architecture encoder`"""

from __future__ import annotations

from megatron_ext.arguments.problems import Problem
from megatron_ext.models.architecture_flags import KNOWN_BOTH_WAYS, without

PATTERNS = ("full",)
_NOT_THERE = (
    ("mtp_num_layers", (None,), "predicts the tokens that come next, which an encoder sees"),
    KNOWN_BOTH_WAYS,
)  # fmt: skip


def resolve(c):
    if c.bert_binary_head is None:
        c.bert_binary_head = getattr(c, "sentence_task", "none") != "none"
    if c.num_tokentypes is None:
        c.num_tokentypes = 2 if c.bert_binary_head else 0


def check(c):
    yield from without(c, _NOT_THERE)
    if c.sentence_task != "none" and not c.bert_binary_head:
        reason = f"leaves nothing that could learn --sentence-task {c.sentence_task}"
        yield Problem("--no-bert-binary-head", None, reason, "leave it out")
    if c.bert_binary_head and c.num_tokentypes == 1:
        yield Problem("--num-tokentypes", 1, "tells no two sentences apart", "use 2 with --bert-binary-head, or 0")


def model():
    from megatron_ext.models.encoder import Encoder

    return Encoder
