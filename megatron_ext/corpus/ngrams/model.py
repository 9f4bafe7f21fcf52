"""A trained model on disk, and a text's perplexity by it: 10 to the power of -Σ log10 p / (units + line ends).

MODEL.arpa is standard; beside it MODEL.arpa.json says what its units are and which perplexities texts have that it was not
trained on (`percentiles`, 101 of them), and MODEL.arpa.tokenizer is the tokenizer, where it cuts the units.
"""

from __future__ import annotations

import math
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus import model_description
from megatron_ext.corpus.ngrams import units


def tokenizer_of(path: str) -> str:
    return path + ".tokenizer"


class Model:
    """Attributes: language: whose texts it is for, None: any; percentiles: see above, [101]."""

    def __init__(self, path: str):
        import kenlm

        about = read_description(path)
        self.language, self.percentiles = about["language"], about["percentiles"]
        self.spaced = units.make(about["units"], about["normalize"], tokenizer_of(path))
        config = kenlm.Config()
        config.show_progress, config.arpa_complain = False, kenlm.ARPALoadComplain.NONE
        try:
            self._score = kenlm.Model(path, config).score
        except (OSError, RuntimeError) as error:
            raise UserError(f"{path}: is no n-gram model that kenlm reads ({' '.join(str(error).split())})") from None

    def perplexity(self, text: str) -> float:
        """NaN for a text without units."""
        score = count = 0
        for line in self.spaced(text).split("\n"):
            if words := len(line.split()):
                score += self._score(line)
                count += words + 1
        return 10.0 ** min(-score / count, 300) if count else math.nan

    def percentile(self, share: float) -> float:
        """The perplexity below which `share` per cent of texts are, between two of `percentiles` in proportion."""
        low = min(int(share), 99)
        return self.percentiles[low] + (share - low) * (self.percentiles[low + 1] - self.percentiles[low])


def read_description(path: str) -> dict[str, Any]:
    """UserError: it is not beside the model, or not what tools/train_ngram.py writes."""
    return model_description.read_description(path, "tools/train_ngram.py", _is_whole)


def _is_whole(about: dict[str, Any]) -> bool:
    return len(about["percentiles"]) == 101 and about["units"] in units.UNITS and {"language", "normalize"} <= about.keys()
