"""Packages of the extra `data`: imported when something needs them; where one is missing, a sentence says how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType

from megatron_ext.arguments.problems import UserError


def package(module: str, for_what: str) -> ModuleType:
    """The imported module; UserError where it is not installed. `for_what` begins the sentence: "WARC files"."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        reason = " ".join(str(error).split())
        raise UserError(f"{for_what} need the package {name} ({reason}); pip install 'megatron-ext[data]'") from None
