"""One stack of layers in which each token sees all others (BERT, arXiv:1810.04805). `--architecture encoder`"""

from __future__ import annotations

from megatron_ext.arguments.problems import Problem
from megatron_ext.models.architecture_flags import without

PATTERNS = ("full",)
_NOT_THERE = (
    ("mtp_num_layers", (None,), "predicts the tokens that come next, which an encoder sees"),
    ("position_embedding_type", ("learned_absolute", "sinusoidal", "rope", "alibi", "t5_bias", "none"),
     "are positions of tokens that see those before them alone"),
)  # fmt: skip


def resolve(c):
    c.bert_binary_head = bool(c.bert_binary_head)
    if c.num_tokentypes is None:
        c.num_tokentypes = 2 if c.bert_binary_head else 0


def check(c):
    yield from without(c, _NOT_THERE)
    if c.bert_binary_head and c.context_parallel_size > 1:
        reason = "reads each document's first token, which one process has that shares a sample's tokens"
        yield Problem("--bert-binary-head", None, reason, "use --context-parallel-size 1")


def model():
    from megatron_ext.models.encoder import Encoder

    return Encoder
