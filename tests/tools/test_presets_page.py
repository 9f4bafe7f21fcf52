"""docs/presets.md is what the presets and their published sizes say."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.config import PRESETS
from tools.presets_page import PAGE, page, rate, short


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tools/presets_page.py"


def test_all_published_models_are_there():
    text = PAGE.read_text(encoding="utf-8")
    for name in PRESETS.names():
        assert (f"\n| `{name.replace('_', '-')}` |" in text) == (name != "tiny"), name


@pytest.mark.parametrize(("number", "text"), [
    (6_738_415_616, "6.738 B"), (124_600_000, "124.6 M"), (15_600_000_000_000, "15.6 T"), (524_288, "0.5243 M"),
    (176_247e6, "176.2 B"), (4_194_304, "4.194 M"),
])  # fmt: skip
def test_four_figures(number, text):
    assert short(number) == text


def test_rates():
    assert [rate(value) for value in (6e-4, 1.85e-4, 8e-7, 0.6e-5, 1e-10)] == ["6e-4", "1.85e-4", "8e-7", "6e-6", "1e-10"]
