"""What a run's training data is, in a few numbers: kept in a checkpoint, compared when the run goes on.

    {"kind": "packed" or "blend" or "mock", "format": 2, "seq_length": …, "seed": …,
     "sets": [{"name": …, "documents": …, "tokens": …, "dtype": …, "xxh3": …, "first": …, "last": …, "weight": "7/10"}, …]}

`first` to `last` − 1 are the documents of the split that the run trains on, `name` is for people and not compared: data that
was moved is the same data. `xxh3` is over the lengths of all documents and over 256 blocks of `.bin`, the first and the last
among them: 100 million documents take a second.
"""

from __future__ import annotations

import os

import numpy as np
import xxhash

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.index import AGAIN, Index
from megatron_ext.data.indexed_writer import HEADER

FORMAT = 2  # of the rule that orders samples: one more whenever a sample of the same data, seed and number would change
_BLOCKS, _BLOCK = 256, 2**14
_READ = 2**23  # bytes at a time, a multiple of a length's four


def content(index: Index) -> dict:
    """The part of a fingerprint that a pair gives. UserError: its lengths do not add up to its tokens."""
    index.check()
    hashed, tokens = xxhash.xxh3_128(), 0
    with open(index.prefix + ".idx", "rb", buffering=0) as file:
        hashed.update(_at(file, 0, HEADER))
        end = HEADER + 4 * index.documents
        for begin in range(HEADER, end, _READ):
            part = _at(file, begin, min(_READ, end - begin))
            tokens += int(np.frombuffer(part, np.int32).sum(dtype=np.int64))
            hashed.update(part)
    if tokens != index.tokens:
        raise UserError(
            f"{index.where}: the lengths in {index.prefix}.idx add up to {tokens} tokens, and .bin has {index.tokens}; "
            f"the index is damaged: {AGAIN}"
        )
    with open(index.prefix + ".bin", "rb", buffering=0) as file:
        for begin in _block_starts(index.size):
            hashed.update(_at(file, begin, min(_BLOCK, index.size - begin)))
    return {
        "name": os.path.basename(index.prefix),
        "documents": index.documents,
        "tokens": tokens,
        "dtype": index.dtype.name,
        "xxh3": hashed.hexdigest(),
    }


def _block_starts(size: int) -> list[int]:
    """Where the blocks of `.bin` begin: all of it if it is short, else evenly spread."""
    if size <= _BLOCKS * _BLOCK:
        return list(range(0, size, _BLOCK))
    return [(size - _BLOCK) * block // (_BLOCKS - 1) for block in range(_BLOCKS)]


def _at(file, begin: int, count: int) -> bytes:
    """Read without mapping: what is mapped and hashed would count as this process's memory."""
    data = os.pread(file.fileno(), count, begin)
    if len(data) != count:
        raise UserError(f"{file.name}: cannot be read at byte {begin}: it was cut off meanwhile")
    return data


def differences(saved: dict, found: dict) -> list[str]:
    """What of the data has changed, each in words; nothing for data that was only moved or renamed."""
    changes = [
        f"{words} was {saved.get(key)}, is {found.get(key)}" for key, words in _WORDS.items() if saved.get(key) != found.get(key)
    ]
    before, now = saved["sets"], found["sets"]
    if len(before) != len(now):
        names = [", ".join(each["name"] for each in sets) or "none" for sets in (before, now)]
        return [*changes, f"the data sets were {len(before)} ({names[0]}), are {len(now)} ({names[1]})"]
    for number, (old, new) in enumerate(zip(before, now, strict=True), 1):
        which = f"data set {number} ({new['name']})" if len(now) > 1 else f"the data ({new['name']})"
        changes += [f"{which}: {change}" for change in _changes_of_a_set(old, new)]
    return changes


_WORDS = {
    "format": "the rule that orders samples",
    "kind": "the kind of data",
    "vocab_size": "the vocabulary of --mock-data",
    "seq_length": "--seq-length",
    "seed": "--seed",
}


def _changes_of_a_set(old: dict, new: dict) -> list[str]:
    changes = [
        f"{words} were {old[key]}, are {new[key]}"
        for key, words in (("documents", "documents"), ("tokens", "tokens"), ("dtype", "token types"))
        if old[key] != new[key]
    ]
    if old["xxh3"] != new["xxh3"] and not changes:
        changes.append("other content of the same size")
    if (old["first"], old["last"]) != (new["first"], new["last"]):
        changes.append(
            f"trained on documents {old['first']} to {old['last'] - 1}, now on {new['first']} to {new['last'] - 1} (--split)"
        )
    if old["weight"] != new["weight"]:
        changes.append(f"its weight was {old['weight']}, is {new['weight']}")
    return changes


def refuse_changed(where: str, saved: dict, found: dict, accept: bool) -> None:
    """UserError naming what has changed of the data since `saved`, unless it is accepted (`--accept-changed-data`)."""
    changes = differences(saved, found)
    if changes and not accept:
        raise UserError(
            f"{where}: the run was trained on other data: {'; '.join(changes)}; give the same data, "
            "or --accept-changed-data to go on with this"
        )
