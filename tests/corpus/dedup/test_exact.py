"""--dedup exact: one copy of each text stays, the one that should; against a dictionary of normalised texts."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.dedup.case import Case
from tests.corpus.engine import runs

FEW = ["one text", "One  text!", "ONE TEXT", "another", "ｏｎｅ text", "第一", "第一。", "", "!?", "...", "one\u00adtext"]


def normal(text: str) -> str:
    """By the letter of --dedup-ignore's help: NFKC and nothing unseen, small letters, no punctuation, single spaces."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u00ad", "")
    marks = [c for c in text if unicodedata.category(c)[0] in "PS"]
    for mark in marks:
        text = text.replace(mark, " ")
    return " ".join(text.split())


@given(shards=st.lists(st.lists(st.sampled_from(FEW), min_size=1, max_size=8), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_first_of_each_text_stays(shards, tmp_path_factory):
    case = Case(tmp_path_factory.mktemp("exact"), shards, "--dedup", "exact")
    used = [record for record in case.records if record["text"].strip()]
    first: dict[str, str] = {}
    for record in used:
        first.setdefault(normal(record["text"]) or record["id"], record["id"])
    assert case.ids() == [record["id"] for record in used if record["id"] in first.values()]
    for id, why in case.gone("exact").items():
        text = normal(next(record["text"] for record in used if record["id"] == id))
        assert why == f"the same as {first[text]}"


def test_what_does_not_count_is_said(tmp_path):
    texts = ["One.two", "one.two", "One.two\n", "One two", "Ｏne.two"]
    expected = {"unicode": [1, 2, 3], "case": [2, 3, 4], "whitespace": [1, 3, 4], "punctuation": [1, 2, 4]}
    for ignored, kept in expected.items():
        case = Case(tmp_path / ignored, [texts], "--dedup", "exact", "--dedup-ignore", ignored)
        assert [case.records.index(record) for record in case.kept] == [0, *kept], ignored


def test_short_texts_may_be_left_alone(tmp_path):
    case = Case(tmp_path, [["yes", "yes", "a long answer", "a long answer"]], "--dedup", "exact", "--exact-min-length", 4)
    assert case.ids() == ["0-0", "0-1", "0-2"]


@pytest.mark.parametrize("priority", [(), ("books",), ("wiki", "books")])
def test_the_copy_of_the_preferred_source_stays(priority, tmp_path):
    sources = ["web", "books", "wiki", "web", "books"]
    shards = [[{"text": text, "source": source} for text in ("same", f"own {n}")] for n, source in enumerate(sources)]
    flags = ["--dedup-priority", *priority] if priority else []
    case = Case(tmp_path, shards, "--dedup", "exact", *flags)
    order = [*priority, None]
    preferred = next((n for source in order[:-1] for n, s in enumerate(sources) if s == source), 0)
    assert [id for id in case.ids() if id.endswith("-0")] == [f"{preferred}-0"]
    assert len(case.kept) == 1 + len(sources), "of other documents none is lost, and the order is the corpus' own"
    assert case.ids() == sorted(case.ids())


def test_an_older_corpus_counts_as_seen(tmp_path):
    old = Case(tmp_path / "old", [["alpha", "beta"], ["gamma"]], "--dedup", "exact")
    flags = ["--dedup", "exact", "--dedup-against", old.out, "--dedup-priority", "web"]
    new = Case(tmp_path / "new", [["Beta.", "delta"], ["delta", "gamma", "epsilon"]], *flags)
    assert [record["text"] for record in new.kept] == ["delta", "epsilon"]
    assert new.gone("exact") == {"0-0": "the same as 0-1", "1-0": "the same as 0-1", "1-1": "the same as 1-0"}
    assert runs.kept(old.out) == old.kept and len(old.kept) == 3


def test_memory_sets_the_slices_and_they_change_nothing(tmp_path):
    shards = [[f"text {n % 7}" for n in range(50)] for _ in range(3)]
    whole = Case(tmp_path / "whole", shards, "--dedup", "exact")
    slices = Case(tmp_path / "slices", shards, "--dedup", "exact", "--dedup-memory", 1e-6)
    assert whole.kept == slices.kept and len(whole.kept) == 7
    assert len(list((slices.out / "manifests" / "exact.find").iterdir())) > 1


def test_documents_of_one_name_are_shown_beside_their_own_copies(tmp_path):
    pairs = [{"id": "same", "text": text} for text in ("alpha", "beta", "gamma", "alpha", "beta", "gamma")]
    case = Case(tmp_path, [pairs], "--dedup", "exact")
    runs.good(*case.flags)
    step = json.loads((case.out / "receipt.json").read_text())["steps"][-1]
    samples = step["samples"]["exact_duplicate"]
    assert sorted(sample["text"] for sample in samples) == ["alpha", "beta", "gamma"]
    assert all(sample["other"] == sample["text"] for sample in samples)


def test_time_is_that_of_all_its_stages(tmp_path):
    case = Case(tmp_path, [["alpha", "beta", "alpha"]], "--dedup", "exact")
    runs.good(*case.flags)
    manifests = [json.loads(path.read_text()) for path in (case.out / "manifests").glob("exact*/*.json")]
    receipt = json.loads((case.out / "receipt.json").read_text())
    assert len(manifests) == 4
    assert receipt["steps"][-1]["seconds"] == pytest.approx(sum(manifest["seconds"] for manifest in manifests))
