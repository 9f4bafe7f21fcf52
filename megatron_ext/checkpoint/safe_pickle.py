"""Reads pickles that somebody else wrote without running anything from them.

torch's distributed checkpoints keep their index in a pickle, and Megatron-LM its arguments. A pickle names classes and
functions to be called; here only those on a short list, which do nothing but hold data, are. In place of any other stands
an inert object that remembers its name and what it was given.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

from megatron_ext.arguments.problems import UserError

_DATA_CLASSES = {
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta", "TensorProperties",
        "TensorStorageMetadata", "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.serialization": {"_get_layout"},
    "collections": {"OrderedDict"},
    "argparse": {"Namespace"},
    "builtins": {"set", "frozenset", "slice", "complex", "bytearray"},
}  # fmt: skip


class Inert:
    """Stands for an object whose class is not on the list. Attributes: name: of the class; given: what it was made from."""

    name = "?"

    def __init__(self, *given: Any, **named: Any):
        self.given: tuple = (*given, *named.values())

    def __setstate__(self, state: Any) -> None:
        self.given = (state,)

    def __setitem__(self, key: Any, value: Any) -> None:
        """A dictionary's items: forgotten."""

    def append(self, value: Any) -> None:
        """A list's items: forgotten."""

    def extend(self, values: Any) -> None:
        """A list's items: forgotten."""

    def __repr__(self) -> str:
        return f"<{self.name}>"


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _DATA_CLASSES.get(module, ()) or (module == "torch" and _is_plain_torch(name)):
            return super().find_class(module, name)
        return type("Inert", (Inert,), {"name": f"{module}.{name}"})

    def persistent_load(self, identifier: Any) -> Any:
        return Inert(identifier)  # a tensor's storage: not read here


def _is_plain_torch(name: str) -> bool:
    """Whether torch.NAME is `Size`, a dtype or a layout."""
    import torch

    return name == "Size" or isinstance(getattr(torch, name, None), torch.dtype | torch.layout)


def load(file: IO[bytes], where: str) -> Any:
    """The object in a pickle; UserError for what is none."""
    try:
        return _Unpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise UserError(f"{where}: is damaged or no pickle ({type(error).__name__}: {error})") from None


def load_torch_file(path: Path) -> Any:
    """The object that torch.save wrote, with inert objects in place of tensors. Does not import torch for plain content."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            with archive.open(name) as file:
                return load(file, str(path))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read as a file of torch.save ({error})") from None
