"""How fast texts are signed, beside the peers on the same texts, and in how much memory many documents are deduplicated.

Rates are MB of UTF-8 in a second of CPU time, the best of three rounds. `--peers` names a folder that pip filled with
`--target`; each peer that is there runs in a process of its own.

The many documents are made up: 24 words that no other document has. Of each ten, the last is the first again but for its last
word (similarity 19/21); of each hundred, one is a line that is the same everywhere. They are signed in shards; then each band,
or slice of a band, is read, sorted and united. Only signatures, candidates and clusters are measured, and no check.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from megatron_ext.corpus.matching import lsh
from megatron_ext.corpus.matching.signatures import MinHash, Signatures, bands_and_rows, meet
from megatron_ext.corpus.matching.union_find import flatten, singles, unite

PERMUTATIONS, THRESHOLD = 128, 0.7
BANDS, ROWS = bands_and_rows(THRESHOLD, PERMUTATIONS)
_SHARD, _AT_ONCE = 200_000, 10_000


def run(flags) -> Iterator[tuple[str, str]]:
    """`(what, how much)`, line by line."""
    if flags.input is not None:
        yield from _speed(_texts(flags.input, flags.megabytes), flags.peers)
    if flags.documents:
        yield from _in_a_fresh_process(_many, flags.folder, flags.documents, flags.memory * 10**6)


def _texts(path: str, megabytes: float) -> list[str]:
    found, size = [], 0
    with open(path, "rb") as file:
        for line in file:
            found.append(json.loads(line)["text"])
            size += len(found[-1].encode())
            if size > megabytes * 1e6:
                break
    return found


def _speed(texts: Sequence[str], folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    size = sum(len(text.encode()) for text in texts)
    yield "texts", f"{len(texts):,}, {size / 1e6:.1f} MB"
    ours = None
    for name in ("ours", *PEERS):
        seconds = _in_a_fresh_process(_seconds, name, texts, folders)
        if isinstance(seconds, str):
            yield name, seconds
            continue
        ours = ours or seconds
        yield name, f"{size / seconds / 1e6:,.1f} MB/s" + (f", ours {seconds / ours:,.1f} ×" if name != "ours" else "")


def _in_a_fresh_process(work: Callable, *given):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def _seconds(name: str, texts: Sequence[str], folders: Sequence[str], rounds: int = 3) -> float | str:
    sys.path += [os.path.abspath(folder) for folder in folders]
    try:
        sign = _ours() if name == "ours" else PEERS[name]()
    except ImportError as error:
        return f"is not there ({error})"
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        sign(texts)
        taken.append(time.process_time() - start)
    return min(taken)


def _ours():
    sign = MinHash(PERMUTATIONS)
    sign.sign(["warm é", "三国"])
    return sign.sign


def _ngrams(text: str, n: int = 5) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[at : at + n]) for at in range(max(1, len(words) - n + 1))]


def _gaoya():
    from gaoya.minhash import MinHashStringIndex

    settings = dict(hash_size=32, num_hashes=PERMUTATIONS, num_bands=BANDS, band_size=ROWS, jaccard_threshold=THRESHOLD)

    def sign(texts):
        index = MinHashStringIndex(**settings, analyzer="word", lowercase=True, ngram_range=(5, 5))
        for number, text in enumerate(texts):
            index.insert_document(number, text)

    return sign


def _rensa():
    from rensa import RMinHash

    def sign(texts):
        for text in texts:
            signature = RMinHash(num_perm=PERMUTATIONS, seed=1)
            signature.update(_ngrams(text))
            signature.digest()

    return sign


def _datasketch():
    from datasketch import MinHash as Theirs

    def sign(texts):
        for text in texts:
            Theirs(PERMUTATIONS).update_batch([ngram.encode() for ngram in _ngrams(text)])

    return sign


def _datatrove():
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.utils.hashing import HashConfig

    sha1 = HashConfig(hash_fc="sha1")  # its xxhash takes str, which xxhash 4 refuses
    config = MinhashConfig(n_grams=5, num_buckets=16, hashes_per_bucket=PERMUTATIONS // 16, hash_config=sha1)
    signer = MinhashDedupSignature(tempfile.gettempdir(), config=config)
    signer.get_shingles("it needs its tokenizer for English here")

    def sign(texts):
        for text in texts:
            signer.get_signature(signer.get_shingles(text))

    return sign


PEERS = {"gaoya": _gaoya, "rensa": _rensa, "datasketch": _datasketch, "datatrove": _datatrove}


def made_up(number: int) -> str:
    """The text of a document of the many."""
    if number % 100 == 50:
        return "This page needs a browser that runs scripts: please turn them on and load the page again."
    tens, last = divmod(number, 10)
    base = tens * 10 if last == 9 else number
    words = [f"{base:x}{letter}" for letter in "abcdefghijklmnopqrstuvwx"]
    return " ".join(words[:-1]) + f" {number:x}z"


def expected(documents: int) -> float:
    """How many of the made-up documents are copies that are found, on average."""
    lines = len(range(50, documents, 100))
    pairs = len(range(9, documents, 10)) - len(range(50, documents - 9, 100))  # of the others, the first is the line
    return max(lines - 1, 0) + pairs * float(meet(19 / 21, BANDS, ROWS))


def _many(parent: str, documents: int, memory: int) -> list[tuple[str, str]]:
    os.makedirs(parent, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="near_duplicates_", dir=parent))
    try:
        return list(_steps(folder, documents, memory))
    finally:
        shutil.rmtree(folder)


def _steps(folder: pathlib.Path, documents: int, memory: int) -> Iterator[tuple[str, str]]:
    sign, paths, signing, size = MinHash(PERMUTATIONS), [], 0.0, 0
    for begin in range(0, documents, _SHARD):
        end, parts = min(begin + _SHARD, documents), []
        for at in range(begin, end, _AT_ONCE):
            texts = [made_up(number) for number in range(at, min(at + _AT_ONCE, end))]
            size += sum(map(len, texts))
            start = time.process_time()
            parts.append(sign.sign(texts))
            signing += time.process_time() - start
        start = time.process_time()
        paths.append(str(folder / f"{begin}.npy"))
        lsh.write_keys(paths[-1], Signatures(*map(np.concatenate, zip(*parts))), np.arange(begin, end), BANDS, ROWS)
        signing += time.process_time() - start
    yield "documents", f"{documents:,}, {size / 1e6:,.0f} MB; {BANDS} bands of {ROWS} rows"
    yield "signatures and keys", f"{signing:.1f} s, {documents / signing:,.0f} documents/s, {_size(paths):.2f} GB on disk"
    start, pieces, parents = time.process_time(), lsh.slices_for(documents, memory), singles(documents)
    for band in range(BANDS):
        for piece in range(pieces):
            unite(parents, lsh.groups(paths, band, piece, pieces).edges())
    flatten(parents)
    yield "candidates and clusters", f"{time.process_time() - start:.1f} s, each band in {pieces} slices"
    copies = int((parents != singles(documents)).sum())
    yield "copies", f"{copies:,}, of {expected(documents):,.0f} that theory expects"
    yield "peak memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f} GB"


def _size(paths: Sequence[str]) -> float:
    return sum(map(os.path.getsize, paths)) / 1e9
