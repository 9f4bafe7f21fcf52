"""The benchmark of near-duplicates: its documents are what it says, its figures add up; ten million in 4 GB (soak)."""

import json
import re

import numpy as np
import pytest

from megatron_ext.benchmarks import near_duplicates as bench
from megatron_ext.corpus.matching.shingles import Shingles
from tests import texts
from tools import benchmark


def test_made_up_documents():
    sets = [set(Shingles().hashes(bench.made_up(number)).tolist()) for number in range(200)]
    similar = {(i, j): len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i in range(200) for j in range(i)}
    similar = {pair: similarity for pair, similarity in similar.items() if similarity}
    pairs = {(at, at - 9) for at in range(9, 200, 10)} - {(59, 50), (159, 150)}
    assert similar == {**dict.fromkeys(pairs, 19 / 21), (150, 50): 1}
    assert bench.expected(200) == pytest.approx(1 + 18 * bench.meet(19 / 21, bench.BANDS, bench.ROWS))


def _said(capsys, *argv):
    assert benchmark.main(["near_duplicates", *map(str, argv)]) == 0
    return dict(re.findall(r"^ *(.+?)  (.+)$", capsys.readouterr().out, re.MULTILINE))


def test_in_small(tmp_path, capsys, monkeypatch):
    """What is found is what theory expects; nothing is left."""
    path = tmp_path / "real.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts.library_texts(10)))
    said = _said(capsys, "--input", path, "--documents", 30_000, "--memory", 0.02, "--folder", tmp_path / "b")
    assert "MB/s" in said["ours"] and "is not there" in said["gaoya"] and "is not there" in said["whole near-dedup"]
    assert {"clean", "minhash.sign", "minhash.pairs_of_a_band", "minhash.clusters", "minhash"} <= said.keys()
    found, of = (int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", said["copies"])[:2])
    assert abs(found - of) <= 5 * np.sqrt(of) and not list((tmp_path / "b").iterdir())


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_ten_million_documents_in_four_gigabytes(tmp_path, capsys):
    said = _said(capsys, "--rows", "many", "--documents", 10_000_000, "--folder", tmp_path)
    assert float(said["peak memory"].split()[0]) <= 4
    found, of = (int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", said["copies"])[:2])
    assert abs(found - of) <= 0.001 * of
