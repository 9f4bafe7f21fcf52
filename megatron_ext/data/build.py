"""From the flags of the data to samples: of training, validation and test."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
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
from megatron_ext.data.summary import refuse_another_tokenizer


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


def build(
    flags: DataFlags,
    seq_length: int,
    seed: int,
    tokenizer: Any = None,
    evaluates: bool = True,
    agree: Callable[[Callable[[bool], Any]], Any] = lambda find: find(True),
) -> Data:
    """Open what the flags name.

    Args:
        tokenizer: whose ids the data must hold; None leaves that unchecked.
        evaluates: whether there will be validation; a test set of its own is opened anyway.
        agree: `agree(find)` runs `find(first)` on every process, `first` on those that look at the data for all others,
            and returns what they found. An error of one is raised on all.
    """
    if flags.mock_data:
        vocab_size = tokenizer.vocab_size
        valid = (EvaluationSet("mock", MockSamples(vocab_size, seq_length, seed + 1)),) if evaluates else ()
        return Data(MockSamples(vocab_size, seq_length, seed), valid, ())
    return _Builder(flags, seq_length, seed, evaluates).build(tokenizer, agree)


class _Builder:
    """The steps of `build`, which share the flags."""

    def __init__(self, flags: DataFlags, seq_length: int, seed: int, evaluates: bool):
        self.flags, self.seq_length, self.seed = flags, seq_length, seed
        self.train_option, self.train = _training_blend(flags)
        self.valid = parse(flags.valid_data_path) if flags.valid_data_path and evaluates else []
        self.test = parse(flags.test_data_path) if flags.test_data_path else []
        whole = flags.train_data_path or flags.valid_data_path or flags.test_data_path
        self.shares = [1.0] if whole else split_shares(flags.split)
        self.evaluates = evaluates
        self.caches: dict = {}

    def build(self, tokenizer: Any, agree: Callable) -> Data:
        groups = ((self.train_option, self.train), ("--valid-data-path", self.valid), ("--test-data-path", self.test))
        named = {each.prefix: name for name, blend in groups for each in blend}
        opened: dict[str, Index] = {}

        def find(first: bool) -> list[dict]:
            for prefix, name in named.items():
                opened[prefix] = self._open(prefix, name, tokenizer)
            with ThreadPoolExecutor(8) as threads:  # disks and networks answer many at once
                return list(threads.map(content, opened.values())) if first else []

        contents = dict(zip(named, agree(find), strict=True))
        pairs = {prefix: (index, contents[prefix]) for prefix, index in opened.items()}
        return Data(self._training(pairs), self._validation(pairs), self._testing(pairs))

    def _open(self, prefix: str, name: str, tokenizer: Any) -> Index:
        vocab_size = 2**31 if tokenizer is None else tokenizer.vocab_size
        index = Index(prefix, vocab_size, self.flags.mmap_bin_files, name)
        index.glance()
        if tokenizer is not None and tokenizer.token_bytes().any():  # the null tokenizer takes any ids that fit
            refuse_another_tokenizer(index, tokenizer)
        return index

    def _training(self, pairs: dict) -> Samples:
        return self._blend(self.train, [_share(*pairs[each.prefix], self.shares, 0) for each in self.train], "training")

    def _validation(self, pairs: dict) -> tuple[EvaluationSet, ...]:
        if not self.evaluates:
            return ()
        blend = self.valid or self.train
        share = 0 if self.valid else 1
        shares = [1.0] if self.valid else self.shares
        return self._evaluation(blend, [_share(*pairs[each.prefix], shares, share) for each in blend], "validation")

    def _testing(self, pairs: dict) -> tuple[EvaluationSet, ...]:
        if self.test:
            return self._evaluation(self.test, [_share(*pairs[each.prefix], [1.0], 0) for each in self.test], "test")
        if not self.evaluates or self.valid:
            return ()
        parts = [(each, _share(*pairs[each.prefix], self.shares, 2)) for each in self.train]
        enough = [(each, documents) for each, documents in parts if documents.tokens > self.seq_length]
        return self._evaluation(*zip(*enough, strict=True), "test") if enough else ()

    def _evaluation(self, blend: Iterable[Weighted], parts: Iterable[Documents], what: str) -> tuple[EvaluationSet, ...]:
        blend, parts = list(blend), list(parts)
        names = _names([each.prefix for each in blend])
        if self.flags.full_validation:
            sets = [InOrder(documents, self.seq_length) for documents in parts]
            for samples in sets:
                if not samples.size:
                    raise UserError(_too_little(samples.documents, what, "the two that a prediction needs"))
            return tuple(EvaluationSet(name, each, each.size) for name, each in zip(names, sets, strict=True))
        if self.flags.multiple_validation_sets:
            return tuple(
                EvaluationSet(name, self._blend([each], [documents], what))
                for name, each, documents in zip(names, blend, parts, strict=True)
            )
        return (EvaluationSet(what, self._blend(blend, parts, what)),)

    def _cache(self, prefix: str) -> Cache:
        """One object a folder, so that what is wrong with it is said once."""
        cache = Cache.of(self.flags.data_cache_path, prefix)
        return self.caches.setdefault(cache.folder, cache)

    def _blend(self, blend: list[Weighted], parts: list[Documents], what: str) -> Samples:
        """Packed samples of each part; of several, mixed by weight, or by size where there are no weights."""
        sets = []
        for number, (each, documents) in enumerate(zip(blend, parts, strict=True)):
            sets.append(PackedSamples(documents, self.seq_length, self.seed, self._cache(each.prefix), number))
            if not sets[-1].samples_per_epoch:
                raise UserError(_too_little(documents, what, f"one sample of --seq-length {self.seq_length} + 1 needs"))
        if len(sets) == 1:
            return sets[0]
        weights = [each.weight or Fraction(part.samples_per_epoch) for each, part in zip(blend, sets, strict=True)]
        return Blend(sets, weights, self.seed)


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


def _share(index: Index, found: dict, shares: list[float], number: int) -> Documents:
    part = split_documents(index.documents, shares)[number]
    return Documents(index, part.start, part.stop, found)


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
        f"{needed}; give more data, another --split or shorter samples"
    )
