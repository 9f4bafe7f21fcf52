"""A registry is a folder: its values are the stems of the folder's files, imported only when one is chosen.

Adding `models/norms/rmsnorm.py` adds `--normalization rmsnorm`; nothing else has to be told. Values are compared folded
(case, `-` and `_` do not count), so `RMSNorm` and `rms_norm` name the same file.
"""

from __future__ import annotations

import importlib
import pathlib
from types import ModuleType

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
        name = self.canonical(value)
        if name is None:
            raise KeyError(f"{value!r} is not one of {', '.join(self.names())} (files of {self.package})")
        return importlib.import_module(f"{self.package}.{name}")

    def __iter__(self):
        return iter(self.names())
