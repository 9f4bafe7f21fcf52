#!/usr/bin/env python3
"""Measure this machine, one part of the way at a time.

python tools/benchmark.py data                          # the loader: 100 million documents, cold and cached
python tools/benchmark.py data --documents 1000000
python tools/benchmark.py corpus                        # rules, languages, personal data, the engine; beside their peers
python tools/benchmark.py tokenize --input texts.jsonl  # JSON lines to .bin/.idx; beside Megatron-LM's way and datatrove's
python tools/benchmark.py generation --preset tiny      # tokens a second, with the cache and without
python tools/benchmark.py near_duplicates --peers FOLDER   # signatures, the whole of it, memory of a million documents
python tools/benchmark.py pair_merging                     # merges by count, beside tokenizers, and by ratio
"""

from __future__ import annotations

import importlib
import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import did_you_mean, exit_status
from megatron_ext.benchmarks.flags import GROUPS

PROGRAM = "benchmark.py"


def main(argv: Sequence[str]) -> int:
    if not argv or argv[0] not in GROUPS:
        asked, names = " ".join(argv[:1]) or "nothing", ", ".join(GROUPS)
        hint = did_you_mean(asked, GROUPS) or f"benchmarks are: {names}"
        print(f"{PROGRAM}: {asked} cannot be measured; {hint}", file=sys.stderr)
        return 2
    return exit_status(lambda: _measure(argv[0], argv[1:]), PROGRAM)


def _measure(name: str, argv: Sequence[str]) -> None:
    flags = read([GROUPS[name]], argv, f"{PROGRAM} {name}", f"Measures: {name}.").benchmark
    for what, how_much in importlib.import_module(f"megatron_ext.benchmarks.{name}").run(flags):
        print(f"{what:>38}  {how_much}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
