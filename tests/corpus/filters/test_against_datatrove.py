"""The rules give the verdicts of datatrove's own, on real documents: of some in the default tier, of all 5,000 with --full.

With `-s`, --full prints the table of docs/corpora_rules.md.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections import Counter

import pytest

from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.filters import c4, fineweb, gopher_quality, gopher_repetition
from tests.corpus.filters.case import make
from tests.corpus.real_documents import real_documents

PACKAGES = pathlib.Path(sys.prefix) / "datatrove"  # put there by: bash tests/run.sh
THRESHOLDS = dict(
    min_doc_words=80,
    max_doc_words=400,
    min_avg_word_length=4.5,
    max_avg_word_length=6,
    max_symbol_word_ratio=0.02,
    max_bullet_lines_ratio=0.5,
    max_ellipsis_lines_ratio=0.1,
    max_non_alpha_words_ratio=0.7,
    min_stop_words=5,
)
OURS = (
    "--gopher-quality-min-words 80 --gopher-quality-max-words 400 --gopher-quality-min-mean-word-length 4.5 "
    "--gopher-quality-max-mean-word-length 6 --gopher-quality-max-hashes 0.02 --gopher-quality-max-ellipses 0.02 "
    "--gopher-quality-max-bullet-lines 0.5 --gopher-quality-max-ellipsis-lines 0.1 --gopher-quality-min-alphabetic 0.7 "
    "--gopher-quality-min-stop-words 5"
)
OPTIONS = ("terminal_punctuation", "citations", "lorem_ipsum", "javascript", "curly_bracket", "policy")
WITHOUT = dict(filter_no_terminal_punct=False, remove_citations=False, filter_lorem_ipsum=False, filter_javascript=False,
               filter_curly_bracket=False, filter_policy=False)  # fmt: skip
LINES = (
    "--fineweb-min-ended-lines 0 --fineweb-max-short-lines 1 --fineweb-max-newlines 0.15 --fineweb-max-repeated-characters 0.05"
)
LINE_THRESHOLDS = dict(line_punct_thr=0, short_line_thr=1, new_line_ratio=0.15, char_duplicates_ratio=0.05)
CASES = {
    "Gopher quality": (gopher_quality, "", "GopherQualityFilter", {}),
    "Gopher quality, other thresholds": (gopher_quality, OURS, "GopherQualityFilter", THRESHOLDS),
    "Gopher repetition": (gopher_repetition, "", "GopherRepetitionFilter", {}),
    "C4": (c4, "--c4-marks . ? ! \" '", "C4QualityFilter", {}),  # datatrove's marks have the apostrophe, too
    "C4 without its options": (c4, " ".join(f"--no-c4-{o}".replace("_", "-") for o in OPTIONS), "C4QualityFilter", WITHOUT),
    "FineWeb": (fineweb, "--fineweb-max-repeated-characters 0.01", "FineWebQualityFilter", {}),
    "FineWeb, other thresholds": (fineweb, LINES, "FineWebQualityFilter", LINE_THRESHOLDS),
}
EXPECTED = {
    "Gopher quality": {"gopher_short_doc", "gopher_below_avg_threshold", "gopher_above_avg_threshold", "gopher_too_many_hashes",
                       "gopher_too_many_ellipsis", "gopher_too_many_bullets", "gopher_too_many_end_ellipsis",
                       "gopher_below_alpha_threshold", "gopher_enough_stop_words"},
    "Gopher quality, other thresholds": {"gopher_long_doc"},
    "Gopher repetition": {"dup_line_frac", "dup_para_frac", "dup_line_char_frac", "top_2_gram", "top_3_gram", "top_4_gram",
                          "duplicated_5_n_grams", "duplicated_6_n_grams"},
    "C4": {"too_few_sentences", "lorem_ipsum", "curly_bracket"},
    "C4 without its options": {"too_few_sentences"},
    "FineWeb": {"line_punct_ratio", "short_line_ratio", "char_dup_ratio"},
    "FineWeb, other thresholds": {"char_dup_ratio", "list_ratio"},  # lines of few words are short, and that is asked before
}  # fmt: skip


def theirs(texts: list[str], folder: pathlib.Path) -> dict[str, list[str | None]]:
    assert PACKAGES.is_dir(), f"{PACKAGES} is missing: bash tests/run.sh installs it"
    asked, found = folder / "asked.json", folder / "found.json"
    rules = {name: [kind, settings] for name, (_, _, kind, settings) in CASES.items()}
    asked.write_text(json.dumps({"texts": texts, "rules": rules}))
    script = pathlib.Path(__file__).with_name("datatrove_verdicts.py")
    command = [sys.executable, str(script), str(asked), str(found)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(PACKAGES)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(found.read_text())


def compared(texts: list[str], folder: pathlib.Path) -> dict[str, tuple[Counter, list]]:
    """By rule: how often datatrove says what, and where ours says otherwise."""
    table = {}
    for name, verdicts in theirs(texts, folder).items():
        module, argv, _, _ = CASES[name]
        judged, others = make(module, *argv.split()), []
        for text, verdict in zip(texts, verdicts):
            ours = judged(Document("a:1", "a", {"text": text}))
            if (ours.reason is None) != (verdict is None):
                others.append((ours.reason or "kept", ours.detail, verdict or "kept", text))
        table[name] = Counter(verdicts), others
    return table


def test_some_documents(tmp_path):
    texts = real_documents()[::20]
    for name, (_, others) in compared(texts, tmp_path).items():
        assert len(others) <= 0.01 * len(texts), (name, [other[:3] for other in others])


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_all_documents(tmp_path):
    texts = real_documents()
    assert len(texts) >= 5000
    table = compared(texts, tmp_path)
    print(f"\n{len(texts):,} documents, {sum(len(text.encode()) for text in texts) / 1e6:.1f} MB")
    for name, (verdicts, others) in table.items():
        print(f"| {name} | {len(texts) - verdicts[None]:,} | {len(others)} | {100 - 100 * len(others) / len(texts):.2f} % |")
        for ours, detail, verdict, _ in others:
            print(f"      {detail or ours} | datatrove: {verdict}")
    for name, (verdicts, others) in table.items():
        assert len(others) <= 0.005 * len(texts), name
        assert all(verdicts[reason] >= 10 for reason in EXPECTED[name]), (name, verdicts)
