"""Samples of an objective that works document by document: a stretch of the stream, a pair of each of its documents, laid out for
the architecture.

What a pair makes of raw tokens is more or less, as it is drawn. Samples begin as far apart as they use raw tokens on average,
and may read on as far as fills one at the least: there is next to no padding, and now and then a token is read twice, or left out
until the next epoch. The last document of a sample is cut to fit. Random numbers belong to (seed, sample, document), so that
layout, workers and resumes change none.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from types import ModuleType

import numpy as np
import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.arguments.registry import Registry
from megatron_ext.data.samples import NO_TOKEN, Samples
from megatron_ext.objectives import Reading
from megatron_ext.objectives.reading import decoder, encoder_decoder, proportions
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import Setting

OBJECTIVES = Registry("megatron_ext.objectives")
ARCHITECTURES = {"causal_decoder": decoder, "prefix_decoder": decoder, "encoder_decoder": encoder_decoder}
_TOLD = 16  # samples that are looked at before a run begins
_SHORTEST = 2  # tokens of a document: one to give and one to predict
_WHOLE = 2**32  # a document's number that none has: the sample as a whole
_CORRUPTION, _HAND, _SCORING = 4, 5, 6  # what the random numbers are for (1 to 3: data/)


class PairSamples(Samples):
    """Args: raw: stretches of the stream; pairs: of an objective; packing: of an architecture; hands: of ways to corrupt, where
    these are not drawn document by document."""

    def __init__(self, raw: Samples, pairs, packing, hands: proportions.Hands | None, eod: int, seed: int):
        self.raw, self._pairs, self._packing, self._hands, self._eod, self._seed = raw, pairs, packing, hands, eod, seed

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        tokens = self.raw[number][:-1]  # the last is the next stretch's first
        left, made = np.array(self._packing.room), []
        documents = documents_in(tokens[tokens != NO_TOKEN], self._eod)
        first = documents[0] if documents else None
        average = max(len(tokens) // max(len(documents), 1), 1)
        hand = self._hands and self._hands.deal(Draws(self._seed, number, _WHOLE, _HAND), average)
        while documents:
            document, *documents = documents
            draws = Draws(self._seed, number, len(made), _CORRUPTION)
            make, most = (self._pairs.choose(draws), len(document)) if hand is None else hand.next(left)
            if hasattr(make, "of"):  # how it is cut is the document's to say
                part = make.of(document, document is first, not documents and document[-1] != self._eod, left)
                if part is None:
                    continue
                (document, make), most = part, len(part[0])
            most = min(most, getattr(make, "most", len(document)), len(document))
            length = longest(make.sizes, self._packing, tuple(left), most)
            if length < min(len(document), getattr(make, "shortest", _SHORTEST)):
                break
            made.append(make(document[:length], draws))
            if hand is not None:
                hand.took(length)
            left = np.maximum(left - self._packing.taken(made[-1]), 0)
            if length == most < len(document):  # the rest is a document of its own
                documents.insert(0, document[length:])
        return self._packing(made, Draws(self._seed, number, _WHOLE, _CORRUPTION))

    @property
    def fingerprint(self) -> dict:
        return self.raw.fingerprint

    def prepare(self, epoch: int) -> dict[str, bool]:
        return self.raw.prepare(epoch)


def documents_in(tokens: np.ndarray, eod: int) -> list[np.ndarray]:
    """The documents of a stretch, each with the token that ends it; at both ends they may be parts."""
    return [part for part in np.split(tokens, np.flatnonzero(tokens == eod) + 1) if len(part)]


def longest(sizes: Callable[[int], tuple[int, int]], packing, room: tuple[int, ...], most: int) -> int:
    """Raw tokens, `most` at most, whose pair of such sizes fits."""

    def fits(length: int) -> bool:
        return all(taken <= there for taken, there in zip(packing.size(*sizes(length)), room, strict=True))

    return proportions.longest(fits, most)


def batch(read: dict[str, torch.Tensor], reading: Reading) -> dict[str, torch.Tensor]:
    """What the loader read is what the model takes."""
    return read


def loss(per_token: torch.Tensor, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """per_token nats `[b, s]` → (their masked sum, the number of labels)."""
    mask = batch["loss_mask"]
    return torch.sum(per_token * mask), mask.sum().to(torch.int)


def of_run(objective: ModuleType, config, tokenizer) -> tuple:
    """What makes pairs of documents in a run, and what lays them out. UserError where the decoder's first token is none."""
    first = config.model.decoder_start_token_id
    if first is not None and first >= tokenizer.model_entries:
        raise UserError(f"--decoder-start-token-id {first}: the model has {tokenizer.model_entries} entries")
    pairs = objective.Pairs(Setting(config.objective, tokenizer))
    if hasattr(objective, "Packing"):
        return pairs, objective.Packing(config.model, tokenizer.eod, pairs)
    return pairs, ARCHITECTURES[config.model.architecture].Packing(config.model, tokenizer.eod)


def alone(document: np.ndarray, number: int, pairs, packing, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Samples that hold one document and nothing else, without padding; of one that is too long, each holds what fits, and the
    next its rest. Random numbers belong to (seed, the document's number, the sample's among them).
    """
    piece = 0
    while len(document) >= _SHORTEST:
        draws = Draws(seed, number, piece, _SCORING)
        make = pairs.choose(draws)
        most = min(getattr(make, "most", len(document)), len(document))
        length = longest(make.sizes, packing, packing.room, most)
        if length < _SHORTEST:
            return
        sample = packing([make(document[:length], draws)], draws)
        del sample["padding"]
        ends = {
            stretch: int((sample[f"{stretch}documents"] == 0).sum())
            for stretch in ("", "decoder_")
            if f"{stretch}documents" in sample
        }
        yield {name: values[: ends[_stretch(name, ends)]] for name, values in sample.items()}
        document, piece = document[length:], piece + 1


def _stretch(name: str, stretches: Container[str]) -> str:
    """Whose tokens a field of a sample is of: labels are the decoder's."""
    theirs = name.startswith("decoder_") or name in ("labels", "loss_mask")
    return "decoder_" if theirs and "decoder_" in stretches else ""


class Maker:
    """What an objective makes of raw samples, for a run.

    Attributes:
        step: raw tokens that samples are apart.
        window: raw tokens that a sample reads at most.
    """

    def __init__(self, objective: ModuleType, config, tokenizer):
        self.step = self.window = config.model.seq_length
        self._pairs, self._hands, self._eod, self._seed = None, None, tokenizer.eod, config.training.seed
        if hasattr(objective, "Pairs"):
            self._pairs, self._packing = pairs, _ = of_run(objective, config, tokenizer)
            room, most = self._packing.room, sum(self._packing.room)
            if len(room) == 2 and getattr(pairs, "at", None) is not None:
                self._hands = proportions.Hands(pairs.at, room)
                self.step = max(self._hands.step, _SHORTEST)
                self.window = max(self._hands.window, self.step)
                return
            if hasattr(pairs, "of"):  # nobody knows in which proportion prefixes and texts will come
                self.step, self.window = most * (10 - len(room) + 1) // 10, most * 3 // 2
                return
            self.step = max(longest(pairs.sizes, self._packing, room, most), _SHORTEST)
            self.window = max(longest(getattr(pairs, "least", pairs.sizes), self._packing, room, most), self.step)

    def told(self, samples: Samples) -> str | None:
        """How full the first samples are, in words; None where they are cut from the stream. UserError: none has a label."""
        if self._pairs is None:
            return None
        first = [samples[number] for number in range(_TOLD)]
        padding, room = np.mean([sample["padding"] for sample in first], axis=0), self._packing.room
        if (padding == 1).all():
            lengths, way_out = " and ".join(map(str, room)), getattr(self._pairs, "way_out", "")
            said = f"no document fits into samples of {lengths} tokens, the first {_TOLD} are empty; take longer ones"
            raise UserError(said + way_out, shared=True)
        if not any(sample["loss_mask"].any() for sample in first):
            raise UserError(
                f"the first {_TOLD} samples ask for nothing: their documents are empty, or --seq-length is too short; "
                "tools/inspect_dataset.py shows them",
                shared=True,
            )
        rooms = dict(zip(("encoder", "decoder"), np.split(padding, room[:1]))) if len(room) == 2 else {}
        apart = ", ".join(f"{name} {share.mean():.1%}" for name, share in rooms.items())
        own = self._packing.told(first) if hasattr(self._packing, "told") else ""
        return f"{padding.mean():.1%} padding in the first {_TOLD}" + (f" ({apart})" if apart else "") + own

    def __call__(self, raw: Samples) -> Samples:
        return raw if self._pairs is None else PairSamples(raw, self._pairs, self._packing, self._hands, self._eod, self._seed)
