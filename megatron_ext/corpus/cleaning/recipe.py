"""`--recipe`: a YAML file that holds the flags of a run; what the command line says besides goes before it.

    python tools/clean_corpus.py --recipe web_english --input 'raw/*.warc.gz' --output clean

It is read as `--config` is. A name without an ending is one of `examples/recipes/`.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from megatron_ext.arguments.problems import ConfigurationError, Problem, did_you_mean

RECIPES = pathlib.Path(__file__).resolve().parents[3] / "examples" / "recipes"
ABOUT = "--recipe gives flags in a YAML file, or by the name of one in examples/recipes (web_english …)."


def as_config(argv: Sequence[str]) -> list[str]:
    """The command line with `--recipe NAME` as `--config FILE`. ConfigurationError: there is no such recipe."""
    found, words = [], iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        if option == "--recipe":
            value = value if equals else next(words, "")
            found += ["--config", _file_of(value)]
        else:
            found.append(word)
    return found


def _file_of(recipe: str) -> str:
    ours = {path.stem: str(path) for path in sorted(RECIPES.glob("*.yaml"))}
    if os.path.isfile(recipe):
        return recipe
    if recipe not in ours:
        hint = did_you_mean(recipe, ours) or f"ours are {', '.join(ours)}"
        raise ConfigurationError([Problem("--recipe", recipe or None, "is no file and none of examples/recipes", hint)])
    return ours[recipe]
