r"""A sample of several sources' documents, by weights: `--weights`, `--sample-megabytes`, `--seed`.

Each `--input` is a source. Its share of a sample of $S$ bytes is $w_i S / \sum w$. Each of its documents is taken with the
probability $p$ of that share in the source's own size: where a hash of (seed, number of the source, number of the document) is
below $p 2^{64}$. So the sample depends on no machine and no number of cores, a larger one holds the smaller, and nothing but the
sizes, counted in a first pass, is kept in memory. Its size is the one asked for but for chance; no document is taken twice.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Sequence

import xxhash

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, texts
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import expand, size_on_disk
from megatron_ext.corpus.progress import Meter
from megatron_ext.data.flags import SampleFlags
from megatron_ext.data.preprocess.batching import read_batches

_INTERVAL = 100_000
MEGABYTE = 10**6


@dataclasses.dataclass
class Source:
    """One `--input`.

    Attributes:
        files: its files, in order.
        documents, size: all that can be used, and the bytes of their text; 0 before they were counted.
        rejected: records without a usable text.
        probability: of a document to be taken.
        taken, taken_size: documents and bytes of the sample, once it was gone through.
    """

    pattern: str
    files: list[str]
    documents: int = 0
    size: int = 0
    rejected: int = 0
    probability: float = 1.0
    taken: int = 0
    taken_size: int = 0


class Sample:
    """The texts of the sample, source after source; may be gone through more than once.

    Raises UserError where no document can be used or is drawn, or a source is smaller than its share.
    """

    def __init__(self, input_flags: InputFlags, flags: SampleFlags):
        self._input, self._flags = input_flags, flags
        self.sources = [Source(pattern, expand(pattern)) for pattern in input_flags.input]
        self._disk = sum(size_on_disk(source.files) for source in self.sources)
        if flags.weights or flags.sample_megabytes is not None:
            self._count()
            for source, probability in zip(self.sources, probabilities(self.sources, flags)):
                source.probability = probability

    def __iter__(self) -> Iterator[str]:
        return self.texts("reading")

    def texts(self, what: str) -> Iterator[str]:
        """The texts, while a bar or lines on stderr say that this is being done with them."""
        for source in self.sources:
            source.taken = source.taken_size = 0
        with Meter(what, self._disk, interval=_INTERVAL) as meter:
            for number, source in enumerate(self.sources):
                yield from self._taken(number, source, meter)
        if not any(source.taken for source in self.sources):
            found = sum(source.documents for source in self.sources)
            rejected = sum(source.rejected for source in self.sources)
            if found:
                raise UserError(f"--sample-megabytes {self._flags.sample_megabytes}: none of the {found:,} documents was drawn")
            raise UserError(f"no document could be used ({rejected} rejected, by --json-key {self._flags.json_key})")

    def _taken(self, number: int, source: Source, meter: Meter) -> Iterator[str]:
        limit = int(source.probability * 2.0**64)
        draw = lambda place: _draw(self._flags.seed, number, place) < limit
        for text, size in self._texts(source, meter, None if source.probability >= 1 else draw):
            source.taken += 1
            source.taken_size += size
            yield text

    def _count(self) -> None:
        with Meter("counting", self._disk, interval=_INTERVAL) as meter:
            for source in self.sources:
                for _, size in self._texts(source, meter):
                    source.documents += 1
                    source.size += size

    def _texts(self, source: Source, meter: Meter, draw=None) -> Iterator[tuple[str, int]]:
        """Texts with their bytes; of all records, or of those whose number is drawn."""
        key = self._flags.json_key
        number = source.rejected = 0
        for batch in read_batches(source.files, [key], self._input):
            reader, size, documents = READERS.load(batch.format), 0, 0
            for record in batch.records:
                number += 1
                if draw is not None and not draw(number):
                    continue
                try:
                    (text,) = texts(record, reader, [key])
                except Reject:
                    source.rejected += 1
                    continue
                here = len(text.encode())
                size, documents = size + here, documents + 1
                yield text, here
            meter.advance(batch.read_bytes, size, documents)


def _draw(seed: int, source: int, document: int) -> int:
    """A number below 2^64 that looks random."""
    return xxhash.xxh3_64_intdigest(struct.pack("<QQQ", seed, source, document))


def probabilities(sources: Sequence[Source], flags: SampleFlags) -> list[float]:
    """Of a document of each counted source to be taken. UserError: a source is smaller than its share."""
    empty = next((source for source in sources if not source.size), None)
    if flags.weights and empty is not None:
        rejected = f"{empty.rejected} rejected, by --json-key {flags.json_key}"
        raise UserError(f"--input {empty.pattern}: no document could be used ({rejected}), and it has a weight")
    sizes = [source.size for source in sources]
    if not flags.weights:
        return [min(1.0, flags.sample_megabytes * MEGABYTE / max(sum(sizes), 1))] * len(sizes)
    shares = [weight / sum(flags.weights) for weight in flags.weights]
    most = min(size / share for size, share in zip(sizes, shares))
    wanted = most if flags.sample_megabytes is None else flags.sample_megabytes * MEGABYTE
    if wanted > most:
        source, share = next((each, share) for each, share in zip(sources, shares) if each.size / share == most)
        has, asked = source.size / MEGABYTE, wanted * share / MEGABYTE
        raise UserError(
            f"--sample-megabytes {flags.sample_megabytes:g}: {source.pattern} has {has:,.3f} MB, and its share by --weights is "
            f"{asked:,.3f} MB; ask for at most {most / MEGABYTE:.3f} MB, or give it less weight"
        )
    return [min(1.0, wanted * share / size) for size, share in zip(sizes, shares)]
