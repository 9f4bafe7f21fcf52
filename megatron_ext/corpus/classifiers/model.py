"""A learned classifier on disk, and a text's score by it.

MODEL is a file of fastText's or a folder of transformers'; MODEL.json beside it says what it is: kind, features, how many
characters are looked at, classes, threshold, the figures on held-out documents, and the model's fingerprint (xxh3 of its files).
"""

from __future__ import annotations

import pathlib
from typing import Any

import xxhash

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus import model_description
from megatron_ext.corpus.classifiers import KINDS
from megatron_ext.corpus.model_description import description

_NEEDED = ("kind", "name", "score_of", "characters", "features", "threshold", "fingerprint")


class Model:
    """Attributes: about: the JSON; name: what its score is called; threshold: the trainer's."""

    def __init__(self, path: str):
        self.about = read_description(path)
        if fingerprint(path) != self.about["fingerprint"]:
            raise UserError(f"{path}: is not the model that {description(path)} was written for; copy both, or train it again")
        self.name, self.threshold = self.about["name"], self.about["threshold"]
        self._characters = self.about["characters"]
        self._score = KINDS.load(self.about["kind"]).load(path, self.about["features"])

    def score(self, text: str) -> float:
        """The probability that it is of the scored class, 0 to 1."""
        return self._score(text[: self._characters] if self._characters else text)


def read_description(path: str) -> dict[str, Any]:
    """UserError: it is not beside the model, or not what tools/train_classifier.py writes."""
    return model_description.read_description(path, "tools/train_classifier.py", _is_whole)


def _is_whole(about: dict[str, Any]) -> bool:
    return all(key in about for key in _NEEDED) and about["kind"] in KINDS.names() and 0 <= about["threshold"] <= 1


def fingerprint(path: str) -> str:
    """xxh3-128 of a file, or of the names and contents of a folder's files. UserError: it cannot be read."""
    root, hashed = pathlib.Path(path), xxhash.xxh3_128()
    try:
        for file in sorted(root.iterdir()) if root.is_dir() else [root]:
            hashed.update(file.name.encode() if root.is_dir() else b"")
            with open(file, "rb") as opened:
                while block := opened.read(2**22):
                    hashed.update(block)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return hashed.hexdigest()
