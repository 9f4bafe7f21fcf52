"""Flags of near-duplicates."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem

UNITS = ("words", "characters")
RULES = ("first", "longest")


@flag_group("near_duplicates", "Near-duplicates")
class NearDuplicateFlags:
    similarity: float = flag(
        0.7, "Jaccard similarity of shingles from which on two documents are copies", positive=True, front=True
    )
    keep_copy: str = flag("first", "the copy that stays, among those of the first source", choices=RULES, front=True)
    exact_similarity: bool = flag(True, "check candidates by their shingles, not only by their signatures", front=True)
    representatives: int = flag(8, "documents of a group of candidates with which each other one is compared", least=1)
    shingle_size: int = flag(5, "units of a shingle", least=1)
    shingle_units: str = flag("words", "what shingles are made of; words of Chinese, Japanese and Thai too", choices=UNITS)
    ignore_unicode_form: bool = flag(
        True, "width, ligatures and composition of letters do not count (NFKC), nor what is never seen"
    )
    ignore_case: bool = flag(True, "capitals and small letters are the same")
    ignore_punctuation: bool = flag(True, "punctuation and symbols only part words")
    ignore_whitespace: bool = flag(True, "all whitespace is one space; has an effect on shingles of characters")
    permutations: int = flag(128, "values of a signature", least=1)
    minhash_seed: int = flag(1, "seed of the permutations", least=0, most=2**32 - 1)
    bands: int | None = flag(None, "bands of a signature, with --rows (default: by --similarity and --permutations)", least=1)
    rows: int | None = flag(None, "values of a band", least=1)

    @staticmethod
    def check(c):
        if c.similarity >= 1:
            yield Problem(
                "--similarity", c.similarity, "is not below 1", "give a share such as 0.8; exact copies need no signatures"
            )
        if (c.bands is None) != (c.rows is None):
            given, missing = ("--bands", "--rows") if c.rows is None else ("--rows", "--bands")
            yield Problem(given, c.bands or c.rows, f"has no effect without {missing}", f"give {missing}, too, or neither")
        elif c.bands is not None and c.bands * c.rows > c.permutations:
            reason = f"times --rows {c.rows} is more than --permutations {c.permutations}"
            yield Problem("--bands", c.bands, reason, f"give at most {c.permutations // c.rows}, or more permutations")
