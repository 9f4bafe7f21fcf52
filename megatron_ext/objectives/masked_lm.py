"""Masked language modelling (BERT, arXiv:1810.04805, section 3.1). `--objective masked_lm --mask-prob 0.15`

Of a document's tokens 15 % are predicted. Of these 80 % show as [MASK], 10 % as a random token, 10 % as they are. With
`--whole-word-masking` all tokens of a word are predicted, or none. A document reads [CLS] A [SEP] B [SEP], and with
`--sentence-task` its [CLS] predicts, too:

    next_sentence    whether B follows A, or is another document's of the sample (BERT): half of them each, drawn for two or three
                     documents together, which keep their own or pass them on; where a document is alone, nothing is asked
    sentence_order   whether A and B stand in their order (ALBERT, arXiv:1909.11942, section 3.1)
    none             nothing: [CLS] A [SEP] (RoBERTa, arXiv:1907.11692)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import NOTHING, Asked, Pair, Setting, whole
from megatron_ext.objectives.reading.samples import batch
from megatron_ext.objectives.reading.spans import between
from megatron_ext.objectives.reading.tokens import begins_word, ordinary

__all__ = ["Pairs", "batch", "loss"]

NO_SENTENCE = -1


class Pairs:
    """Its pairs are the two parts of a document, A and B."""

    def __init__(self, setting: Setting):
        self.flags, self._eod = setting.flags, setting.eod
        self.task = setting.flags.sentence_task
        self.cls, self.sep, self.mask = setting.control("[CLS]", "[SEP]", setting.flags.mask_token)
        self.ordinary = ordinary(setting.tokenizer)
        self.begins = begins_word(setting.tokenizer) if setting.flags.whole_word_masking else None

    def choose(self, draws: Draws) -> Pairs:
        return self

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        ids = whole(ids, self._eod)
        if self.task == "none" or len(ids) < 2:
            return Pair(ids, NOTHING)
        cut = 1 + draws.below(len(ids) - 1)
        return Pair(ids[:cut], ids[cut:])

    def framed(self, first: np.ndarray, second: np.ndarray | None = None) -> np.ndarray:
        """One sentence or two with what stands around them."""
        end = [] if second is None else [second, [self.sep]]
        return np.concatenate([[self.cls], first, [self.sep], *end]).astype(np.int64)

    def filled(self, parts: Sequence[np.ndarray]) -> Asked:
        return Asked(self.framed(between(parts, self.mask)))

    def sizes(self, length: int) -> tuple[int, int]:
        return length + 2 + (self.task != "none"), 0


class Packing:
    """Hides tokens, and lays documents out for an encoder. Args: as reading/decoder.py's, and `pairs`."""

    def __init__(self, model, eod: int, pairs: Pairs):
        self.room, self._of = (model.seq_length,), pairs

    def size(self, inputs: int, labels: int) -> tuple[int, ...]:
        """What so many inputs take of `room`."""
        return (inputs,)

    def taken(self, pair: Pair) -> tuple[int, ...]:
        """What a pair takes."""
        return (self._of.sizes(len(pair.inputs) + len(pair.labels))[0],)

    def __call__(self, pairs: Sequence[Pair], draws: Draws) -> dict[str, np.ndarray]:
        """A sample: int64 `input_ids`, `labels`, `position_ids`, `documents`, `token_types`, fp32 `loss_mask`, bool `padding`,
        `[s]` each; and int64 `sentence_labels` `[s]`: at each [CLS] 1 where the second part is the right one, 0 where it is not,
        −1 elsewhere."""
        (length,) = self.room
        names = ("input_ids", "labels", "position_ids", "token_types")
        found = {name: np.zeros(length, np.int64) for name in names} | {"loss_mask": np.zeros(length, np.float32)}
        found["documents"] = np.full(length, len(pairs), np.int64)
        found["sentence_labels"] = np.full(length, NO_SENTENCE, np.int64)
        at = 0
        for number, (first, second, right) in enumerate(self._sentences(pairs, draws)):
            ids = self._of.framed(first, second)
            shown, predicted = self._hidden(ids, draws)
            here, count = slice(at, at + len(ids)), len(found["documents"][at : at + len(ids)])
            found["input_ids"][here], found["labels"][here] = shown[:count], np.where(predicted, ids, 0)[:count]
            found["loss_mask"][here] = predicted[:count]
            found["position_ids"][here], found["documents"][here] = np.arange(count), number
            found["token_types"][at + len(first) + 2 : at + len(ids)] = 1
            if right is not None:
                found["sentence_labels"][at : at + 1] = right
            at += len(ids)
        return found | {"padding": np.arange(length) >= at}

    def told(self, samples: Sequence[dict[str, np.ndarray]]) -> str:
        """What is to be said of a run's first samples besides their padding."""
        if self._of.task != "next_sentence":
            return ""
        asked = sum((sample["sentence_labels"] != NO_SENTENCE).sum() for sample in samples)
        documents = sum(len(np.unique(sample["documents"][~sample["padding"]])) for sample in samples)
        return (
            f", {asked / max(documents, 1):.0%} of their documents have another beside them, and are asked for the next sentence"
        )

    def _sentences(self, pairs: Sequence[Pair], draws: Draws) -> list[tuple[np.ndarray, np.ndarray | None, int | None]]:
        """`(A, B, whether it is the right one)` of each pair; None where there is no B, and where nothing is asked."""
        found = [(pair.inputs, pair.labels if len(pair.labels) else None, None) for pair in pairs]
        asked = [number for number, pair in enumerate(pairs) if len(pair.labels)]
        if self._of.task == "sentence_order":
            for number, uniform in zip(asked, draws.uniforms(len(asked))):
                parts = pairs[number].inputs, pairs[number].labels
                found[number] = (*parts, 1) if uniform >= 0.5 else (*parts[::-1], 0)
        elif self._of.task == "next_sentence":
            for group in self._together(asked, draws):
                right = draws.uniform() >= 0.5
                others = group if right else group[1:] + group[:1]  # each has the next one's, so that no token is lost
                for number, other in zip(group, others):
                    found[number] = (pairs[number].inputs, pairs[other].labels, int(right))
        return found

    @staticmethod
    def _together(numbers: list[int], draws: Draws) -> list[list[int]]:
        """These by twos at random, a last one with two others; none where there is one alone."""
        order = [numbers[place] for place in draws.order(len(numbers))]
        groups = [order[begin : begin + 2] for begin in range(0, len(order) - 1, 2)]
        if groups and len(order) % 2:
            groups[-1].append(order[-1])
        return groups

    def _hidden(self, ids: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """`(what shows, whether a token is predicted)`."""
        free = np.flatnonzero((ids != self._of.cls) & (ids != self._of.sep))
        predicted = np.zeros(len(ids), bool)
        if len(free):
            predicted[free[self._chosen(ids[free], draws)]] = True
        places = np.flatnonzero(predicted)
        kind, other = draws.uniforms(len(places)), draws.uniforms(len(places))
        shown = ids.copy()
        shown[places[kind < 0.8]] = self._of.mask
        random = (kind >= 0.8) & (kind < 0.9)
        shown[places[random]] = self._of.ordinary[(other[random] * len(self._of.ordinary)).astype(np.int64)]
        return shown, predicted

    def _chosen(self, ids: np.ndarray, draws: Draws) -> np.ndarray:
        """Places of what is predicted: `--mask-prob` of the tokens, one at least; of whole words, as many as come nearest."""
        most = max(round(len(ids) * self._of.flags.mask_prob), 1)
        if self._of.begins is None:
            return draws.some(most, len(ids))
        begins = self._of.begins[ids]
        begins[0] = True
        words = np.split(np.arange(len(ids)), np.flatnonzero(begins)[1:])
        found, count = [], 0
        for word in draws.order(len(words)):
            if count + len(words[word]) <= most or not found:
                found.append(words[word])
                count += len(words[word])
        return np.concatenate(found)


def loss(per_token: torch.Tensor, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """per_token nats `[b, s]`, those of sentences included where they stand → (their sum, the number of tokens predicted)."""
    asked = batch["loss_mask"] + (batch["sentence_labels"] != NO_SENTENCE)
    return torch.sum(per_token * asked), batch["loss_mask"].sum().to(torch.int)
