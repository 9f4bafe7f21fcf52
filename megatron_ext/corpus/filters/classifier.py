"""`--filters classifier`: keeps what learned classifiers find good, or drops what they find bad (GPT-3's way, arXiv:2005.14165).

    python tools/train_classifier.py --good 'wiki/*.jsonl' --bad 'crawl/*.jsonl' --output quality.bin
    … --filters classifier --classifier-model quality.bin toxicity.bin --classifier-threshold 0.8 0.5

A score is the probability of the class that the model's trainer chose (`--score-of`). Of a document that is kept it lies at or
above the threshold where that class is "good", and below it where that is "bad"; `--classifier-keep` says otherwise. Models are
asked in their order, up to the first that says no. Each one's score stands in the record by its name:
`"classifier_scores": {"quality": 0.93, "toxicity": 0.01}`. With no model at hand `--filters keywords` and a list of words does
for toxicity what a list can.
"""

from __future__ import annotations

import os
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, UserError
from megatron_ext.corpus.filters import Verdict

REASONS = {"classifier_low": "of low classifier score", "classifier_high": "of high classifier score"}
NUMBERS = ("classifier score", "second classifier's score", "third classifier's score", "fourth classifier's score")
EDITS = False
ADDS = ("classifier_scores",)


@flag_group("classifier", "Rule classifier: what learned classifiers say (arXiv:1607.01759)")
class Flags:
    classifier_model: tuple[str, ...] = flag((), "models of tools/train_classifier.py, four at most", front=True)
    classifier_threshold: tuple[float, ...] = flag((), "one a model, or one for all [the trainer's]", least=0, most=1, front=True)
    classifier_keep: tuple[str, ...] = flag(
        (),
        "what is kept, one a model or one for all: from the threshold on, or below [above where the score is of `good`]",
        choices=("above", "below"),
        front=True,
    )
    classifier_write: bool = flag(True, "write `classifier_scores` into each record")

    @staticmethod
    def check(c):
        models = c.classifier_model
        if "classifier" in getattr(c, "filters", ("classifier",)) and not models:
            yield Problem(
                "--classifier-model", None, "is missing for --filters classifier", "make one with tools/train_classifier.py"
            )
        if len(models) > len(NUMBERS):
            yield Problem("--classifier-model", None, f"gives {len(models)} models, at most {len(NUMBERS)}", "leave some out")
        for path in models:
            if not os.path.exists(path):
                yield Problem("--classifier-model", path, "is not there", "make it with tools/train_classifier.py")
        for option in ("classifier_threshold", "classifier_keep"):
            count = len(getattr(c, option))
            if count not in (0, 1, len(models)):
                reason = f"gives {count} values for {len(models)} models"
                yield Problem("--" + option.replace("_", "-"), None, reason, "give one for all, or one a model")


class Filter:
    def __init__(self, c: Any):
        from megatron_ext.corpus.classifiers.model import Model

        models = [Model(path) for path in c.classifier_model]
        names = [model.name for model in models]
        for path, name in zip(c.classifier_model, names):
            if names.count(name) > 1:
                raise UserError(f"--classifier-model {path}: another model's score is called {name} too; train one with --name")
        thresholds = _each(c.classifier_threshold, [model.threshold for model in models])
        keeps = _each(c.classifier_keep, ["above" if model.about["score_of"] == "good" else "below" for model in models])
        self._judges = list(zip(models, thresholds, keeps))
        self._write = c.classifier_write

    def __call__(self, document: Any) -> Verdict:
        scores: dict[str, float] = {}
        verdict = Verdict()
        for model, threshold, keep in self._judges:
            score = scores[model.name] = model.score(document.text)
            if (score >= threshold) != (keep == "above"):
                reason, bound = ("classifier_low", "at least") if keep == "above" else ("classifier_high", "below")
                verdict = Verdict(reason, f"{model.name} {score:.4f}, {bound} {threshold:.4f}")
                break
        if self._write:  # also into what is dropped here: rejects tell their scores
            document.set("classifier_scores", {name: round(score, 4) for name, score in scores.items()})
        return verdict._replace(numbers=tuple(scores.values()))


def _each(given: tuple, usual: list) -> list:
    """One a model: what was given, once or for each; else as usual."""
    return usual if not given else list(given) * len(usual) if len(given) == 1 else list(given)
