"""Documents to a model with its percentiles: one reading to count, one of what was held out to score.

Memory holds the different words (about 120 bytes each, `most_words` at most) and the sorters' share; n-grams go to disk, up to
40 times the text's size at order 5, in a folder beside the output that is gone afterwards.
"""

from __future__ import annotations

import array
import collections
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Document, Reject, document, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import expand_all, format_of, size_on_disk
from megatron_ext.corpus.model_description import description
from megatron_ext.corpus.ngrams import units
from megatron_ext.corpus.ngrams.estimate import CONTROL, END, UNKNOWN, OrderStatistics, estimator
from megatron_ext.corpus.ngrams.flags import TrainNgramFlags
from megatron_ext.corpus.ngrams.model import Model, tokenizer_of
from megatron_ext.corpus.progress import Meter
from megatron_ext.corpus.sources import Source
from megatron_ext.corpus.whole_file import WholeFile

_TOGETHER = 2**16
"""Ids that are handed over at once."""


def train(reading: InputFlags, flags: TrainNgramFlags) -> Iterator[tuple[str, str]]:
    """Write the model; yields `(what, how much)`, line by line. UserError: no document could be used."""
    target = str(flags.output)
    WholeFile(target).discard()  # find out now whether it can be written
    folder = tempfile.mkdtemp(prefix=os.path.basename(target) + ".", dir=os.path.dirname(target) or ".")
    try:
        made = os.path.join(folder, "model.arpa")
        learning = _Learning(flags, folder)
        files = expand_all(reading.input)
        with Meter("counting", size_on_disk(files), interval=100_000) as meter:
            for number, text in enumerate(_texts(files, reading, flags.json_key, meter, learning.seen)):
                if flags.percentile_input or number % flags.held_out_every:
                    learning.add(text)
            meter.note("smoothing")
            orders = learning.finish(made)
        percentiles, scored = _percentiles(made, learning.about(), reading, flags, files)
        about = {**learning.about(), "percentiles": percentiles, "orders": [found._asdict() for found in orders]}
        _publish(made, target, about, flags.tokenizer)
    except RuntimeError as error:  # the native module's, about its files
        raise UserError(f"{error}; the model was not written") from None
    finally:
        shutil.rmtree(folder)
    seen = learning.seen
    yield "learned", f"{seen['documents']:,} documents, {seen['bytes'] / 1e6:,.1f} MB, {seen['units']:,} {flags.units}"
    if seen["rejected"]:
        yield "passed over", f"{seen['rejected']:,} records without text; tools/clean_corpus.py names them"
    for n, found in enumerate(orders, 1):
        discounts = ", ".join(f"{each:.3f}" for each in found.discounts) + ("" if found.estimated else ", by default")
        yield f"{n}-grams", f"{found.kept:,} of {found.found:,} (discounts {discounts})"
    yield "perplexity", f"{percentiles[33]:,.0f} and {percentiles[67]:,.0f} cut {scored:,} documents into thirds"
    yield "written", f"{target} ({os.path.getsize(target) / 1e6:,.1f} MB) and {description(target)}"


class _Learning:
    """Texts to ids and counts."""

    def __init__(self, flags: TrainNgramFlags, folder: str):
        self._flags, self._spaced = flags, units.make(flags.units, flags.normalize, flags.tokenizer)
        self._ids: dict[str, int] = {word: number for number, word in enumerate(CONTROL)}
        self._counting = estimator(flags.order, folder, flags.memory * 1_000_000)
        self._held = array.array("I")
        self.seen: collections.Counter[str] = collections.Counter()

    def add(self, text: str) -> None:
        ids, most = self._ids, self._flags.most_words + len(CONTROL)
        for line in self._spaced(text).split("\n"):
            words = line.split()
            if not words:
                continue
            for word in words:
                if word not in ids and len(ids) < most:
                    ids[word] = len(ids)
            self._held.extend([ids.get(word, UNKNOWN) for word in words])
            self._held.append(END)
            self.seen["units"] += len(words)
        self.seen["learned"] += 1
        if len(self._held) >= _TOGETHER:
            self._hand_over()

    def _hand_over(self) -> None:
        self._counting.add(self._held)
        self._held = array.array("I")

    def finish(self, path: str) -> list[OrderStatistics]:
        self._hand_over()
        if not self.seen["units"]:
            rejected = f"{self.seen['rejected']:,} rejected, by --json-key {self._flags.json_key}"
            raise UserError(f"no document could be learned from: {self.seen['documents']:,} were found ({rejected})")
        prune, order = self._flags.prune or (0,), self._flags.order
        thresholds = [*prune, *[prune[-1]] * (order - len(prune))]
        return [OrderStatistics(*found) for found in self._counting.finish(list(self._ids), thresholds, path)]

    def about(self) -> dict[str, Any]:
        flags = self._flags
        return {name: getattr(flags, name) for name in ("language", "units", "normalize", "order", "prune")}


def _percentiles(made: str, about: dict, reading: InputFlags, flags: TrainNgramFlags, files: Sequence[str]):
    """`(101 perplexities, documents that were scored)`."""
    import numpy as np

    with open(description(made), "wb") as file:
        file.write(orjson.dumps({**about, "percentiles": [0.0] * 101}))
    if flags.tokenizer is not None:
        shutil.copyfile(flags.tokenizer, tokenizer_of(made))
    model = Model(made)
    scored_files, every = (list(flags.percentile_input), 1) if flags.percentile_input else (files, flags.held_out_every)
    with Meter("scoring", size_on_disk(scored_files), interval=100_000) as meter:
        texts = _texts(scored_files, reading, flags.json_key, meter, collections.Counter())
        found = np.array([model.perplexity(text) for number, text in enumerate(texts) if number % every == 0])
    found = found[np.isfinite(found)]
    if not len(found):
        raise UserError("--percentile-input: holds no document that could be scored")
    return [float(f"{each:.6g}") for each in np.percentile(found, range(101))], len(found)


def _publish(made: str, target: str, about: dict, tokenizer: str | None) -> None:
    """The model gets its name last of the three: what is read with it is there by then."""
    parts = [(description(target), orjson.dumps(about, option=orjson.OPT_INDENT_2) + b"\n")]
    if tokenizer is not None:
        with open(tokenizer, "rb") as opened:
            parts.append((tokenizer_of(target), opened.read()))
    for path, content in parts:
        file = WholeFile(path)
        file.write(content)
        file.seal()
        file.publish()
    os.replace(made, target)


def _texts(files: Sequence[str], reading: InputFlags, key: str, meter: Meter, seen: collections.Counter[str]) -> Iterator[str]:
    for file in files:
        reader = READERS.load(reading.input_format or format_of(file, READERS))
        with Source(file) as source:
            before = 0
            for record in records(source, reader, (key,), reading.text_sample_by):
                try:
                    found: Document = document(record, reader, key)
                except Reject:
                    seen["rejected"] += 1
                    continue
                seen["documents"] += 1
                seen["bytes"] += (size := found.size())
                yield found.text
                meter.advance(source.position - before, size, 1)
                before = source.position
