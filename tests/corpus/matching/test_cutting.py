"""What the last stage of a way leaves: of what goes, where the input has it."""

from __future__ import annotations

import json

import pytest

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
