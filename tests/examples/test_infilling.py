"""Closing brackets in the middle, in miniature: the example runs as it stands, and what it asks and counts is right."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))  # as the scripts there see each other

import infilling_brackets as counted  # noqa: E402
import infilling_code as asked  # noqa: E402

FUNCTION = '''def total(self, numbers):
    """Sums, ( of which one is no bracket."""
    found = sum(numbers[1:], start=(0))
    return {"sum": found}
'''


def test_brackets_are_those_of_the_language():
    inside = [FUNCTION[begin:end] for begin, end in asked.brackets(FUNCTION)]
    assert inside == ["self, numbers", "1:", "0", "numbers[1:], start=(0)", '"sum": found']


@pytest.mark.parametrize(("text", "closed"), [
    (FUNCTION, True),
    (FUNCTION.replace("(0))", "(0)"), False),
    (FUNCTION.replace("(0))", "(0)))"), False),
    (FUNCTION.replace("(0))", "(0)]"), False),
    (FUNCTION.replace('"sum"', '"sum'), False),
])  # fmt: skip
def test_balanced(text, closed):
    assert asked.balanced(text) is closed


@pytest.mark.parametrize("number", [0, 1])
def test_a_question_is_the_function_in_parts(number):
    (found,) = asked.questions(FUNCTION, number)
    assert found["prefix"] + found["middle"] + found["suffix"] == FUNCTION
    assert found["prefix"][-1] in asked.PAIRS and found["closes"] is (number == 1)
    end = found["middle"][-1:] if number else found["suffix"][:1]
    assert end == asked.PAIRS[found["prefix"][-1]]


def test_pieces_of_a_module():
    inside = "".join("    " + line for line in FUNCTION.splitlines(keepends=True))
    docstring, after = f'"""{"Says much. " * 30}"""', "FIRST = 1\n" + "SECOND = f(2)  # a comment\n" * 4
    module = f"import os\n\n\nclass A:\n    {docstring}\n\n{inside}\n\n\n{after}"
    assert list(asked.pieces(module)) == [FUNCTION, after]
    assert list(asked.pieces("def broken(:")) == []


def test_where_an_answer_without_an_end_is_cut():
    assert counted.to_line_end("a, b):\n    pass") == "a, b):"
    assert counted.to_bracket_end("a, f(b)), c)") == "a, f(b))"
    assert counted.to_bracket_end("a, f(b") == "a, f(b"


def test_shares():
    functions = [
        {"prefix": "f(", "middle": "a", "suffix": ")\n", "closes": False},
        {"prefix": "f(", "middle": "a)", "suffix": "\n", "closes": True},
    ]
    assert counted.shares(functions, ["a", "b"]) == {"stands_behind": 1.0, "to_be_written": 0.0, "all": 0.5, "same": 0.5}
    assert counted.shares(functions, ["a)", "b)"]) == {"stands_behind": 0.0, "to_be_written": 1.0, "all": 0.5, "same": 0.0}


@pytest.mark.timeout(300)
def test_in_miniature(tmp_path):
    modules = tmp_path / "library"
    modules.mkdir()
    for number in range(16):  # by their names' hashes some are held out
        text = "\n".join(FUNCTION.replace("total", f"total_{number}_{each}") for each in range(3))
        (modules / f"m{number}.py").write_text(text)
    settings = {"OUT": tmp_path / "out", "LIBRARY": modules, "ITERS": 2, "VOCAB": 500, "LAYERS": 1, "HIDDEN": 32, "MOST": 4}
    environ = os.environ | {name: str(value) for name, value in settings.items()} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", ROOT / "examples" / "infilling.sh"], env=environ, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    learned = (tmp_path / "out" / "train.jsonl").read_text()
    heldout = [json.loads(line) for line in (tmp_path / "out" / "heldout.jsonl").read_text().splitlines()]
    assert heldout and not any(json.dumps(each["prefix"] + each["middle"] + each["suffix"]) in learned for each in heldout)
    figures = json.loads((tmp_path / "out" / "brackets.json").read_text())
    assert figures.pop("brackets") == 4 and len(figures) == 3
    assert all(0 <= share <= 1 for row in figures.values() for share in row.values())
