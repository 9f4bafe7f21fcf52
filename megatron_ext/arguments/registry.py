"""A registry is a folder: its values are the stems of the folder's files, imported only when one is chosen.

Adding `models/norms/rmsnorm.py` adds `--normalization rmsnorm`; nothing else has to be told. Values are compared folded
(case, `-` and `_` do not count), so `RMSNorm` and `rms_norm` name the same file.

Where values come in families, a file offers several: `models/presets/llama.py` adds `--preset llama-7b` and its sisters.
"""

from __future__ import annotations

import importlib
import pathlib
from types import ModuleType
from typing import Any

PACKAGE_ROOT = pathlib.Path(__file__).resolve().parents[1]


def fold(value: str) -> str:
    """The form in which values are compared: lower case, without `-` and `_`."""
    return value.lower().replace("-", "").replace("_", "")


class Registry:
    """The concepts of one package, by file stem."""

    def __init__(self, package: str):
        self.package = package
        self._folder = PACKAGE_ROOT.joinpath(*package.split(".")[1:])

    def names(self) -> tuple[str, ...]:
        """The values on offer, sorted; read from the folder, without importing anything."""
        return tuple(sorted(path.stem for path in self._folder.glob("*.py") if not path.stem.startswith("_")))

    def canonical(self, value: str) -> str | None:
        """The file stem that `value` names, or None."""
        return {fold(name): name for name in self.names()}.get(fold(value))

    def load(self, value: str) -> ModuleType:
        """Import and return the module behind `value`; KeyError if there is none."""
        return importlib.import_module(f"{self.package}.{self._known(value)}")

    def _known(self, value: str) -> str:
        name = self.canonical(value)
        if name is None:
            raise KeyError(f"{value!r} is not one of {', '.join(self.names())} (files of {self.package})")
        return name

    def __iter__(self):
        return iter(self.names())


class Families(Registry):
    """A folder of families: each file has a dictionary of values by name, and the names begin with the file's stem.

    To know the names the files are imported: they hold plain data, and import nothing heavy.
    """

    def __init__(self, package: str, dictionary: str):
        super().__init__(package)
        self._dictionary = dictionary

    def families(self) -> tuple[ModuleType, ...]:
        """The files, imported, by stem."""
        return tuple(importlib.import_module(f"{self.package}.{stem}") for stem in super().names())

    def names(self) -> tuple[str, ...]:
        """The values on offer: the families sorted, each in its file's order."""
        return tuple(name for family in self.families() for name in getattr(family, self._dictionary))

    def load(self, value: str) -> ModuleType:
        """The family's module; KeyError if there is none."""
        name = self._known(value)
        return next(family for family in self.families() if name in getattr(family, self._dictionary))

    def entry(self, value: str) -> dict[str, Any]:
        """What the family's dictionary has under `value`; KeyError if there is none."""
        return getattr(self.load(value), self._dictionary)[self._known(value)]
