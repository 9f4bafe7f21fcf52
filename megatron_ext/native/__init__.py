"""Hot loops in C++ (of corpora, of tokenizers), a file a concept; each has a Python twin, which is slower and never different.

`compiled` is the module, or None where it was not built. Where a twin serves for it, a warning says so once.
"""

from __future__ import annotations

import functools
import multiprocessing
import warnings

try:
    from megatron_ext.native import compiled
except ImportError as error:
    compiled, _WHY_NOT = None, str(error)


@functools.cache
def say_that_the_twins_serve() -> None:
    if multiprocessing.parent_process() is None:  # once, and not once a worker
        warnings.warn(
            f"megatron_ext.native.compiled cannot be imported ({_WHY_NOT}); its Python twins serve, with the same "
            "answers but tens of times slower. Install a C++17 compiler and run `pip install -e .` again to have it.",
            RuntimeWarning,
            stacklevel=3,
        )
