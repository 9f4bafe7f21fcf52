"""What a run says of its attention at its start: patterns and the kernels that serve them, as the core will ask for them."""

from __future__ import annotations

import contextlib

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from megatron_ext.arguments.problems import UserError
from megatron_ext.models.attention import blocks
from megatron_ext.models.attention.core import KERNELS

NAMES = {
    SDPBackend.FLASH_ATTENTION: "FlashAttention",
    SDPBackend.EFFICIENT_ATTENTION: "memory-efficient attention",
    SDPBackend.CUDNN_ATTENTION: "cuDNN's",
    SDPBackend.MATH: "products written out",
}


def summary(config, rows: int, length: int, device: torch.device) -> str:
    """`sliding_window: torch SDPA in blocks of 128 queries (…); causal: torch SDPA, FlashAttention`

    UserError where torch has not the kernel that was asked for (an old GPU, wide heads).

    Args: config: a `ModelConfig`; rows, length: of a micro-batch.
    """
    patterns: dict[str, list[str]] = {}
    for pattern, choice in zip(config.attention_patterns, config.attention_on(device.type), strict=True):
        found = patterns.setdefault(_words(choice, config, rows, length, device), [])
        found += [] if pattern in found else [pattern]
    return "; ".join(f"{', '.join(names)}: {words}" for words, names in patterns.items())


def _words(choice, config, rows: int, length: int, device: torch.device) -> str:
    why = f" ({choice.why})" if choice.why else ""
    return {
        "transformer_engine": lambda: "Transformer Engine",
        "transformer_xl": lambda: f"transformer_xl's own core, scores written out in pieces of {blocks.QUERIES} queries",
        "sdpa": lambda: f"torch SDPA, {_torchs_choice(config, rows, length, device)}",
        "flex": lambda: "torch FlexAttention",
        "blocks": lambda: f"torch SDPA in blocks of {blocks.QUERIES} queries{why}",
        "scores": lambda: f"scores written out in blocks of {blocks.QUERIES} queries{why}",
    }[choice.kernel]()


def _torchs_choice(config, rows: int, length: int, device: torch.device) -> str:
    """The name of the kernel that scaled_dot_product_attention takes for plain causal attention while training."""
    heads, groups = (n // config.tensor_model_parallel_size for n in (config.num_attention_heads, config.num_query_groups))
    width = config.kv_channels if config.latent is None else config.latent.wide
    vector = torch.empty(width, device=device, dtype=config.params_dtype, requires_grad=True)
    query, key = (vector.expand(rows, count, length, -1) for count in (heads, groups))  # takes no memory
    asked = KERNELS.get(config.attention_backend)
    try:
        with contextlib.nullcontext() if asked is None else sdpa_kernel(asked):
            found = torch._fused_sdp_choice(  # what torch itself asks; no public function tells it on a CPU
                query, key, key, None, config.attention_dropout, True, scale=config.softmax_scale, enable_gqa=heads != groups
            )
    except RuntimeError as error:
        way_out = "use auto, which takes another"
        raise UserError(f"--attention-backend {config.attention_backend.name}: {error}; {way_out}", shared=True) from error
    return NAMES[SDPBackend(found)]
