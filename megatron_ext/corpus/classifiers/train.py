"""Examples to a classifier with its threshold and figures: one reading, learning, and scores of what was held out."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson

from megatron_ext.corpus.classifiers import KINDS
from megatron_ext.corpus.classifiers.examples import PARTS, Examples, gather
from megatron_ext.corpus.classifiers.figures import Figures, choose, figures, rounded
from megatron_ext.corpus.classifiers.flags import CLASSES
from megatron_ext.corpus.classifiers.model import Model, fingerprint
from megatron_ext.corpus.model_description import description
from megatron_ext.corpus.whole_file import WholeFile, write_whole


def train(c: SimpleNamespace) -> Iterator[tuple[str, str]]:
    """Write the model; yields `(what, how much)`, line by line. UserError: too few examples, or no threshold for the target.

    Args:
        c: the flat configuration of `flags.groups()`.
    """
    target = str(c.output).rstrip("/")
    WholeFile(target).discard()  # find out now whether it can be written
    folder = tempfile.mkdtemp(prefix=os.path.basename(target) + ".", dir=os.path.dirname(target) or ".")
    try:
        examples = gather(c, folder)
        yield from _read(examples)
        made, kind = os.path.join(folder, "model"), KINDS.load(c.classifier)
        start = time.monotonic()
        kind.train(lambda: ((text, label == c.score_of) for text, label in examples.of("learned")), made, c)
        learned = time.monotonic() - start
        about = _about(made, c, examples)
        write_whole(description(made), orjson.dumps(about))
        about["threshold"], found, speed = _measure(Model(made), examples, c)
        about["held_out"] = {**rounded(found), "megabytes_a_second": round(speed, 2)}
        _publish(made, target, about)
    finally:
        shutil.rmtree(folder)
    goal = "best F1" if c.target is None else f"{c.threshold_for} of at least {c.target:g}"
    yield "learning", f"{learned:,.1f} s"
    yield "threshold", f"{about['threshold']:.4f}, for {goal}"
    yield "held out", f"precision {found.precision:.4f}, recall {found.recall:.4f}, F1 {found.f1:.4f} of `{c.score_of}`"
    yield "speed", f"{speed:,.1f} MB/s"
    yield "written", f"{target} ({_size(target) / 1e6:,.1f} MB) and {description(target)}"


def _read(examples: Examples) -> Iterator[tuple[str, str]]:
    seen = examples.seen
    for part, what in zip(PARTS, ("to learn", "to choose by", "to measure")):
        yield what, " and ".join(f"{seen[part, label]:,} {label}" for label in CLASSES) + " documents"
    passed = {"rejected": "records without text or label", "twice": "texts again", "both": "texts that are good and bad"}
    told = ", ".join(f"{seen[why]:,} {what}" for why, what in passed.items() if seen[why])
    if told:
        yield "passed over", told


def _about(made: str, c: SimpleNamespace, examples: Examples) -> dict[str, Any]:
    kind = KINDS.load(c.classifier)
    return {
        "kind": c.classifier,
        "name": c.name or os.path.basename(str(c.output).rstrip("/")).partition(".")[0],
        "labels": CLASSES,
        "score_of": c.score_of,
        "characters": c.characters,
        "features": kind.features(c),
        "seed": c.seed,
        "documents": {part: {label: examples.seen[part, label] for label in CLASSES} for part in PARTS},
        "threshold_for": c.threshold_for,
        "target": c.target,
        "threshold": 0.5,
        "fingerprint": fingerprint(made),
    }


def _measure(model: Model, examples: Examples, c: SimpleNamespace) -> tuple[float, Figures, float]:
    """`(threshold, figures, MB/s)`: each of the first two from its own half of what was held out."""
    scores, scored, size, seconds = {}, {}, 0, 0.0
    for part in PARTS[1:]:
        texts = list(examples.of(part))
        start = time.process_time()
        scores[part] = [model.score(text) for text, _ in texts]
        seconds += time.process_time() - start
        scored[part] = [label == c.score_of for _, label in texts]
        size += sum(len(text.encode()) for text, _ in texts)
    threshold = choose(scores["threshold"], scored["threshold"], c.threshold_for, c.target)
    return threshold, figures(scores["figures"], scored["figures"], threshold), size / max(seconds, 1e-9) / 1e6


def _publish(made: str, target: str, about: dict) -> None:
    """The model gets its name last: what is read with it is there by then."""
    write_whole(description(target), orjson.dumps(about, option=orjson.OPT_INDENT_2) + b"\n")
    if os.path.isdir(target):
        shutil.rmtree(target)
    elif os.path.isdir(made):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
    os.replace(made, target)


def _size(path: str) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(path)) if os.path.isdir(path) else os.path.getsize(path)
