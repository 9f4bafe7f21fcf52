"""An encoder, whose tokens see each other both ways, and a decoder, whose tokens see those before them and, in every layer, what
the encoder made of its own (arXiv:1706.03762; T5, arXiv:1910.10683). `--architecture encoder-decoder`

The first `--encoder-num-layers` of the stack are the encoder's, the `--decoder-num-layers` after them the decoder's.
"""

from __future__ import annotations

from megatron_ext.arguments.problems import Problem, option
from megatron_ext.models.architecture_flags import KNOWN_BOTH_WAYS, without

_BY_ENGINE = "is for Transformer Engine's layers, which have no encoder and decoder in one stack"
_NOT_THERE = (
    ("num_experts", (None,), "are there in one stack of layers alone"),
    ("mtp_num_layers", (None,), "are there behind one stack of layers alone"),
    ("multi_latent_attention", (False,), "has no attention from a decoder to an encoder"),
    ("parallel_residual", (False,), "has no place for a decoder's attention to the encoder"),
    KNOWN_BOTH_WAYS,
    ("transformer_impl", ("auto", "local"), "has no layers of an encoder and a decoder in one stack"),
    ("fp8_format", (None,), _BY_ENGINE),
    ("tp_comm_overlap", (False,), _BY_ENGINE),
    ("cuda_graph_impl", ("none",), "captures layers of one stretch of tokens"),
)  # fmt: skip
PATTERNS = ("full", "causal")  # the encoder's, the decoder's


def resolve(c):
    if c.encoder_num_layers is not None and c.decoder_num_layers is not None:
        c.num_layers = c.encoder_num_layers + c.decoder_num_layers
        c.attention_pattern = c.attention_pattern or _patterns(c)
    c.encoder_seq_length = c.encoder_seq_length or c.seq_length
    c.decoder_seq_length = c.decoder_seq_length or c.seq_length


def check(c):
    yield from without(c, _NOT_THERE)
    missing = [name for name in ("encoder_num_layers", "decoder_num_layers") if getattr(c, name) is None]
    for name in missing:
        yield Problem("--architecture", c.architecture, "is two stacks of layers", f"add {option(name)}")
    if missing:
        return
    if "num_layers" in c.typed:
        both = f"--encoder-num-layers {c.encoder_num_layers} and --decoder-num-layers {c.decoder_num_layers}"
        yield Problem("--num-layers", None, f"has no meaning beside {both}", "leave it out")
    if c.attention_pattern != _patterns(c) and set(c.attention_pattern) <= set(PATTERNS):
        reason = "is said by --architecture encoder-decoder: the encoder's layers are full, the decoder's causal"
        yield Problem("--attention-pattern", None, reason, "leave it out")


def _patterns(c) -> tuple[str, ...]:
    return ("full",) * c.encoder_num_layers + ("causal",) * c.decoder_num_layers


def model():
    from megatron_ext.models.encoder_decoder import EncoderDecoder

    return EncoderDecoder
