"""--dedup minhash through the stages: planted copies go, one of each cluster stays, and which is a flag's word."""

from __future__ import annotations

import json
import random

import pytest

from megatron_ext.corpus.dedup import minhash
from tests import texts
from tests.corpus.dedup.case import Case
from tests.corpus.engine import runs


def edited(text: str, share: float, draw: random.Random) -> str:
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if word.strip()]
    for place in draw.sample(places, int(share * len(places))):
        words[place] = f"other{draw.randrange(10**6)}"
    return " ".join(words)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Thirty texts, of each a copy with few words changed and one with many, in three shards."""
    draw = random.Random(0)
    originals = texts.library_texts(60)[20:50]
    records = []
    for number, text in enumerate(originals):
        records += [{"id": f"{number}", "text": text, "source": "web"}]
        records += [{"id": f"{number}-near", "text": edited(text, 0.01, draw) + " and a longer end", "source": "books"}]
        records += [{"id": f"{number}-far", "text": edited(text, 0.3, draw), "source": "web"}]
    draw.shuffle(records)
    return [records[place::3] for place in range(3)], tmp_path_factory.mktemp("planted")


def clusters(case: Case) -> dict[str, set[str]]:
    """What went, by what stayed for it."""
    found: dict[str, set[str]] = {}
    for id, why in case.gone("minhash").items():
        found.setdefault(why.removeprefix("like "), set()).add(id)
    return found


CHARACTERS = ("--minhash-units", "characters", "--minhash-ngram", 25)


@pytest.mark.parametrize("flags", [(), ("--no-minhash-check",), ("--dedup-memory", 1e-4), CHARACTERS])
def test_near_copies_go_and_far_ones_stay(flags, planted):
    shards, folder = planted
    case = Case(folder / "-".join(map(str, flags)), shards, "--dedup", "minhash", "--minhash-threshold", 0.7, *flags)
    first = {}
    for record in case.records:
        if not record["id"].endswith("far"):
            first.setdefault(record["id"].partition("-")[0], record["id"])
    other = {number: id.partition("-")[0] + ("" if "-" in id else "-near") for number, id in first.items()}
    assert clusters(case) == {first[number]: {other[number]} for number in first}
    assert case.ids() == [record["id"] for record in case.records if record["id"] not in other.values()]


def test_pairs_may_be_joined_band_by_band(planted, monkeypatch):
    """As with more pairs than are held at once."""
    shards, folder = planted
    usual = Case(folder / "at once", shards, "--dedup", "minhash", "--minhash-threshold", 0.7)
    monkeypatch.setattr(minhash, "AT_ONCE", 5)
    assert clusters(Case(folder / "by bands", shards, *usual.flags[4:])) == clusters(usual) != {}


def test_the_longest_or_the_preferred_source_may_stay(planted):
    shards, folder = planted
    for name, flags in {"longest": ("--minhash-keep", "longest"), "books": ("--dedup-priority", "books")}.items():
        case = Case(folder / name, shards, "--dedup", "minhash", "--minhash-threshold", 0.7, *flags)
        assert set(case.gone("minhash")) == {str(number) for number in range(30)}, name
    flags = ("--minhash-keep", "longest", "--dedup-priority", "web")
    case = Case(folder / "both", shards, "--dedup", "minhash", "--minhash-threshold", 0.7, *flags)
    assert set(case.gone("minhash")) == {f"{number}-near" for number in range(30)}


def test_every_flag_of_signatures_matters(planted):
    """Threshold, bands and rows, permutations and seed each lead to other candidates, or to other keys of them."""
    shards, folder = planted
    asked = {
        "usual": [],
        "threshold": ["--minhash-threshold", 0.97],
        "bands": ["--minhash-bands", 40, "--minhash-rows", 2],
        "permutations": ["--minhash-permutations", 16],
        "seed": ["--minhash-seed", 2],
        "n": ["--minhash-ngram", 1],
    }
    found = {}
    for name, flags in asked.items():
        case = Case(folder / name, shards, "--dedup", "minhash", "--no-minhash-check", *flags)
        keys = [path.read_bytes() for path in sorted((case.out / "work" / "minhash" / "sign").iterdir())]
        found[name] = (set(case.gone("minhash")), keys)
    assert len(found["threshold"][0]) < len(found["usual"][0]) < len(found["bands"][0])
    assert all(found[name][1] != found["usual"][1] for name in asked if name != "usual")


def test_the_receipt_shows_clusters_pairs_and_sources(planted):
    shards, folder = planted
    case = Case(folder / "receipt", shards, "--dedup", "minhash", "--minhash-threshold", 0.7)
    runs.good(*case.flags)
    receipt = json.loads((case.out / "receipt.json").read_text())
    [reading, step] = receipt["steps"]
    assert reading["documents"] == 90 and step["dropped"] == {"near_duplicate": [30, step["bytes"] - receipt["kept"][1]]}
    assert step["before"] == {"copies of a document": [[2.0, 30]]}
    assert sum(dropped for _, dropped in step["sources"].values()) == 30 and step["sources"].keys() == {"web", "books"}
    by_id = {record["id"]: record["text"] for record in case.records}
    for sample in step["samples"]["near_duplicate"]:
        _, other, alike = sample["detail"].split()
        assert sample["other"] == by_id[other][:1200] and 0.7 <= float(alike.strip("()")) < 1
    page = (case.out / "receipt.html").read_text()
    assert "copies of a document" in page and 'class="pair"' in page and "nearly the same text was there before" in page
    assert not (case.out / "work").exists()


def test_bands_and_rows_that_do_not_fit_are_refused(tmp_path):
    for flags, says in {
        ("--minhash-bands", "20"): "go together, and one is given",
        ("--minhash-permutations", "9000"): "up to which bands are chosen by the threshold; give --minhash-bands and",
        ("--minhash-bands", "20", "--minhash-rows", "10"): "take 200 values, of --minhash-permutations 128",
    }.items():
        done = runs.call("--input", __file__, "--output", tmp_path, "--dedup", "minhash", *flags)
        assert done.returncode == 2 and says in done.stderr
