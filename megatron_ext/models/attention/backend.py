"""Which kernel attends in a layer, and why: one answer for the core, a run's first lines and the flags' validator.

    transformer_engine   Transformer Engine's own: causal alone, in its own layers
    sdpa                 torch's scaled_dot_product_attention, one call: causal alone (FlashAttention, arXiv:2205.14135);
                         not with dropout on the CPU, where it would keep the scores
    flex                 torch's FlexAttention (arXiv:2412.05496, flex.py): masks, ALiBi and caps on CUDA
    blocks               scaled_dot_product_attention in blocks of queries (blocks.py): everything, everywhere
    scores               the same with the scores written out, which a cap needs
    transformer_xl       a core of its own (transformer_xl.py), of a position that no other can serve

`--attention-backend auto` and `local` take the first of these that can, `local` without Transformer Engine's; the other values
name a kernel, and are refused where it cannot. Needs no torch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from megatron_ext.arguments.problems import Problem
from megatron_ext.models.residual_flags import plain_layers

# Positions that add to scores: whether the bias is fixed and grows linearly with the distance, all that flex.py knows of them.
BIASES = {"alibi": True, "t5_bias": False}
CORES = ("transformer_xl",)  # positions that bring a core of their own
_BY_NAME = ("flash", "fused", "unfused")  # kernels of scaled_dot_product_attention
FLEX_WIDTH = 16  # the narrowest heads that FlexAttention's matrix products take (torch 2.13)


class Asked(NamedTuple):
    """What attention is asked for, in all layers together.

    Attributes:
        backend: the flag's value.
        patterns: a layer each, in turn.
        documents: whether packed documents are kept apart.
        position: its registry name.
        cap, dropout: whether scores are capped, and probabilities dropped.
        width: of a head; None where that is still wrong.
        short: whether it computes in 16 bits.
        shared: whether several processes share a sample, each with queries that are not those of its first keys.
        plain_layers: residual_flags.py says what that is.
    """

    backend: str = "auto"
    patterns: tuple[str, ...] = ("causal",)
    documents: bool = False
    position: str = "none"
    cap: bool = False
    dropout: bool = False
    width: int | None = None
    short: bool = False
    shared: bool = False
    plain_layers: bool = True

    @property
    def engines(self) -> bool:
        """Whether Transformer Engine's attention can do all layers, once its layers run."""
        alone = self._replace(shared=False)  # it shares samples in its own way, by kernels for 16 bits
        plain = self.plain_layers and not self.cap and self.position not in CORES and not any(map(alone.masked, self.patterns))
        shares = not self.shared or (self.short and self.backend != "unfused")
        return plain and shares and self.backend not in ("local", "flex")

    def masked(self, pattern: str) -> str | None:
        """What a kernel that is causal and no more lacks, in words; None if nothing."""
        if pattern != "causal":
            return f"--attention-pattern {pattern}"
        if self.documents:
            return "--reset-attention-mask"
        if self.shared:
            return "--context-parallel-size"
        return f"--position-embedding-type {self.position}" if self.position in BIASES else None


class Choice(NamedTuple):
    """Attributes: kernel: one of the above; why: why none of those above it, where that is not plain to see."""

    kernel: str
    why: str = ""


def asked(values: Mapping[str, Any]) -> Asked:
    """Args: values: of all flags by name."""
    return Asked(
        backend=values["attention_backend"],
        patterns=tuple(values["attention_pattern"]),
        documents=values["reset_attention_mask"],
        position=values["position_embedding_type"],
        cap=values["attn_logit_softcapping"] is not None,
        dropout=values["attention_dropout"] > 0,
        width=values["kv_channels"],
        short=values["bf16"] or values["fp16"],
        shared=values["context_parallel_size"] > 1,
        plain_layers=plain_layers(values),
    )


@functools.cache
def choices(asked: Asked, device: str, engine: bool) -> tuple[Choice, ...]:
    """The kernel of each of `asked.patterns`.

    Args:
        device: `cpu` or `cuda`.
        engine: whether Transformer Engine's layers run where they can; its attention serves all layers or none.
    """
    if asked.position in CORES:
        return (Choice(asked.position),) * len(asked.patterns)
    if engine and asked.engines:
        return (Choice("transformer_engine"),) * len(asked.patterns)
    return tuple(_choice(asked, pattern, device) for pattern in asked.patterns)


def _choice(asked: Asked, pattern: str, device: str) -> Choice:
    if asked.backend != "flex" and not asked.cap and not asked.masked(pattern):
        keeps = asked.dropout and device == "cpu"
        return Choice("blocks", "with dropout, torch's kernels on the CPU keep the scores") if keeps else Choice("sdpa")
    why = f"--attention-backend {asked.backend}" if asked.backend in _BY_NAME else _no_flex(asked, device)
    return Choice("flex") if why is None else Choice("scores" if asked.cap else "blocks", why)


def _no_flex(asked: Asked, device: str) -> str | None:
    """Why FlexAttention cannot serve, in words; None where it can."""
    if device == "cpu":
        return "FlexAttention has no backward on the CPU"
    if asked.dropout:
        return "FlexAttention has no dropout"
    if not BIASES.get(asked.position, True):
        return f"FlexAttention adds no learned bias here, and {asked.position} is one"
    if asked.width is not None and asked.width < FLEX_WIDTH:
        return f"FlexAttention takes heads of {FLEX_WIDTH} channels or more"
    return None


def problems(values: Mapping[str, Any], device: str, layers: str) -> Iterator[Problem]:
    """A kernel that was asked for by name and cannot serve; CUDA graphs of one that cannot be captured.

    Args: values: of all flags by name; device, layers: `auto` while undecided.
    """
    wish = asked(values)
    if device != "cpu":
        yield from _captured(wish, values, layers)
    if layers != "local" and wish.engines:
        wish = wish._replace(shared=False)  # Transformer Engine's may serve
    for reason, way_out in _reasons(wish, device):
        yield Problem("--attention-backend", wish.backend, reason, way_out)


def _captured(wish: Asked, values: Mapping[str, Any], layers: str) -> Iterator[Problem]:
    scope = values["cuda_graph_scope"]
    if values["cuda_graph_impl"] == "none" or (scope is not None and "attn" not in scope) or wish.position in CORES:
        return
    kernels = {choice.kernel for choice in choices(wish, "cuda", layers != "local")}
    if kernels - {"transformer_engine", "sdpa"}:  # the others take `Tokens`, and blocks look at numbers on the way
        reason = "captures attention that is causal and no more, and what is asked for is more"
        yield Problem("--cuda-graph-impl", values["cuda_graph_impl"], reason, "leave it out, or --cuda-graph-scope without attn")


def _reasons(wish: Asked, device: str) -> Iterator[tuple[str, str]]:
    if wish.backend == "flex" and device != "auto" and (why := _no_flex(wish, device)):
        yield why.removeprefix("FlexAttention "), "use auto"
    if wish.backend not in ("flash", "fused"):
        return
    if device == "cpu" and wish.backend == "fused":
        yield "is cuDNN's, and this runs on the CPU", "use auto, flash or unfused"
        return
    if wish.cap:
        yield "cannot cap scores", "use auto, or leave out --attn-logit-softcapping"
    if not BIASES.get(wish.position, True):
        yield f"gives a learned bias no gradient, and {wish.position} is one", "use auto"
    if device == "cpu" and wish.dropout:
        yield "has no dropout on the CPU", "use auto, or --attention-dropout 0"
    if device == "cuda" and not wish.short:
        yield "computes in 16 bits alone on a GPU", "use auto, or add --bf16"
    # cuDNN's kernel takes masks and biases, and so does FlashAttention's on the CPU.
    lacks = next(filter(None, map(wish.masked, wish.patterns)), None)
    if device == "cuda" and wish.backend == "flash" and lacks and BIASES.get(wish.position, True):
        yield f"takes no mask and no bias on a GPU, and {lacks} needs one", "use auto"
