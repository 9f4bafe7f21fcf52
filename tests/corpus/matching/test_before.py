"""What --dedup-against holds the corpus against, and whose copies stay: what cannot be meant is told."""

from __future__ import annotations

import json

import pytest

from megatron_ext.arguments.problems import UserError
from tests.corpus.engine import runs


@pytest.fixture
def flags(tmp_path):
    texts = [{"text": "one", "source": "web"}, {"text": "two", "source": "books"}, {"text": "One", "source": "books"}]
    return ["--input", runs.write(tmp_path / "in.jsonl", texts), "--output", tmp_path / "out", "--dedup", "exact"]


def test_an_older_corpus_whose_texts_have_another_key_is_told(flags, tmp_path):
    """Else nothing would be compared, and nothing said."""
    old = runs.write(tmp_path / "old.jsonl", [{"content": "one"}, {"content": "two"}])
    with pytest.raises(UserError, match=r"--dedup-against .*old.jsonl: holds no document .*there is no 'text'.* --text-key text"):
        runs.here(*flags, "--dedup-against", old)
    runs.write(old, [{"content": "one"}, {"text": "two"}])  # some of it may be anything
    assert [line["text"] for line in runs.kept(runs.here(*flags, "--dedup-against", old))] == ["one"]
    runs.write(old, [])
    assert [line["text"] for line in runs.kept(runs.here(*flags, "--dedup-against", old))] == ["one", "two"]


def test_a_preferred_source_that_there_is_not_is_a_warning(flags, tmp_path):
    done = runs.good(*flags, "--workers", "1", "--dedup-priority", "book", "web")
    said = "--dedup-priority book: is the source of no document; did you mean books?"
    assert said in done.stderr and "--dedup-priority web" not in done.stderr
    assert said in json.loads((tmp_path / "out" / "receipt.json").read_text())["warnings"]
    twice = runs.call(*flags, "--dedup-priority", "web", "books", "web")
    assert twice.returncode == 2 and "--dedup-priority web: is given twice; name each source once" in twice.stderr


def test_so_little_memory_that_jobs_have_no_end_is_refused(flags):
    with pytest.raises(UserError, match=r"--dedup-memory 1e-15 GB: makes [\d,]+ jobs of one stage, 100,000 at most; give more"):
        runs.here(*flags, "--dedup-memory", "1e-15")
