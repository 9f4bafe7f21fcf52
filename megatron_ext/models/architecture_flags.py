"""Flags of what the model is as a whole: a part of the model's group."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from megatron_ext.arguments.flags import flag
from megatron_ext.arguments.problems import Problem, option
from megatron_ext.arguments.registry import Registry

ARCHITECTURES = Registry("megatron_ext.models.architectures")
# Flag of an encoder and a decoder: the one that says it where there is one stack, as in Megatron-LM.
_OF_TWO = {"encoder_num_layers": "num_layers", "encoder_seq_length": "seq_length", "decoder_num_layers": None,
           "decoder_seq_length": None, "decoder_start_token_id": None}  # fmt: skip

# The positions that know of tokens after one, for `without`.
KNOWN_BOTH_WAYS = (
    "position_embedding_type", ("learned_absolute", "sinusoidal", "rope", "alibi", "t5_bias", "none"),
    "are positions of tokens that see those before them alone",
)  # fmt: skip


def length_flags(model) -> dict[str, int]:
    """The flags that say how long the stretches of a sample are which go through the layers, with their values."""
    if model.architecture != "encoder_decoder":
        return {"--seq-length": model.seq_length}
    return {"--encoder-seq-length": model.encoder_seq_length, "--decoder-seq-length": model.decoder_seq_length}


def lengths(model) -> tuple[int, ...]:
    """How long those stretches are: one, or an encoder's and a decoder's."""
    return tuple(length_flags(model).values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchitectureFlags:
    architecture: str | None = flag(
        None, "what the model is as a whole [what --objective is learnt by; causal_decoder]", choices=ARCHITECTURES, front=True
    )
    encoder_num_layers: int | None = flag(None, "layers of the encoder [in one stack: --num-layers]", least=1)
    decoder_num_layers: int | None = flag(None, "layers of the decoder behind an encoder", least=1)
    encoder_seq_length: int | None = flag(None, "tokens of a sample in the encoder [seq-length]", least=1)
    decoder_seq_length: int | None = flag(None, "tokens of a sample in the decoder behind an encoder [seq-length]", least=1)
    decoder_start_token_id: int | None = flag(
        None, "token that a decoder behind an encoder is fed first [the one that ends a document]", least=0
    )

    bert_binary_head: bool | None = flag(
        None,
        "an encoder's first token learns what its document's two sentences are to each other [where --objective labels them]",
    )
    num_tokentypes: int | None = flag(None, "types of tokens that an encoder embeds [2 with --bert-binary-head, else 0]", least=0)

    @staticmethod
    def resolve_architecture(c):
        c.architecture = c.architecture or "causal_decoder"
        if c.architecture != "encoder_decoder":
            for name, one in _OF_TWO.items():
                if one is not None and getattr(c, name) is not None:
                    setattr(c, one, getattr(c, name))
                    setattr(c, name, None)
        architecture = ARCHITECTURES.load(c.architecture)
        architecture.resolve(c)
        if c.attention_pattern is None:
            c.attention_pattern = architecture.PATTERNS[:1]

    @staticmethod
    def check_architecture(c):
        for name, one in _OF_TWO.items():
            if c.architecture == "encoder_decoder" or name not in c.typed:
                continue
            if one is None:
                reason, way_out = f"belongs to --architecture encoder-decoder, and this is {c.architecture}", "leave it out"
                yield Problem(option(name), getattr(c, name), reason, way_out)
            elif one in c.typed:
                yield Problem(f"{option(name)} and {option(one)}", None, "contradict each other", f"give {option(one)} alone")
        if c.architecture != "encoder":
            reason = f"belongs to --architecture encoder, and this is {c.architecture}"
            yield from without(c, [(name, (None, False, 0), reason) for name in ("bert_binary_head", "num_tokentypes")])
        yield from ARCHITECTURES.load(c.architecture).check(c)


def without(c, refused) -> Iterator[Problem]:
    """Problems of flags that an architecture lacks. refused: field, values that ask for nothing, why it is not there."""
    for name, plain, reason in refused:
        value = getattr(c, name)
        if value not in plain:
            yield Problem(option(name), None if value is True else value, reason, "leave it out")
