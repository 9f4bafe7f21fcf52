"""Pairs in samples of a decoder: input and target behind one another, documents kept apart.
`--architecture causal_decoder`, `prefix_decoder`

What is fed of a pair is inputs and targets but the last; a token predicts the label at its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import NO_LABEL, Pair


class Packing:
    """Args: model: the flags of the model, or what has its fields; eod: the token that ends a document.

    Attributes: room: tokens of a sample.
    """

    def __init__(self, model, eod: int):
        self.room, self._prefix = (model.seq_length,), model.architecture == "prefix_decoder"

    def size(self, inputs: int, labels: int) -> tuple[int, ...]:
        """What so many inputs and labels take of `room`: the last label is not fed."""
        return (inputs + labels - 1,)

    def taken(self, pair: Pair) -> tuple[int, ...]:
        """What a pair takes."""
        return (len(sequence(pair)[0]),)

    def __call__(self, pairs: Sequence[Pair], draws: Draws) -> dict[str, np.ndarray]:
        """A sample: `input_ids`, `labels`, `position_ids`, `documents` int64, `loss_mask` fp32, `padding` bool, `[s]`
        each; of a prefix decoder bool `prefix`, what is seen both ways.

        What does not fit is cut off. What is left over at the end has a document's number of its own and no labels.
        """
        (length,) = self.room
        found = {name: np.zeros(length, np.int64) for name in ("input_ids", "labels", "position_ids")}
        found |= {"documents": np.full(length, len(pairs), np.int64), "loss_mask": np.zeros(length, np.float32)}
        shown, at = np.zeros(length, bool), 0
        for number, pair in enumerate(pairs):
            tokens, labels = sequence(pair)
            end = min(at + len(tokens), length)
            here, count = slice(at, end), end - at
            found["input_ids"][here] = tokens[:count]
            found["labels"][here] = np.maximum(labels[:count], 0)
            found["loss_mask"][here] = labels[:count] != NO_LABEL
            found["position_ids"][here] = (np.arange(count) if pair.positions is None else pair.positions)[:count]
            found["documents"][here] = number
            shown[at : min(at + len(pair.inputs), end)] = True
            at = end
        return found | {"padding": np.arange(length) >= at} | ({"prefix": shown} if self._prefix else {})


def sequence(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """`(tokens, label of each)`."""
    if not len(pair.labels):
        return pair.inputs, np.full(len(pair.inputs), NO_LABEL)
    if pair.fed is not None:
        tokens, before = np.concatenate([pair.inputs, pair.fed]), len(pair.inputs)
    elif len(pair.inputs):
        tokens, before = np.concatenate([pair.inputs, pair.labels[:-1]]), len(pair.inputs) - 1
    else:
        return pair.labels[:-1], pair.labels[1:]
    return tokens, np.concatenate([np.full(before, NO_LABEL), pair.labels])
