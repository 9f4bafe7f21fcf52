"""Figures as people read them."""

from collections import Counter

import numpy as np
import pytest

from megatron_ext.evaluation.tokenizers.compare import Compared, Comparison
from megatron_ext.evaluation.tokenizers.measures import Lost, Measures
from megatron_ext.evaluation.tokenizers.report import Titled, as_json, losses, markdown, percent, spread, tables
from megatron_ext.tokenizers.round_trip import Loss
from tests.evaluation.tokenizers.test_measures import Bytes


def comparison(*names, sources=("a",), **measures) -> Comparison:
    """With one measure for all."""
    counts = np.bincount([1, 1, 2], minlength=257)
    sums = dict(documents=2, kept=2, size=6, characters=6, words=2, seconds=1e-6)
    compared = [
        Compared(
            name, f"{name}.json", "huggingface", Bytes(), {each: Measures(counts, **sums | measures) for each in sources}, {}
        )
        for name in names
    ]
    return Comparison(compared, {each: Counter(documents=2, bytes=6, characters=6, words=2) for each in sources}, 0)


@pytest.mark.parametrize(("share", "said"), [
    (1, "100%"), (0.99999, ">99.9%"), (0.999, "99.9%"), (0.5, "50.0%"), (0.0001, "<0.1%"), (0, "0%"), (float("nan"), "nan%"),
])  # fmt: skip
def test_all_and_none_are_exact(share, said):
    assert percent(share) == said


def test_seeds_are_a_mean_and_half_of_their_span():
    assert spread([]) == "–" and spread([1.25]) == "1.250" and spread([1.0, 1.1, 1.5]) == "1.200 ± 0.250"


def test_all_texts_together_only_where_there_are_several_sources():
    one, two = comparison("x"), comparison("x", "y", sources=("a", "b"))
    assert [table.title.partition(":")[0] for table in tables(one, 2.5, None)] == ["The tokenizers", "a"]
    assert [table.title.partition(":")[0] for table in tables(two, 2.5, None)] == ["The tokenizers", "a", "b", "all"]
    assert "all: 4 documents" in tables(two, 2.5, None)[-1].title
    assert as_json(two, 2.5, None)["tokenizers"][0]["texts"]["all"]["tokens"] == 6
    assert [len(row) for table in tables(two, 2.5, 8) for row in table.rows] == [9, 9] + [9] * 6


def test_what_cannot_be_said_is_null():
    found = comparison("x", words=0, seconds=0.0)
    of_all = as_json(found, 2.5, None)["tokenizers"][0]
    assert of_all["texts"]["a"]["fertility"] is None and of_all["mb_per_cpu_second"] is None


def test_losses_name_the_tokenizer_the_count_and_the_place():
    assert losses(comparison("x")) == []
    found = comparison("x", kept=1, lost=Lost("a.jsonl, line 3", Loss(7, "Ａ b", "A b")))
    where = "the first: a.jsonl, line 3, character 7, 'Ａ' (U+FF21): 'Ａ b' comes back as 'A b'"
    assert losses(found) == [f"x does not keep 1 of 2 documents; {where}"]
    lost = {"document": "a.jsonl, line 3", "place": 7, "given": "Ａ b", "back": "A b"}
    assert as_json(found, 2.5, None)["tokenizers"][0]["lost"] == lost
    refused = comparison("x", kept=0, refused=1, lost=Lost("a", None))
    assert losses(refused) == ["x does not keep 2 of 2 documents (1 it cannot encode); the first: a"]
    assert as_json(refused, 2.5, None)["tokenizers"][0]["lost"] == {"document": "a"}


def test_markdown_is_a_table():
    said = markdown([Titled("T", ["tokenizer", "b"], [["x|y", "1"]])])
    assert said == "**T**\n\n| tokenizer | b |\n|---|---:|\n| x\\|y | 1 |\n"


def test_the_summary_has_a_column_for_each_of_a_few_sources():
    few, many = comparison("x", sources="abcdef"), comparison("x", sources="abcdefg")
    of_sources = lambda found: [name for name in tables(found, 2.5, None)[0].columns if name.startswith("bytes a token, ")]
    assert of_sources(few) == [f"bytes a token, {name}" for name in "abcdef"] and of_sources(many) == ["bytes a token, all"]
    few.tokenizers[0].model_scores["all"] = [1.5]
    assert tables(few, 2.5, None)[0].columns[-1] == "model's bits a byte" and tables(few, 2.5, None)[0].rows[0][-1] == "1.500"
