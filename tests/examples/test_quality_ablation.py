"""The ablation of the quality filter in miniature: it runs as it stands, and what the filter leaves is the better text."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from megatron_ext.data.index import Index

ROOT = pathlib.Path(__file__).resolve().parents[2]


def lines(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.timeout(600)
def test_in_miniature(tmp_path):
    (wheel,) = pathlib.Path(sys.prefix, "gensim").glob("gensim-*.whl")
    settings = {"OUT": tmp_path, "WIKIPEDIA": wheel, "SEEDS": "1", "ITERS": "2", "VOCAB": "300", "MOST": "300"}
    environ = os.environ | {name: str(value) for name, value in settings.items()} | {"OMP_NUM_THREADS": "1"}
    command = ["bash", ROOT / "examples" / "quality_ablation.sh"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr

    examples = {name: lines(tmp_path / "examples" / f"{name}.jsonl") for name in ("good", "good_unseen", "bad", "bad_unseen")}
    for name in ("good", "bad"):
        kinds = [{(each["kind"], each["origin"]) for each in examples[part]} for part in (name, f"{name}_unseen")]
        assert {kind for kind, _ in kinds[0] & kinds[1]} <= {"log"}, "but for logs no origin is in both"
    crawl, left, held = (lines(tmp_path / name) for name in ("crawl.jsonl", "clean.parts/part-00000.jsonl", "heldout.jsonl"))
    bad = {each["text"] for each in examples["bad"]}
    shares = [sum(each["text"] in bad for each in some) / len(some) for some in (crawl, left)]
    assert shares[0] > 0.4 and shares[1] < 0.1, shares
    origins = {each["origin"] for each in held}
    assert origins and not origins & {each["origin"] for each in crawl}, "no part of a held-out article was learned from"
    assert len(Index(str(tmp_path / "heldout_text_document")).lengths) == len(held)
    losses = re.findall(r"(crawl|clean)1\.log:eval ([\d.]+) \(", done.stdout)
    assert {name for name, _ in losses} == {"crawl", "clean"}, done.stdout
