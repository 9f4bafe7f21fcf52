"""From the flags of the data to samples: of training, validation and test."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.blend import Blend
from megatron_ext.data.cache import Cache
from megatron_ext.data.fingerprint import content
from megatron_ext.data.flags import DataFlags, option
from megatron_ext.data.in_order import InOrder
from megatron_ext.data.index import Documents, Index
from megatron_ext.data.mock import MockSamples
from megatron_ext.data.packing import PackedSamples
from megatron_ext.data.paths import Weighted, parse, split_shares
from megatron_ext.data.samples import Samples
from megatron_ext.data.sidecar import refuse_another_tokenizer, refuse_without_ends

Part = tuple[Weighted, Documents]  # what the flags say of a pair, and the documents of it that are meant


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """Samples to evaluate on, by a name that people see. size: how many there are, None where there is no end to them."""

    name: str
    samples: Samples
    size: int | None = None


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run reads. valid, test: each set is evaluated whole or for `--eval-iters` global batches; () for none."""

    train: Samples
    valid: tuple[EvaluationSet, ...]
    test: tuple[EvaluationSet, ...]

    def of(self, make: Callable[[Samples], Samples]) -> Data:
        """The same with other samples, made of these."""
        sets = [tuple(dataclasses.replace(each, samples=make(each.samples)) for each in part) for part in (self.valid, self.test)]
        return Data(make(self.train), *sets)


def build(
    flags: DataFlags,
    seq_length: int,
    seed: int,
    tokenizer: Any = None,
    evaluates: bool = True,
    agree: Callable[[Callable[[bool], Any]], Any] = lambda find: find(True),
    window: int | None = None,
    apart: bool = False,
) -> Data:
    """Open what the flags name.

    Args:
        window: tokens of a training sample, where they are more than `seq_length`, by which samples are apart.
        apart: documents are told from one another by the tokens that end them.
        tokenizer: whose ids the data must hold; None leaves that unchecked.
        evaluates: whether there will be validation; a test set of its own is opened anyway.
        agree: `agree(find)` runs `find(first)` on every process, `first` on those that look at the data for all others,
            and returns what they found. An error of one is raised on all.
    """
    if flags.mock_data:
        vocab_size = tokenizer.vocab_size
        valid = (EvaluationSet("mock", MockSamples(vocab_size, seq_length, seed + 1)),) if evaluates else ()
        return Data(MockSamples(vocab_size, seq_length, seed), valid, ())
    return _Builder(flags, seq_length, seed, evaluates, window, apart).build(tokenizer, agree)


class _Builder:
    """The steps of `build`, which share the flags."""

    def __init__(self, flags: DataFlags, seq_length: int, seed: int, evaluates: bool, window: int | None, apart: bool):
        self.flags, self.seq_length, self.seed, self.window, self.apart = flags, seq_length, seed, window, apart
        self.train_option, self.train = _training_blend(flags)
        self.valid = parse(flags.valid_data_path) if flags.valid_data_path and evaluates else []
        self.test = parse(flags.test_data_path) if flags.test_data_path else []
        whole = flags.train_data_path or flags.valid_data_path or flags.test_data_path
        self.shares = [1.0] if whole else split_shares(flags.split)
        self.evaluates = evaluates
        self.caches: dict = {}

    def build(self, tokenizer: Any, agree: Callable) -> Data:
        opened: dict[str, Index] = {}

        def find(first: bool) -> list[dict]:
            opened.update(self._open(tokenizer))
            if not first:
                return []
            with ThreadPoolExecutor(8) as threads:  # disks and networks answer many at once
                return list(threads.map(content, opened.values()))

        contents = agree(find)
        pairs = {prefix: (index, found) for (prefix, index), found in zip(opened.items(), contents, strict=True)}
        train = self._samples(_parts(self.train, pairs, self.shares, 0), "training")
        return Data(train, self._validation(pairs), self._testing(pairs))

    def _open(self, tokenizer: Any) -> dict[str, Index]:
        """All pairs by prefix."""
        groups = ((self.train_option, self.train), ("--valid-data-path", self.valid), ("--test-data-path", self.test))
        vocab_size = 2**31 if tokenizer is None else tokenizer.vocab_size
        knows_text = tokenizer is not None and tokenizer.token_bytes().any()  # the null tokenizer takes any ids that fit
        opened = {}
        for name, blend in groups:
            for prefix in (each.prefix for each in blend if each.prefix not in opened):
                opened[prefix] = Index(prefix, vocab_size, self.flags.mmap_bin_files, name)
                opened[prefix].glance()
                if knows_text:
                    refuse_another_tokenizer(opened[prefix], tokenizer)
                if self.apart:
                    refuse_without_ends(opened[prefix])
        return opened

    def _validation(self, pairs: dict) -> tuple[EvaluationSet, ...]:
        if not self.evaluates:
            return ()
        parts = _parts(self.valid, pairs, [1.0], 0) if self.valid else _parts(self.train, pairs, self.shares, 1)
        return self._evaluation(parts, "validation")

    def _testing(self, pairs: dict) -> tuple[EvaluationSet, ...]:
        """The test data: of its own, else the third share of whatever pairs have enough for a sample there."""
        if self.test:
            return self._evaluation(_parts(self.test, pairs, [1.0], 0), "test")
        if not self.evaluates:
            return ()
        parts = [part for part in _parts(self.train, pairs, self.shares, 2) if part[1].tokens > self.seq_length]
        return self._evaluation(parts, "test") if parts else ()

    def _evaluation(self, parts: list[Part], what: str) -> tuple[EvaluationSet, ...]:
        names = _names([each.prefix for each, _ in parts])
        if self.flags.full_validation:
            sets = [InOrder(documents, self.seq_length) for _, documents in parts]
            for samples in sets:
                if not samples.size:
                    raise UserError(_too_little(samples.documents, what, "the two that a prediction needs"))
            return tuple(EvaluationSet(name, each, each.size) for name, each in zip(names, sets, strict=True))
        if self.flags.multiple_validation_sets:
            return tuple(EvaluationSet(name, self._samples([part], what)) for name, part in zip(names, parts, strict=True))
        return (EvaluationSet(what, self._samples(parts, what)),)

    def _samples(self, parts: list[Part], what: str) -> Samples:
        """Packed samples of each part; of several, mixed by weight, or by size where there are no weights."""
        sets = []
        for number, (each, documents) in enumerate(parts):
            sets.append(PackedSamples(documents, self.seq_length, self.seed, self._cache(each.prefix), number, self.window))
            if not sets[-1].samples_per_epoch:
                raise UserError(_too_little(documents, what, f"one sample of {sets[-1].window} + 1 needs"))
        if len(sets) == 1:
            return sets[0]
        weights = [each.weight or Fraction(mine.samples_per_epoch) for (each, _), mine in zip(parts, sets, strict=True)]
        return Blend(sets, weights, self.seed)

    def _cache(self, prefix: str) -> Cache:
        """One object a folder, so that what is wrong with it is said once."""
        cache = Cache.of(self.flags.data_cache_path, prefix)
        return self.caches.setdefault(cache.folder, cache)


def _training_blend(flags: DataFlags) -> tuple[str, list[Weighted]]:
    """`(the flag that says it, what is trained on)`."""
    if flags.data_args_path is None:
        name = "data_path" if flags.data_path else "train_data_path"
        return option(name), parse(getattr(flags, name))
    where = f"--data-args-path {flags.data_args_path}"
    try:
        with open(flags.data_args_path, encoding="utf-8") as file:
            return where, parse(file.read().split())
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def _parts(blend: list[Weighted], pairs: dict, shares: list[float], number: int) -> list[Part]:
    """The `number`-th share of the documents of each pair of a blend."""
    parts = []
    for each in blend:
        index, found = pairs[each.prefix]
        share = split_documents(index.documents, shares)[number]
        parts.append((each, Documents(index, share.start, share.stop, found)))
    return parts


def split_documents(documents: int, shares: list[float]) -> list[range]:
    """Contiguous ranges of documents for training, validation and test."""
    shares = [*shares, 0.0, 0.0][:3]
    edges = np.round(np.cumsum([0.0, *shares]) / sum(shares) * documents).astype(int)
    return [range(int(first), int(last)) for first, last in zip(edges[:-1], edges[1:], strict=True)]


def _names(prefixes: list[str]) -> list[str]:
    """The ends of paths, as long as they must be to differ."""
    parts = [os.path.normpath(prefix).split(os.sep) for prefix in prefixes]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return prefixes


def _too_little(documents: Documents, what: str, needed: str) -> str:
    return (
        f"{documents.index.where}: the {what} data has {documents.tokens} tokens in {len(documents)} documents, fewer than "
        f"{needed}; give more data, another --split or a shorter --seq-length"
    )
