"""Pairs in samples of an encoder and a decoder: inputs in one, labels in the other, documents kept apart in both.
`--architecture encoder_decoder`

The decoder is fed the labels, one place on, behind `--decoder-start-token-id`, or the token that ends a document.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import NO_LABEL, Pair


class Packing:
    """Args: model: the flags of the model, or what has its fields; eod: the token that ends a document.

    Attributes: room: tokens of a sample in the encoder, and in the decoder.
    """

    def __init__(self, model, eod: int):
        self.room, self._first = (model.encoder_seq_length, model.decoder_seq_length), first_fed(model, eod)

    def size(self, inputs: int, labels: int) -> tuple[int, ...]:
        """What so many inputs and labels take of `room`."""
        return inputs, labels

    def taken(self, pair: Pair) -> tuple[int, ...]:
        """What a pair takes."""
        return len(pair.inputs), len(pair.labels)

    def __call__(self, pairs: Sequence[Pair], draws: Draws) -> dict[str, np.ndarray]:
        """A sample: int64 `input_ids`, `position_ids`, `documents` `[s of the encoder]`; `decoder_input_ids`,
        `decoder_position_ids`, `decoder_documents`, `labels` and fp32 `loss_mask` `[s of the decoder]`; bool `padding` of both.

        What does not fit is cut off. What is left over at the ends has a document's number of its own and no labels.
        """
        found = {}
        for stretch, length in zip(("", "decoder_"), self.room, strict=True):
            found |= {f"{stretch}{name}": np.zeros(length, np.int64) for name in ("input_ids", "position_ids")}
            found[f"{stretch}documents"] = np.full(length, len(pairs), np.int64)
        found["padding"] = np.ones(sum(self.room), bool)
        found |= {"labels": np.zeros(self.room[1], np.int64), "loss_mask": np.zeros(self.room[1], np.float32)}
        at = [0, 0]
        for number, pair in enumerate(pairs):
            own = fed(pair, self._first)
            places = [slice(begin, begin + len(part)) for begin, part in zip(at, (pair.inputs, own))]
            for stretch, place, tokens in zip(("", "decoder_"), places, (pair.inputs, own)):
                count = len(found[f"{stretch}documents"][place])
                found[f"{stretch}input_ids"][place] = tokens[:count]
                found[f"{stretch}position_ids"][place] = np.arange(count)
                found[f"{stretch}documents"][place] = number
            labels = pair.labels[: len(found["labels"][places[1]])]
            found["labels"][places[1]] = np.maximum(labels, 0)
            found["loss_mask"][places[1]] = labels != NO_LABEL
            at = [min(place.stop, length) for place, length in zip(places, self.room)]
        for begin, end in zip((0, self.room[0]), at):
            found["padding"][begin : begin + end] = False
        return found


def first_fed(model, eod: int) -> int:
    """The token that a decoder is fed first."""
    return eod if model.decoder_start_token_id is None else model.decoder_start_token_id


def fed(pair: Pair, first: int) -> np.ndarray:
    """What a decoder is fed of a pair."""
    return np.concatenate([[first], pair.labels])[:-1] if pair.fed is None else pair.fed
