"""A checkpoint's manifest: what it is, and the size and checksum (xxh3, 128 bits) of every file. It is written last.

A manifest carries a checksum of itself, so that a flipped bit anywhere in a checkpoint is found, and the file named.
"""

from __future__ import annotations

import json
import os
import pathlib

import xxhash

from megatron_ext.arguments.problems import UserError

MANIFEST = "manifest.json"
WEIGHTS_ONLY = "weights_only"  # a key: there is no optimizer's state, and a run that goes on starts anew
_BLOCK = 2**24
_SMALL = 2**16  # bytes of a file that is read whenever its size is looked at


def checksum(path: pathlib.Path) -> str:
    """xxh3-128 of a file's bytes."""
    state = xxhash.xxh3_128()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.hexdigest()


def entry(path: pathlib.Path) -> dict:
    """A file's line in a manifest."""
    return {"size": path.stat().st_size, "xxh3": checksum(path)}


def write(folder: pathlib.Path, content: dict) -> None:
    """Write the manifest and flush it to disk."""
    text = json.dumps(content, sort_keys=True)
    with open(folder / MANIFEST, "w", encoding="utf-8") as file:
        json.dump({"xxh3": xxhash.xxh3_128_hexdigest(text.encode()), "content": content}, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())


def read(folder: pathlib.Path) -> dict:
    """The content of a checkpoint's manifest. UserError where it is not there or not whole, OSError where it cannot be read."""
    path = folder / MANIFEST
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        content, expected = record["content"], record["xxh3"]
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as a checkpoint's manifest ({error})") from None
    if xxhash.xxh3_128_hexdigest(json.dumps(content, sort_keys=True).encode()) != expected:
        raise UserError(f"{path}: its checksum is not that of its content: it was damaged or edited")
    return content


def problem_of(folder: pathlib.Path, content: dict, share: int = 0, shares: int = 1, checksums: bool = True) -> str | None:
    """What is wrong with the first file that is not as its manifest says, or None.

    Sizes are compared for all files, and checksums of small ones; `checksums` of the others for every `shares`-th from number
    `share` on: processes share the reading.
    """
    for number, (name, expected) in enumerate(sorted(content["files"].items())):
        path = folder / name
        if not path.is_file():
            return f"{path}: is not there"
        size = path.stat().st_size
        if size != expected["size"]:
            return f"{path}: has {size} bytes, expected {expected['size']}"
        mine = size <= _SMALL or (checksums and number % shares == share)
        if mine and checksum(path) != expected["xxh3"]:
            return f"{path}: its checksum is not the one it was written with: it was damaged"
    return None
