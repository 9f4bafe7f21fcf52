"""The command alone: near-duplicates and questions of tests planted in JSON lines, and what became of them by its files."""

from __future__ import annotations

import collections
import itertools
import json

import pytest

from tests import texts
from tests.corpus.engine import runs
from tests.corpus.matching.near_duplicates import planted, similarities

LANGUAGES = ("english", "chinese", "code")


@pytest.mark.parametrize("count", [8, pytest.param(100, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_near_duplicates_go_and_others_stay(count, tmp_path):
    """Words, characters and lines changed by 1 to 30 %, in three languages. By what was kept and rejected, of pairs with an exact
    Jaccard similarity (of sets of five words, by definition) from 0.85 on 95 % are in one cluster, of those below 0.6 one in a
    thousand at most; one document of each cluster stays."""
    documents = [(language, text) for language in LANGUAGES for text in planted(language, seed=count, count=count)]
    for part in range(3):
        records = [{"id": str(n), "source": documents[n][0], "text": documents[n][1]} for n in range(part, len(documents), 3)]
        runs.write(tmp_path / "in" / f"{part}.jsonl", records)
    out, flags = tmp_path / "out", ["--dedup", "minhash", "--rejects-with-text", "--workers", "2"]
    runs.good("--input", tmp_path / "in" / "*.jsonl", "--output", out, *flags, timeout=800)

    kept, gone = runs.kept(out), runs.rejects(out, "minhash")
    assert {line["id"]: line["text"] for line in kept + gone} == {str(n): text for n, (_, text) in enumerate(documents)}
    cluster = {line["id"]: line["id"] for line in kept}
    assert len(cluster) == len(kept) == len(documents) - len(gone)
    of_those_gone = {line["id"]: line["detail"].removeprefix("like ") for line in gone}
    assert set(of_those_gone.values()) <= set(cluster), "the copy that a document went for is there"
    cluster |= of_those_gone

    exact = similarities([text for _, text in documents])
    together = lambda pair: cluster[str(pair[0])] == cluster[str(pair[1])]
    for language in LANGUAGES:
        similar = [pair for pair, alike in exact.items() if alike >= 0.85 and documents[pair[0]][0] == language]
        found = sum(map(together, similar))
        assert len(similar) >= 5 * count and found >= 0.95 * len(similar), (language, found, len(similar))
    pairs = len(documents) * (len(documents) - 1) // 2
    members = collections.defaultdict(list)
    for id, first in cluster.items():
        members[first].append(int(id))
    merged = [pair for each in members.values() for pair in itertools.combinations(sorted(each), 2)]
    wrong = sum(exact.get(pair, 0) < 0.6 for pair in merged)
    below = pairs - sum(alike >= 0.6 for alike in exact.values())
    assert wrong <= 0.001 * below, (wrong, below)
    print(f"{len(documents):,} documents, {len(kept):,} kept; below 0.6: {wrong} of {below:,} pairs merged")


QUESTIONS = {
    "trivia": "Which river flows through the capital of the country that was once ruled by the grandmother of the last emperor",
    "math": "A farmer has seventeen sheep and sells all but nine of them to a neighbour who already has twice as many goats",
    "chinese": "下列关于长江中下游平原气候特点的叙述中正确的一项是哪一个并请说明理由和依据",
}
SUMS = "Then 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 = 105, and 2 x 3 = 6, 3 x 3 = 9, 4 x 3 = 12, 5 x 3 = 15."


def test_planted_questions_are_found_and_mathematics_is_not(tmp_path):
    """Verbatim, in capitals and with other punctuation, in the middle of real text; sums that a test has too are none."""
    table = "1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 + 15 = 120"
    tests = [{"question": text} for text in QUESTIONS.values()] + [{"question": table}]
    runs.write(tmp_path / "tests" / "t.jsonl", tests)
    changes = {
        "verbatim": lambda text: text,
        "capitals": str.upper,
        "marks": lambda text: text.replace(" ", ", ").replace("的", "的，") + "?!",
        "quoted": lambda text: "\u201c" + text.replace(" ", "  \n") + "\u201d",
    }
    real, records = texts.library_texts(40), []
    for (name, question), (change, edit) in itertools.product(QUESTIONS.items(), changes.items()):
        text = real[len(records) % len(real)]
        records.append({"id": f"{name} {change}", "text": f"{text[:800]} {edit(question)} {text[800:]}"})
    expected = {record["id"] for record in records}
    records += [{"id": f"real {number}", "text": text} for number, text in enumerate(real)]
    records += [{"id": "sums", "text": f"{real[0][:300]} {SUMS} {table} {real[1][:300]}"}]
    runs.write(tmp_path / "in.jsonl", records)
    out = tmp_path / "out"
    runs.good("--input", tmp_path / "in.jsonl", "--output", out, "--decontaminate", tmp_path / "tests", "--workers", "1")
    gone = {line["id"]: line for line in runs.rejects(out, "")}
    assert set(gone) == expected
    assert {line["id"] for line in runs.kept(out)} == {record["id"] for record in records} - expected
    assert all(line["reason"] == "contaminated" and "t.jsonl" in line["detail"] for line in gone.values()), gone
    [_, step] = json.loads((out / "receipt.json").read_text())["steps"]
    assert sum(step["found"].values()) >= len(expected)
