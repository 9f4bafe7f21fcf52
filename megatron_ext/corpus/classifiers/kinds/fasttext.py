"""`--classifier fasttext`: a linear classifier of words and runs of words (arXiv:1607.01759), as DCLM's (arXiv:2406.11794).

    p(scored | text) = softmax(B · mean of the rows of A that belong to the text's words and n-grams)

One thread learns the same model, to the byte, from the same texts and seed; several do not, for they write into one matrix at
once. Words are those of n-gram models (`ngrams/units.py`): each sign, and each Chinese character, is one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.ngrams import units

_LABEL = "#label#"  # a sign is a word of its own, so no text can hold it
_SCORED, _OTHER = _LABEL + "1", _LABEL + "0"


@flag_group("fasttext", "A classifier by fastText (arXiv:1607.01759)")
class Flags:
    fasttext_dimension: int = flag(32, "width of a word's vector", least=1)
    fasttext_word_ngrams: int = flag(2, "words of the longest run that counts", least=1, most=10)
    fasttext_buckets: int = flag(200_000, "rows that runs of words share; the file has 4 bytes x width for each", least=1)
    fasttext_min_count: int = flag(2, "how often a word must occur to count", least=1)
    fasttext_epochs: int = flag(5, "times that all examples are seen", least=1)
    fasttext_learning_rate: float = flag(0.5, "at the start; it falls to 0", positive=True)
    fasttext_normalize: bool = flag(True, "lower case, and 0 for every digit")
    fasttext_threads: int = flag(1, "threads that learn; with more than one, each run gives a model of its own", least=1)


def features(c: Any) -> dict[str, Any]:
    names = ("dimension", "word_ngrams", "buckets", "min_count", "epochs", "learning_rate", "normalize", "threads")
    return {name: getattr(c, f"fasttext_{name}") for name in names}


def train(examples: Callable[[], Iterable[tuple[str, bool]]], path: str, c: Any) -> None:
    import fasttext

    spaced = _spaced(c.fasttext_normalize)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=os.path.dirname(path) or ".", suffix=".lines") as file:
        for text, scored in examples():
            file.write(f"{_SCORED if scored else _OTHER} {spaced(text)}\n")
        file.flush()
        try:
            model = fasttext.train_supervised(
                file.name, label=_LABEL, dim=c.fasttext_dimension, wordNgrams=c.fasttext_word_ngrams,
                bucket=c.fasttext_buckets if c.fasttext_word_ngrams > 1 else 0, minCount=c.fasttext_min_count,
                epoch=c.fasttext_epochs, lr=c.fasttext_learning_rate, thread=c.fasttext_threads, seed=c.seed, verbose=0,
            )  # fmt: skip
        except (RuntimeError, ValueError, MemoryError) as error:  # "Encountered NaN."
            raise UserError(f"fastText could not learn ({error}); try a lower --fasttext-learning-rate") from None
    model.save_model(path)


def load(path: str, features: dict[str, Any]) -> Callable[[str], float]:
    import fasttext

    try:
        model = fasttext.load_model(path)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise UserError(f"{path}: is no fastText model ({error})") from None
    if set(model.labels) != {_SCORED, _OTHER}:
        raise UserError(f"{path}: is no model of tools/train_classifier.py; its labels are {', '.join(model.labels[:5])}")
    spaced, predict = _spaced(features["normalize"]), model.f.predict  # its Python side is left out: see filters/language.py

    def score(text: str) -> float:
        found = predict(spaced(text) + "\n", 2, 0.0, "strict")
        return min(max((share for share, label in found if label == _SCORED), default=0.0), 1.0)

    return score


def _spaced(normalize: bool) -> Callable[[str], str]:
    spaced = units.make("words", normalize, None)
    return lambda text: spaced(text).replace("\n", " ")
