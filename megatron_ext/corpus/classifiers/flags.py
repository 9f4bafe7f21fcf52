"""Flags of tools/train_classifier.py."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.corpus.classifiers import KINDS
from megatron_ext.corpus.flags import READERS, wrong_files
from megatron_ext.corpus.html_text import EXTRACTORS

CLASSES = ("good", "bad")


@flag_group("examples", "What is learned from")
class ExampleFlags:
    good: tuple[str, ...] = flag((), "files, URLs or patterns of good documents", front=True)
    bad: tuple[str, ...] = flag((), "files, URLs or patterns of bad documents", front=True)
    labelled: tuple[str, ...] = flag((), "files whose records say themselves what they are, by --label-keys", front=True)
    label_keys: tuple[str, ...] = flag((), "numbers in a labelled record, such as toxic insult, or score", front=True)
    label_from: float = flag(0.5, "a record is --label-means where one of its numbers is at least so large", front=True)
    label_means: str = flag("bad", "what a record with a large number is", choices=CLASSES, front=True)
    text_key: str = flag("text", "where the text lies in a record", front=True)
    input_format: str | None = flag(None, "format of all files (default: by each one's ending)", choices=READERS)
    text_sample_by: str = flag(
        "document", "in plain text, what one document is (document: the file)", choices=("document", "paragraph", "line")
    )
    html_extractor: str = flag("resiliparse", "in web pages (HTML, WARC), what finds the main content", choices=EXTRACTORS)
    characters: int = flag(10_000, "characters of a document, from its beginning, that are looked at; 0: all", least=0)
    held_out_every: int = flag(10, "of so many documents one is held out, for the threshold or for the figures", least=2)
    seed: int = flag(1234, "of what is held out, of the order, and of the first weights", least=0, most=2**31 - 1)

    @staticmethod
    def check(c):
        for name in ("good", "bad", "labelled"):
            yield from wrong_files(f"--{name}", getattr(c, name), c.input_format)
        for name in CLASSES:
            if not getattr(c, name) and not c.labelled:
                yield Problem(f"--{name}", None, "is missing", "give files of each class, or --labelled with --label-keys")
        if bool(c.labelled) != bool(c.label_keys):
            missing, other = ("--label-keys", "--labelled") if c.labelled else ("--labelled", "--label-keys")
            yield Problem(missing, None, f"is missing for {other}", "give both or neither")


@flag_group("classifiers", "What is made of it")
class TrainClassifierFlags:
    output: str | None = flag(None, "the model's file (of an encoder a folder); OUTPUT.json is written beside it", front=True)
    classifier: str = flag("fasttext", "what is learned", choices=KINDS, front=True)
    name: str | None = flag(None, "what the score is called: quality, toxicity … (default: the file's stem)", front=True)
    score_of: str = flag("good", "the class whose probability is the score", choices=CLASSES, front=True)
    threshold_for: str = flag(
        "f1",
        "what makes the threshold: the best F1; the most recall with --target precision; the most precision with --target recall",
        choices=("f1", "precision", "recall"),
        front=True,
    )
    target: float | None = flag(None, "least precision or recall on held-out documents, as --threshold-for says", front=True)

    @staticmethod
    def check(c):
        if c.output is None:
            yield Problem("--output", None, "is missing", "name the model's file, such as quality.bin")
        elif os.path.isdir(c.output) and c.classifier == "fasttext":
            yield Problem("--output", c.output, "is a folder", "name a file, such as quality.bin")
        if c.target is not None and not 0 < c.target <= 1:
            yield Problem("--target", f"{c.target:g}", "is out of range", "it lies above 0, and is 1 at most")
        if (c.target is None) != (c.threshold_for == "f1"):
            wrong = "has no effect with --threshold-for f1" if c.target is not None else "is missing for the threshold"
            yield Problem("--target", c.target, wrong, "precision and recall need one, F1 none")


def groups() -> list[type]:
    """All of the tool's groups of flags."""
    return [ExampleFlags, TrainClassifierFlags, *(KINDS.load(kind).Flags for kind in KINDS)]
