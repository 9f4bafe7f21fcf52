"""Flags of decontamination."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem

REASONS = {"contaminated": "holds a passage of a test set"}
INSTALLED = "installed"


@flag_group("decontamination", "Test sets in the corpus (arXiv:2005.14165, appendix C)")
class DecontaminationFlags:
    decontaminate: tuple[str, ...] = flag(
        (), "test sets to look for: folders or files of JSON lines; `installed`: those inside installed packages", front=True
    )
    decontaminate_action: str = flag(
        "document", "what goes, where a test is found: the document, or the passage", choices=("document", "span"), front=True
    )
    decontaminate_fields: tuple[str, ...] = flag((), "keys of the test sets' records that are looked for (default: all texts)")
    decontaminate_ngram: int = flag(13, "words of the shortest passage that counts", positive=True)
    decontaminate_min_words: int = flag(8, "words of the shortest tests, which are looked for as a whole", positive=True)
    decontaminate_margin: int = flag(200, "characters on both sides that go with a passage", least=0)
    decontaminate_min_left: int = flag(200, "characters that must be left of a document from which passages were cut", least=0)
    decontaminate_packages: str | None = flag(
        None, "folder in which the packages of `installed` lie (default: this Python's own)"
    )

    @staticmethod
    def check(c):
        for path in c.decontaminate:
            if path != INSTALLED and not os.path.exists(path):
                yield Problem("--decontaminate", path, "is no folder or file of JSON lines", f"or is it {INSTALLED}?")
        if c.decontaminate_min_words > c.decontaminate_ngram:
            beyond = f"is more than --decontaminate-ngram {c.decontaminate_ngram}"
            yield Problem(
                "--decontaminate-min-words", c.decontaminate_min_words, beyond, "shorter tests are looked for as a whole"
            )
        if c.decontaminate_packages is not None and not os.path.isdir(c.decontaminate_packages):
            yield Problem("--decontaminate-packages", c.decontaminate_packages, "is no folder")
