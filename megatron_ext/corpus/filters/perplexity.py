"""`--filters perplexity`: drops what an n-gram model of good text finds unlikely, as CCNet does (arXiv:1911.00359).

    python tools/train_ngram.py --input 'wiki/*.jsonl' --output en.arpa --language en
    … --filters language perplexity --perplexity-models en.arpa zh.arpa --perplexity-keep head middle

A text's perplexity is 10 to the power of -Σ log10 p / (units + line ends). It is comparable within one model only, so bounds are
best given as buckets: head, middle and tail are the thirds (by --perplexity-head and --perplexity-tail) of what the model's
trainer measured on text that it had not learned from. Of several models, the one of the record's `language` is asked, else the
one that was trained for no language; a document with no model is kept, and its perplexity does not count. What is too likely
is often a template: `--perplexity-min`.
"""

from __future__ import annotations

import math
import os
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, UserError
from megatron_ext.corpus.filters import Verdict

REASONS = {
    "perplexity_high": "of high perplexity",
    "perplexity_low": "of low perplexity",
    "perplexity_bucket": "in an unwanted bucket of perplexity",
}
NUMBERS = ("perplexity",)
EDITS = False
ADDS = ("perplexity", "perplexity_bucket")

_BUCKETS = ("head", "middle", "tail")


@flag_group("perplexity", "Rule perplexity: what n-gram models find unlikely (arXiv:1911.00359)")
class Flags:
    perplexity_models: tuple[str, ...] = flag((), "n-gram models of tools/train_ngram.py, one a language", front=True)
    perplexity_keep: tuple[str, ...] = flag(("head", "middle"), "buckets of perplexity to keep", choices=_BUCKETS, front=True)
    perplexity_head: float = flag(100 / 3, "per cent of texts, from the likeliest on, that are the head", least=0, most=100)
    perplexity_tail: float = flag(
        200 / 3, "per cent of texts, from the likeliest on, after which the tail begins", least=0, most=100
    )
    perplexity_min: float | None = flag(None, "least perplexity [no bound]", least=0)
    perplexity_max: float | None = flag(None, "largest perplexity [no bound]", positive=True)
    perplexity_write: bool = flag(False, "write `perplexity` and `perplexity_bucket` into each record")

    @staticmethod
    def check(c):
        if "perplexity" in getattr(c, "filters", ("perplexity",)) and not c.perplexity_models:
            yield Problem(
                "--perplexity-models", None, "is missing for --filters perplexity", "make one with tools/train_ngram.py"
            )
        for path in c.perplexity_models:
            if not os.path.isfile(path):
                yield Problem("--perplexity-models", path, "is not there", "make it with tools/train_ngram.py")
        if c.perplexity_tail < c.perplexity_head:
            reason = f"is below --perplexity-head {c.perplexity_head:g}"
            yield Problem("--perplexity-tail", f"{c.perplexity_tail:g}", reason, "raise one or lower the other")
        if c.perplexity_min is not None and c.perplexity_max is not None and c.perplexity_max < c.perplexity_min:
            reason = f"is below --perplexity-min {c.perplexity_min:g}"
            yield Problem("--perplexity-max", f"{c.perplexity_max:g}", reason, "raise one or lower the other")


class Filter:
    def __init__(self, c: Any):
        from megatron_ext.corpus.ngrams.model import Model

        self._models: dict[str | None, Any] = {}
        for path in c.perplexity_models:
            model = Model(path)
            if model.language in self._models:
                whose = f"language {model.language}" if model.language else "any language"
                raise UserError(f"--perplexity-models {path}: is the second one for {whose}; give one a language")
            bounds = model.percentile(c.perplexity_head), model.percentile(c.perplexity_tail)
            self._models[model.language] = model, bounds
        self._least = -math.inf if c.perplexity_min is None else c.perplexity_min
        self._most = math.inf if c.perplexity_max is None else c.perplexity_max
        self._keep, self._write = frozenset(c.perplexity_keep), c.perplexity_write

    def __call__(self, document: Any) -> Verdict:
        language = document.values.get("language")
        model, bounds = self._models.get(language if isinstance(language, str) else None) or self._models.get(None, (None, ()))
        perplexity = model.perplexity(document.text) if model is not None else math.nan
        if math.isnan(perplexity):
            return Verdict(numbers=(math.nan,))
        bucket = _BUCKETS[sum(perplexity > bound for bound in bounds)]
        if self._write:
            document.set("perplexity", round(perplexity, 2))
            document.set("perplexity_bucket", bucket)
        if perplexity > self._most:
            return Verdict("perplexity_high", f"{perplexity:,.1f}, at most {self._most:,g}", (perplexity,))
        if perplexity < self._least:
            return Verdict("perplexity_low", f"{perplexity:,.1f}, at least {self._least:,g}", (perplexity,))
        if bucket not in self._keep:
            head, tail = bounds
            return Verdict(
                "perplexity_bucket", f"{perplexity:,.1f} is {bucket} (head to {head:,.1f}, tail from {tail:,.1f})", (perplexity,)
            )
        return Verdict(numbers=(perplexity,))
