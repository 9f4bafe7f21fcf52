"""How often brackets close: what two models put between the two parts of a piece of code, and Python's tokenizer reads the whole.

    python examples/infilling_brackets.py --folder FOLDER        # as examples/infilling.sh leaves it

The one that learnt fill_in_middle sees both parts and ends by itself. The one that learnt causal_lm sees the part before, and
knows of no end: it is cut where the line ends, or where the bracket is closed that was open.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from infilling_code import PAIRS, balanced
from rich.console import Console
from rich.table import Table

GENERATE = pathlib.Path(__file__).resolve().parents[1] / "tools" / "generate.py"
TOKENS = 48  # of an answer at most


def answers(folder, objective, *questions):
    """What a run generates for the held-out pieces, in their order."""
    output = folder / f"{objective}.jsonl"
    command = [sys.executable, GENERATE, "--load", folder / objective, "--device", "cpu", "--batch-size", "32"]
    subprocess.run([*command, "--max-new-tokens", str(TOKENS), "--output", output, *questions], check=True)
    return [json.loads(line)["text"] for line in output.read_text(encoding="utf-8").splitlines()]


def to_line_end(text):
    return text.split("\n")[0]


def to_bracket_end(text):
    """A text up to the bracket that closes one opened before it."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in PAIRS) - (character in PAIRS.values())
        if depth < 0:
            return text[: place + 1]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--most", type=int, default=1000, help="pieces at most")
    folder, most = vars(parser.parse_args()).values()
    lines = (folder / "heldout.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:most]
    questions = folder / "questions.jsonl"
    questions.write_text("".join(lines), encoding="utf-8")
    asked = [json.loads(line) for line in lines]
    middles = answers(folder, "fill_in_middle", "--infill-file", questions)
    continued = answers(folder, "causal_lm", "--prompts-file", questions, "--prompt-key", "prefix")
    found = {
        "fill_in_middle": middles,
        "causal_lm, to the line's end": [to_line_end(text) for text in continued],
        "causal_lm, to the bracket's end": [to_bracket_end(text) for text in continued],
    }
    table = Table("brackets closed", "its end stands behind", "its end is to be written", "all", "the very text")
    figures = {name: shares(asked, texts) for name, texts in found.items()}
    for name, row in figures.items():
        table.add_row(name, *(f"{100 * share:.1f} %" for share in row.values()))
    Console().print(f"{len(asked):,} brackets", table)
    (folder / "brackets.json").write_text(json.dumps({"brackets": len(asked)} | figures, indent=1) + "\n")


def shares(asked, texts):
    """Of brackets whose end stands behind, whose end is to be written, and all: closed; and of all: filled by the very text."""
    closed = [balanced(each["prefix"] + text + each["suffix"]) for each, text in zip(asked, texts, strict=True)]
    ends = [each["closes"] for each in asked]
    same = [each["middle"] == text for each, text in zip(asked, texts, strict=True)]
    behind, written = ([ok for ok, end in zip(closed, ends) if end is form] for form in (False, True))
    named = {"stands_behind": behind, "to_be_written": written, "all": closed, "same": same}
    return {name: sum(some) / max(len(some), 1) for name, some in named.items()}


if __name__ == "__main__":
    main()
