"""--dedup line: what was there before is cut, line by line, against a loop over all lines."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.matching.pieces import pieces
from tests.corpus.dedup.case import Case
from tests.corpus.dedup.test_exact import normal

LINES = [
    "Home | News | About us",
    "home news about us",
    "A sentence of its own. ",
    "今天天气很好，我们去散步。",
    "é🙂 accents here",
    "short",
    "\n\n",
    "\n",
]
DOCUMENTS = st.lists(st.sampled_from(LINES), min_size=1, max_size=8).map("\n".join)


@given(
    documents=st.lists(st.tuples(DOCUMENTS, st.sampled_from(["web", "books"])), min_size=1, max_size=8),
    unit=st.sampled_from(["line", "sentence", "paragraph"]),
    times=st.integers(2, 3),
    memory=st.sampled_from(["2", "1e-6"]),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_left_is_what_was_not_there_before(documents, unit, times, memory, tmp_path_factory):
    records = [{"text": text, "source": source} for text, source in documents if text.strip()] or [{"text": "x", "source": "web"}]
    flags = ["--dedup", "line", "--line-unit", unit, "--line-min-length", 8, "--line-min-times", times, "--dedup-min-left", 0]
    flags += ["--dedup-memory", memory, "--dedup-priority", "books"]
    case = Case(tmp_path_factory.mktemp("line"), [records[place : place + 2] for place in range(0, len(records), 2)], *flags)
    often = Counter(normal(piece) for record in case.records for piece in pieces(record["text"], unit))
    seen, left = set(), {}
    for record in sorted(case.records, key=lambda record: record["source"] != "books"):
        kept = ""
        for piece in pieces(record["text"], unit):
            same = normal(piece)
            kept += "" if len(same) >= 8 and often[same] >= times and same in seen else piece
            seen.add(same)
        left[record["id"]] = kept
    expected = {record["id"]: left[record["id"]] for record in case.records if left[record["id"]].strip()}
    assert {record["id"]: record["text"] for record in case.kept} == expected


@pytest.mark.parametrize("least", [10, 40])
def test_of_what_is_short_afterwards_nothing_stays(least, tmp_path):
    menu = "Home, News, Sports, Weather, About"
    case = Case(tmp_path, [[f"{menu}\nthe first story", f"{menu}\nanother story"]], "--dedup", "line", "--dedup-min-left", least)
    assert case.ids() == ["0-0", "0-1"][: 1 + (least == 10)]
    if least == 40:
        assert case.gone("line")["0-1"] == "13 characters left, at least 40; 35 bytes were there before"


def test_the_last_line_of_a_text_is_the_line_that_it_is_elsewhere(tmp_path):
    """It has no line end, which is no difference, also where whitespace is one."""
    flags = ["--dedup", "line", "--dedup-ignore", "case", "--dedup-min-left", 1]
    case = Case(tmp_path, [["one long line for all\nmore", "less\none long line for all"]], *flags)
    assert [record["text"] for record in case.kept] == ["one long line for all\nmore", "less\n"]
