"""--dedup substring: every passage that was there before is cut, the first stays; against all windows, one by one."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import texts
from tests.corpus.dedup.case import Case

LENGTH = 16
PIECES = ["the same passage of text", " and on", "中文的一段话在这里重复", "é🙂", "x", " \n", "another passage here"]
WORDS = st.sampled_from(PIECES)
DOCUMENTS = st.lists(WORDS, min_size=1, max_size=6).map("".join)


def uncut(documents: list[str], order: list[int]) -> list[str]:
    """What is left of each: bytes that are in no window of LENGTH that began earlier in the order, but for cut characters."""
    seen: set[bytes] = set()
    left: dict[int, str] = {}
    for number in order:
        data = documents[number].encode()
        copied = [False] * len(data)
        for place in range(len(data) - LENGTH + 1):
            window = data[place : place + LENGTH]
            if window in seen:
                copied[place : place + LENGTH] = [True] * LENGTH
            seen.add(window)
        place, kept = 0, []
        for character in documents[number]:
            size = len(character.encode())
            if not all(copied[place : place + size]):
                kept.append(character)
            place += size
        left[number] = "".join(kept)
    return [left[number] for number in range(len(documents))]


@given(
    documents=st.lists(st.tuples(DOCUMENTS, st.sampled_from(["web", "books"])), min_size=1, max_size=8),
    cut=st.integers(1, 3),
    memory=st.sampled_from(["2", "1e-6"]),
    priority=st.booleans(),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_left_is_what_no_window_had_before(documents, cut, memory, priority, tmp_path_factory):
    records = [{"text": text, "source": source} for text, source in documents if text.strip()]
    shards = [records[place : place + cut] for place in range(0, len(records), cut)] or [[{"text": "x", "source": "web"}]]
    flags = ["--dedup", "substring", "--substring-length", LENGTH, "--dedup-min-left", 0, "--dedup-memory", memory]
    case = Case(tmp_path_factory.mktemp("substring"), shards, *flags, *(["--dedup-priority", "books"] if priority else []))
    order = list(range(len(case.records)))
    if priority:
        order.sort(key=lambda number: case.records[number]["source"] != "books")
    left = uncut([record["text"] for record in case.records], order)
    expected = {record["id"]: text for record, text in zip(case.records, left) if text.strip()}
    assert {record["id"]: record["text"] for record in case.kept} == expected


def test_of_what_is_short_afterwards_nothing_stays(tmp_path):
    piece = texts.library_texts(2)[1][:1500]
    case = Case(tmp_path, [[piece, "A beginning. " * 10 + piece, "short " + piece]], "--dedup", "substring")
    assert case.ids() == ["0-0", "0-1"] and case.kept[1]["text"] == "A beginning. " + ("A beginning. " * 9)
    assert "6 characters left, at least 100" not in case.gone("substring")["0-2"]
    assert case.gone("substring")["0-2"].startswith("5 characters left, at least 100")
