"""Pairs in samples of a decoder: input and target behind one another, documents kept apart.
`--architecture causal_decoder`, `prefix_decoder`

What is fed of a pair is inputs and targets but the last; a token predicts the label at its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from megatron_ext.objectives.reading.pairs import NO_LABEL, Pair


def size(inputs: int, labels: int) -> tuple[int, ...]:
    """What a pair takes of `room`: its last label is not fed."""
    return (inputs + labels - 1,)


def taken(pair: Pair) -> tuple[int, ...]:
    """What this one takes."""
    return (len(sequence(pair)[0]),)


def room(c) -> tuple[int, ...]:
    """Tokens that a sample has room for. c: what has the flags of the model."""
    return (c.seq_length,)


def laid_out(pairs: Sequence[Pair], room: tuple[int, ...], prefix: bool, eod: int) -> dict[str, np.ndarray]:
    """A sample: `input_ids`, `labels`, `position_ids`, `documents` int64, `loss_mask` fp32, `[s]` each, and bool `prefix`.

    What does not fit is cut off. What is left over at the end has a document's number of its own and no labels.

    Args:
        prefix: whether inputs are seen both ways.
    """
    (length,) = room
    found = {name: np.zeros(length, np.int64) for name in ("input_ids", "labels", "position_ids")}
    found["documents"] = np.full(length, len(pairs), np.int64)
    found |= {"loss_mask": np.zeros(length, np.float32), "prefix": np.zeros(length, bool)}
    at = 0
    for number, pair in enumerate(pairs):
        tokens, labels = sequence(pair)
        end = min(at + len(tokens), length)
        here, count = slice(at, end), end - at
        found["input_ids"][here] = tokens[:count]
        found["labels"][here] = np.maximum(labels[:count], 0)
        found["loss_mask"][here] = labels[:count] != NO_LABEL
        found["position_ids"][here] = (np.arange(count) if pair.positions is None else pair.positions)[:count]
        found["documents"][here] = number
        found["prefix"][at : min(at + len(pair.inputs), end)] = True
        at = end
    if not prefix:
        del found["prefix"]
    return found


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
