"""The tensors of a Hugging Face folder: model.safetensors, or shards with an index beside them.

A file's header says where each of its tensors lies, so that a file which is cut short is found before anything is read. Tensors
are views of the mapped file: only what is taken of them is read, and nothing stays in memory. pytorch_model.bin is a pickle,
which may run anything; it is refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import struct
from collections.abc import Iterable, Mapping, Sequence

import torch
from safetensors import SafetensorError, safe_open

from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint.conversion.settings import CONFIG

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_AS_SAFETENSORS = "from_pretrained(DIR).save_pretrained(NEW, safe_serialization=True) of transformers writes safetensors"


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a tensor is, by its file's header."""

    file: pathlib.Path
    kind: str  # F32, BF16 …
    shape: tuple[int, ...]


class SafetensorsFile:
    """A file of tensors, written one by one: safetensors' own `save_file` has two copies of all of them in memory.

    Args:
        tensors: shape and type of all of them by name, in the order in which they will come: the widest type first, so that
            each begins at a multiple of its own.
    """

    def __init__(self, path: pathlib.Path, tensors: Mapping[str, tuple[Sequence[int], torch.dtype]]):
        self._left = {name: (tuple(shape), dtype) for name, (shape, dtype) in tensors.items()}
        kinds, at, header = {dtype: kind for kind, dtype in DTYPES.items()}, 0, {"__metadata__": {"format": "pt"}}
        for name, (shape, dtype) in self._left.items():
            end = at + math.prod(shape) * dtype.itemsize
            header[name] = {"dtype": kinds[dtype], "shape": list(shape), "data_offsets": [at, end]}
            at = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # data begins at a multiple of 8
        self._file = open(path, "wb")
        self._file.write(struct.pack("<Q", len(text)) + text)

    def add(self, name: str, tensor: torch.Tensor) -> None:
        expected = next(iter(self._left))
        assert name == expected and (tuple(tensor.shape), tensor.dtype) == self._left.pop(name), name
        self._file.write(memoryview(tensor.contiguous().view(-1).view(torch.uint8).numpy()))

    def close(self) -> None:
        """Flush it to disk."""
        assert not self._left, self._left
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())


def is_huggingface(folder: pathlib.Path) -> bool:
    """Whether a folder looks like one of Hugging Face's."""
    return (folder / CONFIG).is_file() and not (folder / "run.yaml").exists()


def problem_of_folder(folder: pathlib.Path) -> str | None:
    """What is wrong with its files, or None."""
    try:
        Folder(folder)
    except UserError as error:
        return str(error)
    return None


class Folder:
    """The tensors of a folder by name. UserError names the file that is not there, cut short or of another form."""

    def __init__(self, path: pathlib.Path, files: Iterable[str] | None = None):
        """`files`: those that are looked at, where there is no index yet."""
        self.path = path
        self.entries: dict[str, Entry] = {}
        for file, names in (self._files() if files is None else {path / name: [] for name in files}).items():
            found = _header(file)
            for name in names or found:
                if name not in found:
                    raise UserError(f"{file}: has no tensor {name}, which {INDEX} says it has")
                self.entries[name] = found[name]

    def _files(self) -> dict[pathlib.Path, list[str]]:
        """Each file with the tensors that the index names, or none where there is no index."""
        if (self.path / SINGLE).exists():  # as transformers has it, whose save leaves an older index beside one file
            return {self.path / SINGLE: []}
        if (self.path / INDEX).exists():
            try:
                places = json.loads((self.path / INDEX).read_text(encoding="utf-8"))["weight_map"]
                files: dict[pathlib.Path, list[str]] = {}
                for name, file in places.items():
                    files.setdefault(self.path / pathlib.PurePath(file).name, []).append(name)
                return files
            except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
                raise UserError(f"{self.path / INDEX}: cannot be read as an index of tensors ({error!r})") from None
        pickles = sorted(file.name for pattern in ("pytorch_model*.bin", "*.pt", "*.pth") for file in self.path.glob(pattern))
        if pickles:
            raise UserError(f"{self.path / pickles[0]}: is a pickle, which can run any code, and is not read; {_AS_SAFETENSORS}")
        raise UserError(f"{self.path}: has neither {SINGLE} nor {INDEX}")

    def dtype(self, names: Iterable[str] | None = None) -> torch.dtype:
        """Of most numbers, in all tensors or in those of these names."""
        counts: dict[str, int] = {}
        entries = [self.entries[name] for name in (self.entries if names is None else names)]
        for entry in [entry for entry in entries if entry.kind in DTYPES]:
            counts[entry.kind] = counts.get(entry.kind, 0) + torch.Size(entry.shape).numel()
        return DTYPES[max(counts, key=counts.get, default="F32")]

    def tensor(self, name: str) -> torch.Tensor:
        """A view of the file."""
        file = self.entries[name].file
        try:
            with safe_open(file, framework="pt") as opened:
                return opened.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{file}: its tensor {name} cannot be read ({error})") from None


def _header(file: pathlib.Path) -> dict[str, Entry]:
    """The tensors in a file; all of their bytes are there."""
    try:
        size = file.stat().st_size
        with open(file, "rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(length, size)))
            header.pop("__metadata__", None)
            ends = {name: 8 + length + entry["data_offsets"][1] for name, entry in header.items()}
            entries = {name: Entry(file, entry["dtype"], tuple(entry["shape"])) for name, entry in header.items()}
    except FileNotFoundError:
        raise UserError(f"{file}: is not there") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise UserError(f"{file}: does not begin like a safetensors file ({type(error).__name__})") from None
    for name, end in sorted(ends.items(), key=lambda pair: pair[1]):
        if end > size:
            raise UserError(f"{file}: is cut short within its tensor {name}: {size} bytes, expected {max(ends.values())}")
    return entries
