"""What the last stage of a way leaves: of what goes, where the input has it."""

from __future__ import annotations

import json
import random

import pytest

from megatron_ext.corpus.cleaning.tally import hash_of
from tests.corpus.engine import runs

LONG = "a line of a text that is long enough to be compared with all others\n"


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_rejects_of_every_way_say_where_the_input_has_them(compression, tmp_path):
    """With several ways one behind the other, and a file that is cut into ranges."""
    own = [LONG.replace("text", f"text {number}") for number in range(40)]
    texts = [*own[:20], own[3], own[7].upper(), *own[20:], own[1] + own[2]]
    files = [
        runs.write(tmp_path / "in" / f"{name}.jsonl", [{"text": text} for text in half])
        for name, half in (("a", texts[:15]), ("b", texts[15:]))
    ]
    out = runs.here(
        "--input", tmp_path / "in" / "*.jsonl", "--output", tmp_path / "out", "--shard-size", 0.001,
        "--dedup", "exact", "line", "--output-compression", compression, "--dedup-min-left", "10",
    )  # fmt: skip
    assert len(list(out.glob("part-*"))) > 4
    gone = []
    for way in ("exact", "line"):
        for part in sorted((out / "rejects" / way).glob("part-*")):
            gone += runs.lines(part) if compression == "zstd" else map(json.loads, part.read_text().splitlines())
    found = []
    for line in gone:
        assert line["id"] == f"{line['file']}:{line['place']}"
        with open(line["file"], "rb") as file:
            file.seek(line["place"])
            found.append(json.loads(file.readline())["text"])
    assert found == [own[3], own[7].upper(), own[1] + own[2]]
    assert {line["file"] for line in gone} == {str(files[1])}


def test_a_corpus_is_whole_where_only_its_pairs_to_read_are_missing(tmp_path):
    """The last job, of the receipt's pairs, fails: that is said, and not that there is no corpus."""
    flags = ["--input", runs.write(tmp_path / "a.jsonl", [{"text": text} for text in ("one", "two", "One")])]
    flags += ["--output", tmp_path / "out", "--dedup", "exact", "--workers", "1"]
    runs.good(*flags, "--keep-work")
    (tmp_path / "out" / "manifests" / "exact.pairs" / "00000.json").unlink()
    between = tmp_path / "out" / "work" / "clean" / "part-00000.placed.zst"
    whole = between.read_bytes()
    between.write_bytes(whole[: len(whole) // 2])
    failed = runs.call(*flags)
    assert failed.returncode == 1 and "Traceback" not in failed.stderr
    assert "1 of 1 jobs of stage exact.pairs were set aside, and the corpus is whole without them" in failed.stderr
    assert "is cut off" in failed.stderr and [line["text"] for line in runs.kept(tmp_path / "out")] == ["one", "two"]
    receipt = json.loads((tmp_path / "out" / "receipt.json").read_text())
    assert receipt["whole"] and "is cut off" in receipt["warnings"][0]
    between.write_bytes(whole)
    runs.good(*flags)
    [sample] = json.loads((tmp_path / "out" / "receipt.json").read_text())["steps"][1]["samples"]["exact_duplicate"]
    assert (sample["text"], sample["other"]) == ("One", "one")


def test_the_receipt_counts_what_stays_and_goes_without_looking_into_it_again(tmp_path):
    """By source, by language where there is one, and the documents to read: those whose names have the smallest hashes."""
    draw, records = random.Random(0), []
    for number in range(300):
        text = f"number {draw.randrange(200)} of these – é"
        record = {"id": f"{number}", "source": draw.choice("abc"), "text": text}
        records.append(record | ({"language": draw.choice(("en", "zh"))} if number % 3 else {}))
    for file in range(3):
        runs.write(tmp_path / "in" / f"{file}.jsonl", records[100 * file : 100 * (file + 1)])
    flags = ["--input", tmp_path / "in" / "*.jsonl", "--output", tmp_path / "out", "--dedup", "exact", "--dedup-priority", "b"]
    runs.good(*flags, "--workers", "1")
    receipt = json.loads((tmp_path / "out" / "receipt.json").read_text())
    stays, seen = [], set()
    for record in sorted(records, key=lambda record: record["source"] != "b"):
        stays += [record] if record["text"] not in seen else []
        seen.add(record["text"])

    def counts(key: str, value: str) -> list[int]:
        of = [[record["text"].encode() for record in some if record.get(key) == value] for some in (records, stays)]
        return [number for some in of for number in (len(some), sum(map(len, some)))]

    assert receipt["sources"] == {name: counts("source", name) for name in "abc"}
    assert receipt["languages"] == {name: counts("language", name) for name in ("en", "zh")}
    assert receipt["kept"] == [len(stays), sum(len(record["text"].encode()) for record in stays)]
    step = receipt["steps"][1]
    gone = {name: [all_of, all_of - kept] for name, (all_of, _, kept, _) in receipt["sources"].items()}
    assert step["sources"] == gone and step["documents"] == 300
    ids = sorted((record["id"] for record in stays), key=hash_of)[:20]
    assert [sample["id"] for sample in receipt["keeps"]] == ids
    assert [line["id"] for line in runs.kept(tmp_path / "out")] == sorted((record["id"] for record in stays), key=int)
