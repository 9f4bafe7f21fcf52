"""Bars as long as their figures, also where there is none."""

import math
from xml.etree import ElementTree

from megatron_ext.evaluation.tokenizers.picture import PANEL, panels_of, picture
from tests.evaluation.tokenizers.test_report import comparison

SPACE = "{http://www.w3.org/2000/svg}"


def test_names_and_sources_of_any_kind_are_text():
    svg = ElementTree.fromstring(picture(comparison("<a&b>", "y", sources=("c<d", "e")), 2.5))
    said = [text.text for text in svg.iter(f"{SPACE}text")]
    assert "<a&b>" in said and "c<d: bytes a token" in said


def test_models_have_bars_from_below_the_least_and_a_dash_where_there_is_none():
    found = comparison("x", "y", "z")
    found.tokenizers[0].model_scores["a"] = [2.0, 2.2]
    found.tokenizers[2].model_scores["a"] = [2.5]
    panel = panels_of(found, 2.5)[-1]
    assert panel.title[0] == "a: model's bits/byte" and panel.values[1:] == [None, 2.5] and math.isclose(panel.values[0], 2.1)
    svg = ElementTree.fromstring(picture(found, 2.5))
    bars = [float(bar.get("width")) for bar in svg.findall(f"{SPACE}rect")[-2:]]
    assert bars[1] == PANEL and math.isclose(bars[0], PANEL * 0.1 / 0.5, abs_tol=0.1)
    assert [text.text for text in svg.iter(f"{SPACE}text")].count("–") == 1


def test_all_equal_scores_have_bars():
    found = comparison("x", "y")
    for each in found.tokenizers:
        each.model_scores["a"] = [2.0]
    svg = ElementTree.fromstring(picture(found, 2.5))
    assert all(float(bar.get("width")) > 0 for bar in svg.findall(f"{SPACE}rect")[-2:])
