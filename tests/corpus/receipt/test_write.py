"""The receipt: pictures of distributions, warnings of what should be looked at twice, a page that needs nothing else."""

import html.parser
import math
import re

import numpy as np
import pytest

from megatron_ext.corpus.cleaning.tally import Distribution, Few, Sample, StepTally, Tally
from megatron_ext.corpus.receipt import charts
from megatron_ext.corpus.receipt.write import page, share, size, time, warnings_of


def distribution(values):
    found = Distribution()
    found.add(np.array(values, float))
    return found


def tally(read=10, dropped=0, edited=0, found=0, rule="scrub"):
    steps = [StepTally("read", ["characters"]), StepTally(rule)]
    for step in steps:
        step.documents, step.bytes = read, 100 * read
    if dropped:
        steps[1].dropped["r"] = [dropped, 100 * dropped]
    steps[1].edited, steps[1].found["email"] = edited, found
    return Tally(steps)


def test_quantiles_are_numpys_on_values_of_two_digits():
    values = [float(f"{v:.1e}") for v in np.random.default_rng(0).lognormal(3, 2, 2001)]
    for part in (0.005, 0.25, 0.5, 0.995):
        assert charts.quantile(distribution(values), part) == np.quantile(values, part, method="inverted_cdf")
    assert math.isnan(charts.quantile(distribution([]), 0.5))


@pytest.mark.parametrize(
    ("values", "log"), [([1, 10, 100, 5000], True), ([0.1, 0.2, 0.9], False), ([-5, 0, 5], False), ([3], False)]
)
def test_every_document_is_in_a_bar(values, log):
    found = distribution(values)
    scale = charts.scale_of(found)
    bars = charts.bars(found, scale)
    assert scale.log == log and sum(bars) == len(values) and len(bars) == charts.BARS
    assert [scale.bar(value) for value in sorted(values)] == sorted(scale.bar(value) for value in values)


def test_bars_are_as_tall_as_there_are_documents():
    drawn = charts.chart(distribution([1] * 10 + [2] * 5), distribution([2] * 5))
    tall = {kind: [float(h) for h in re.findall(rf'class="{kind}"[^>]*height="([\d.]+)"', drawn)] for kind in ("before", "after")}
    assert tall["before"] == [74.0, 37.0] and tall["after"] == [37.0]
    assert charts.chart(distribution([]), distribution([])) == ""


@pytest.mark.parametrize(("step", "said"), [
    (tally(dropped=10, rule="c4"), "c4 dropped every one of 10 documents"),
    (tally(rule="c4"), "c4 dropped nothing of 10 documents"),
    (tally(), "scrub found nothing in 10 documents"),
    (tally(read=0), "the input holds no document"),
])  # fmt: skip
def test_a_step_that_does_nothing_or_everything_is_a_warning(step, said):
    assert warnings_of(step) == [said]


def test_a_step_that_does_its_work_is_none():
    assert (
        warnings_of(tally(dropped=3, rule="c4")) == warnings_of(tally(edited=1, rule="c4")) == warnings_of(tally(found=2)) == []
    )


class _Links(html.parser.HTMLParser):
    found = ()

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.found += tuple(named[key] for key in ("src", "href") if key in named) + ((tag,) if tag in ("script", "link") else ())


def test_the_page_needs_nothing_else_and_shows_texts_as_they_are():
    whole = tally(dropped=2, rule="read")
    whole.steps[1].dropped, whole.steps[1].samples = (
        {"empty": [2, 0]},
        {"empty": Few([Sample(1, "x", "y", "d", "<script>alert(1)</script>")])},
    )
    about = {"whole": False, "warnings": ["<b>odd</b>"], "input": ["a&b"], "shards": 1, "worker_seconds": 2.0}
    made = page(about, whole)
    links = _Links()
    links.feed(made)
    assert links.found == () and "<script>" not in made and "&lt;script&gt;alert(1)&lt;/script&gt;" in made
    assert "&lt;b&gt;odd&lt;/b&gt;" in made and "not whole" in made


def test_numbers_as_a_person_reads_them():
    assert [charts.number(v) for v in (0.8312, 12, 4100, 1234567, 2.5e9, float("nan"))] == [
        "0.831",
        "12",
        "4,100",
        "1.23 M",
        "2.5 G",
        "–",
    ]
    assert [size(v) for v in (12, 1500, 2.5e6, 3e9)] == ["12 B", "1.5 kB", "2.5 MB", "3.0 GB"]
    assert (share(1, 3), share(1, 0), share(1, 5000), share(0, 5)) == ("33.3%", "–", "< 0.1%", "0.0%")
    assert [time(v) for v in (None, 0.44, 95, 720, 12_600)] == ["", "0.4 s", "95 s", "12 min", "3.5 h"]


def test_the_waterfall_shows_what_stays_what_is_lost_and_where_the_time_went():
    found = tally(read=10, dropped=4, rule="c4")
    found.steps[1].dropped = {"c4_few_sentences": [4, 400]}
    found.steps[1].seconds, found.kept = 2.0, [6, 600]
    about = {"whole": True, "warnings": [], "input": ["a"], "shards": 1, "worker_seconds": 5.0}
    rows = re.findall(r"<tr><td><b>(\w+)</b></td>(.*?)</tr>", page(about, found), re.DOTALL)
    assert [name for name, _ in rows] == ["read", "c4", "kept"]
    widths = [re.findall(r"width:([\d.]+)%", row) for _, row in rows]
    assert widths == [["100.0", "0.0"], ["60.0", "40.0"], ["60.0"]]
    assert "3.0 s" in rows[0][1] and "2.0 s" in rows[1][1] and "40.0%" in rows[1][1]


def test_sources_that_lost_copies_come_first_and_others_are_one_line():
    made = tally(rule="exact")
    made.steps[1].sources = {f"s{number:02}": [100, number] for number in range(30)}
    made.steps[1].set_numbers({"copies of a document": {2.0: 5}})
    shown = page({"input": [], "shards": 1, "worker_seconds": 1.0, "whole": True, "warnings": []}, made)
    assert re.findall(r">of (.+?)</td><td>([\d,]+)</td><td>(\d*)</td>", shown) == [
        *((f"s{number:02}", "100", str(number)) for number in range(29, 9, -1)), ("10 others", "1,000", "45"),
    ]  # fmt: skip
    assert "<figcaption>copies of a document · 2</figcaption>" in shown
