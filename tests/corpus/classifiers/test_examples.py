"""What is held out, passed over and refused."""

import csv
import json

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError
from megatron_ext.corpus.classifiers.examples import PARTS, gather
from megatron_ext.corpus.classifiers.flags import ExampleFlags
from tests import texts
from tests.corpus.classifiers import cases

JIGSAW = ["--label-keys", "toxic", "insult", "--text-key", "comment_text"]


def found(folder, *argv):
    return gather(read([ExampleFlags], list(map(str, argv)), "examples", "").examples, str(folder))


def parts(examples):
    return {part: list(examples.of(part)) for part in PARTS}


def test_every_text_is_in_one_part_whatever_the_files(tmp_path):
    good, bad = cases.prose()[:300], cases.logs()[:300]
    argv = cases.write(tmp_path)
    texts.write_jsonl(tmp_path / "good.jsonl", good)
    texts.write_jsonl(tmp_path / "bad.jsonl", bad)
    usual = parts(found(tmp_path, *argv, "--characters", 0))
    assert sorted(text for part in PARTS for text, _ in usual[part]) == sorted({*good, *bad})
    assert {text for part in PARTS for text, label in usual[part] if label == "good"} == set(good)
    assert 0.8 < len(usual["learned"]) / 600 < 0.97
    texts.write_jsonl(tmp_path / "good.jsonl", good[::-1])
    assert parts(found(tmp_path, *argv, "--characters", 0)) == usual
    seeded = parts(found(tmp_path, *argv, "--characters", 0, "--seed", 2))
    assert seeded != usual and seeded["figures"] != usual["figures"]
    half = parts(found(tmp_path, *argv, "--held-out-every", 2))
    assert 0.4 < len(half["learned"]) / 600 < 0.6
    short = parts(found(tmp_path, *argv, "--characters", 50))
    assert max(len(text) for part in PARTS for text, _ in short[part]) == 50


def test_what_is_twice_or_both_is_passed_over(tmp_path):
    good, bad = cases.prose()[:300], cases.logs()[:300]
    texts.write_jsonl(tmp_path / "good.jsonl", [*good, *good[:7], " "])
    texts.write_jsonl(tmp_path / "bad.jsonl", [*bad, *good[:3]])
    examples = found(tmp_path, "--good", tmp_path / "good.jsonl", "--bad", tmp_path / "bad.jsonl")
    assert (examples.seen["twice"], examples.seen["both"], examples.seen["rejected"]) == (10, 3, 1)
    assert sum(len(part) for part in parts(examples).values()) == 597


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_labels_in_the_records(tmp_path, ending):
    """Jigsaw's form: one number a kind of toxicity, 0 or 1, and -1 where nobody judged."""
    rows = [(text, n % 2, n % 3 == 0) for n, text in enumerate(cases.prose()[:400])] + [("not judged", -1, -1), ("none", "", 0)]
    path = tmp_path / f"train.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps({"comment_text": t, "toxic": a, "insult": int(b)}) + "\n" for t, a, b in rows))
    else:
        with open(path, "w", newline="") as file:
            writer = csv.writer(file, delimiter="," if ending == "csv" else "\t")
            writer.writerows([("comment_text", "toxic", "insult"), *((text, a, int(b)) for text, a, b in rows)])
    usual = found(tmp_path, "--labelled", path, *JIGSAW)
    labels = {text: label for part in parts(usual).values() for text, label in part}
    assert labels == {text: "bad" if a or b else "good" for text, a, b in rows[:400]} and usual.seen["rejected"] == 2
    contrary = found(tmp_path, "--labelled", path, *JIGSAW, "--label-means", "good")
    assert {text: label for part in parts(contrary).values() for text, label in part} == {
        text: "bad" if label == "good" else "good" for text, label in labels.items()
    }
    with pytest.raises(UserError, match="there is no bad document to learn from"):
        found(tmp_path, "--labelled", path, *JIGSAW, "--label-from", 2)


def test_other_formats(tmp_path):
    """Plain text by lines; pages by either extractor, named as such."""
    (tmp_path / "good.md").write_text("\n".join(text.replace("\n", " ") for text in cases.prose()))
    texts.write_jsonl(tmp_path / "bad.jsonl", cases.logs())
    argv = ["--good", tmp_path / "good.md", "--bad", tmp_path / "bad.jsonl"]
    with pytest.raises(UserError, match=r"too few good documents \(1\)"):
        found(tmp_path, *argv)
    (tmp_path / "bad.md").write_text("\n\n".join(text.replace("\n", " ") for text in cases.logs()))
    both = ["--good", tmp_path / "good.md", "--bad", tmp_path / "bad.md", "--text-sample-by", "line"]
    assert sum(len(part) for part in parts(found(tmp_path, *both)).values()) > 900
    for name, pieces in (("good", cases.prose()), ("bad", cases.logs())):
        for number, text in enumerate(pieces[:45]):
            page = f"<nav><a href=/>menu {text[:9]}</a></nav><article><h1>{number}</h1><p>{text}</p><p>{text[::-1]}</p></article>"
            (tmp_path / f"{name}{number}.page").write_text(f"<html><body>{page}</body></html>")
    argv = ["--good", tmp_path / "good*.page", "--bad", tmp_path / "bad*.page", "--input-format", "html", "--held-out-every", 2]
    one, other = (parts(found(tmp_path, *argv, "--html-extractor", name)) for name in ("resiliparse", "trafilatura"))
    assert len(one["learned"]) == len(other["learned"]) == 44 and one["learned"] != other["learned"]


def test_too_few_and_one_class(tmp_path):
    few = texts.write_jsonl(tmp_path / "few.jsonl", cases.prose()[:30])
    many = texts.write_jsonl(tmp_path / "many.jsonl", cases.logs())
    empty = texts.write_jsonl(tmp_path / "empty.jsonl", ["", " "])
    with pytest.raises(UserError, match=r"there are too few good documents \(30\): \d of them for the \w+, at least 5"):
        found(tmp_path, "--good", few, "--bad", many)
    with pytest.raises(UserError, match=r"there is no good document to learn from \(2 records were rejected\)"):
        found(tmp_path, "--good", empty, "--bad", many)


def test_all_problems_at_once(tmp_path):
    few = texts.write_jsonl(tmp_path / "few.jsonl", cases.prose()[:3])
    for argv, said in (
        (["--good", few], "--bad: is missing"),
        (["--good", few, "--bad", tmp_path / "none"], "none: matches no file"),
        (["--labelled", few], "--label-keys: is missing for --labelled"),
        (["--good", few, "--bad", few, "--label-keys", "a"], "--labelled: is missing for --label-keys"),
        (["--good", few, "--bad", few, "--held-out-every", 1], "must be at least 2"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            read([ExampleFlags], list(map(str, argv)), "examples", "")
