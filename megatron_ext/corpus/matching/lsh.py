r"""Candidates: documents that share a band of their signatures, in bounded memory (Indyk & Motwani 1998).

A signature is cut into b bands of r values, each hashed to a 64-bit key. Two documents of similarity J share a key of some band
with probability 1 - (1 - J^r)^b; different bands by chance with probability 2^-64.

Many jobs sign: `write_keys` writes one file for each, in which every band is a run sorted by key. A band is then a job of its
own, or a slice of a band, where a band is more than fits into memory: the keys are hashes, so slice s of S is those with
s = key · S / 2^64, a piece of each run in one place, found by bisection. `groups` reads these pieces and gives who belongs
together; nothing else is held than 32 bytes a document of the slice. A group of m documents costs m, not m².

The sort is a radix sort in C++, with numpy's stable sort as its twin. Reason for own code: four times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.matching.shingles import BASE, IMPLEMENTATIONS, mix
from megatron_ext.corpus.matching.signatures import Signatures
from megatron_ext.corpus.native import compiled
from megatron_ext.corpus.whole_file import WholeFile

BYTES_PER_DOCUMENT = 32
"""What `groups` holds of a slice: key and document, and room to sort them."""


class Groups(NamedTuple):
    """Documents that share a key: group g is `documents[bounds[g] : bounds[g + 1]]`, in ascending order, at least two."""

    documents: np.ndarray
    """int64 [documents in groups]."""
    bounds: np.ndarray
    """int64 [groups + 1]."""

    def edges(self) -> np.ndarray:
        """(first of its group, this) for every document but the first, int64 [number, 2]."""
        sizes = np.diff(self.bounds)
        firsts = np.repeat(self.documents[self.bounds[:-1]], sizes)
        edges = np.stack([firsts, self.documents], 1)
        return np.delete(edges, self.bounds[:-1], 0)


def band_keys(signatures: Signatures, bands: int, rows: int, implementation: str = "auto") -> np.ndarray:
    """Keys, uint64 [bands, documents]."""
    values = signatures.values
    if bands < 1 or rows < 1 or bands * rows > values.shape[1]:
        raise ValueError(f"lsh: {bands} bands of {rows} rows do not fit into {values.shape[1]} permutations")
    if _is_native(implementation):
        return compiled.band_keys(values, bands, rows)
    keys = np.empty((bands, len(values)), np.uint64)
    for band in range(bands):
        h = np.full(len(values), band + 1, np.uint64)
        for row in range(rows):
            h = mix(h ^ values[:, band * rows + row].astype(np.uint64)) * BASE
        keys[band] = mix(h)
    return keys


def sort_pairs(keys: np.ndarray, documents: np.ndarray, implementation: str = "auto") -> None:
    """Sort keys, uint64 [n], and with them documents, int64 [n], in place; documents of one key stay in their order."""
    if _is_native(implementation):
        compiled.sort_pairs(keys, documents)
    else:
        order = np.argsort(keys, kind="stable")
        keys[:], documents[:] = keys[order], documents[order]


def write_keys(
    path: str, signatures: Signatures, documents: np.ndarray, bands: int, rows: int, implementation: str = "auto"
) -> None:
    """One job's keys as a NumPy file, uint64 [bands, 2, documents]: keys in order, and whose they are.

    Documents are int64 in ascending order. Those without shingles are left out: they have nothing to share.
    """
    documents = np.asarray(documents, np.int64)
    if len(documents) != len(signatures.values) or (np.diff(documents) <= 0).any() or (documents[:1] < 0).any():
        raise ValueError("lsh: documents are numbers from 0 up in ascending order, one for each signature")
    kept = signatures.shingles > 0
    keys, documents = band_keys(signatures, bands, rows, implementation)[:, kept], documents[kept]
    file = WholeFile(path)
    try:
        np.lib.format.write_array_header_1_0(file, dict(descr="<u8", fortran_order=False, shape=(bands, 2, len(documents))))
        for band in keys:
            band, whose = np.ascontiguousarray(band), documents.copy()
            sort_pairs(band, whose, implementation)
            file.write(band.data)
            file.write(whose.data)
        file.seal()
        file.publish()
    finally:
        file.discard()


def read_keys(path: str) -> np.ndarray:
    """What `write_keys` wrote, mapped and not read. UserError: it is damaged, or something else."""
    try:
        keys = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as band keys ({error}); remove it and sign its shard again") from None
    if not isinstance(keys, np.ndarray) or keys.dtype != np.uint64 or keys.ndim != 3 or keys.shape[1] != 2:
        raise UserError(f"{path}: holds other things than band keys; remove it and sign its shard again")
    return keys


def slices_for(documents: int, memory: int) -> int:
    """Into how many slices each band must be cut so that one of them stays within `memory` bytes, a tenth to spare."""
    return max(1, -(-documents * BYTES_PER_DOCUMENT * 11 // (10 * memory)))


def groups(paths: Sequence[str], band: int, piece: int = 0, pieces: int = 1, implementation: str = "auto") -> Groups:
    """Who shares a key of this band, of slice `piece` of `pieces`."""
    if not 0 <= piece < pieces:
        raise ValueError(f"lsh: slice {piece} of {pieces}; slices count from 0")
    low, high = (-(-at * 2**64 // pieces) for at in (piece, piece + 1))
    runs = [_piece(path, band, low, high) for path in paths]
    keys = np.concatenate([run[0] for run in runs] or [np.empty(0, np.uint64)])
    documents = np.concatenate([run[1] for run in runs] or [np.empty(0, np.int64)])
    del runs
    sort_pairs(keys, documents, implementation)
    return group(keys, documents)


def _piece(path: str, band: int, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    keys = read_keys(path)
    if not 0 <= band < len(keys):
        raise UserError(f"{path}: has {len(keys)} bands, and band {band} is asked for; sign all shards with the same flags")
    run, whose = keys[band]
    begin = np.searchsorted(run, np.uint64(low))
    end = len(run) if high == 2**64 else np.searchsorted(run, np.uint64(high))
    return run[begin:end], whose[begin:end].view(np.int64)


def group(keys: np.ndarray, documents: np.ndarray) -> Groups:
    """Groups of sorted keys and their documents."""
    same = np.zeros(len(keys) + 1, bool)
    same[1:-1] = keys[1:] == keys[:-1]  # at i: i - 1 and i share a key
    shared = same[1:] | same[:-1]
    members, begins = documents[shared], ~same[:-1][shared]
    bounds = np.append(np.flatnonzero(begins), len(members))
    falls = np.flatnonzero(members[1:] < members[:-1]) + 1
    if not begins[falls].all():  # runs came in another order than their documents
        members = members[np.lexsort((members, np.cumsum(begins)))]
    return Groups(members, bounds)


def _is_native(implementation: str) -> bool:
    if implementation not in ("auto", *IMPLEMENTATIONS):
        raise ValueError(f"lsh: implementation is {implementation!r}, and here are {', '.join(IMPLEMENTATIONS)}")
    return compiled is not None and implementation != "python"
