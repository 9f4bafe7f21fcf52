"""Which documents a sample holds: by weight, by size, the same everywhere, none twice."""

import collections

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.data.flags import SampleFlags
from megatron_ext.data.sampling import Sample
from tests import texts

SIZES = {"a": 4000, "b": 1000}
"""Documents of the two sources; each has 100 bytes."""


@pytest.fixture
def sources(tmp_path):
    for name, count in SIZES.items():
        texts.write_jsonl(tmp_path / f"{name}.jsonl", [f"{name}{number:05}".ljust(100, "é")[:53] for number in range(count)])
    return [str(tmp_path / f"{name}.jsonl") for name in SIZES]


def sample(inputs, *argv):
    config = read([InputFlags, SampleFlags], ["--input", *inputs, *map(str, argv)], "x", "")
    return Sample(config.input, config.sample)


def of(found):
    return collections.Counter(text[0] for text in found)


def test_without_flags_it_is_all_of_the_text_in_order(sources):
    found = sample(sources)
    got = list(found)
    assert [text[:6] for text in got] == [f"{name}{number:05}" for name, count in SIZES.items() for number in range(count)]
    assert [(source.taken, source.taken_size) for source in found.sources] == [(4000, 400_000), (1000, 100_000)]


@pytest.mark.parametrize(("weights", "expected"), [((1, 1), (1000, 1000)), ((0.9, 0.1), (4000, 444)), ((7, 3), (2333, 1000))])
def test_weights_alone_take_all_of_the_scarcest_source(sources, weights, expected):
    """Each document is drawn alone: so many, within five standard deviations of the binomial."""
    found = of(sample(sources, "--weights", *weights))
    for name, wanted in zip(SIZES, expected):
        deviation = (wanted * (1 - wanted / SIZES[name])) ** 0.5
        assert abs(found[name] - wanted) <= 5 * deviation + 1


def test_megabytes_are_shared_by_weight_or_taken_evenly(sources):
    for weights, expected in (((), (1600, 400)), (("--weights", 3, 1), (1500, 500))):
        found = of(sample(sources, "--sample-megabytes", 0.2, *weights))
        for name, wanted in zip(SIZES, expected):
            assert abs(found[name] - wanted) < 5 * wanted**0.5


def test_the_seed_alone_decides_and_a_larger_sample_holds_the_smaller(sources):
    small, again, large = (set(sample(sources, "--sample-megabytes", size)) for size in (0.1, 0.1, 0.3))
    other = set(sample(sources, "--sample-megabytes", 0.1, "--seed", 5))
    assert small == again and small < large
    assert len(small & other) < 0.5 * len(small)


def test_the_split_over_files_changes_nothing(sources, tmp_path):
    whole = list(sample(sources[:1], "--sample-megabytes", 0.05))
    lines = (tmp_path / "a.jsonl").read_text().splitlines(keepends=True)
    for number in range(3):
        (tmp_path / f"part{number}.jsonl").write_text("".join(lines[number * 1500 : (number + 1) * 1500]))
    assert list(sample([str(tmp_path / "part*.jsonl")], "--sample-megabytes", 0.05)) == whole


def test_it_may_be_gone_through_again(sources):
    found = sample(sources, "--weights", 1, 1)
    assert list(found) == list(found)
    assert sum(source.taken for source in found.sources) == len(list(found))


def test_more_than_there_is_is_all_of_it_but_not_by_weight(sources):
    assert len(list(sample(sources, "--sample-megabytes", 99))) == 5000
    with pytest.raises(
        UserError, match=r"b.jsonl has 0.100 MB, and its share by --weights is 0.200 MB; ask for at most 0.200 MB"
    ):
        sample(sources, "--weights", 1, 1, "--sample-megabytes", 0.4)


def test_rejected_records_are_counted_and_take_no_share(sources, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "good one"}\nnot json\n{"other": 1}\n')
    found = sample([str(bad)])
    assert list(found) == ["good one"] and found.sources[0].rejected == 2


def test_nothing_usable_is_said(sources, tmp_path):
    texts.write_jsonl(tmp_path / "other.jsonl", ["x"], key="other")
    with pytest.raises(UserError, match="no document could be used .1 rejected, by --json-key text"):
        list(sample([str(tmp_path / "other.jsonl")]))
    with pytest.raises(UserError, match="other.jsonl: no document could be used .* and it has a weight"):
        sample([sources[0], str(tmp_path / "other.jsonl")], "--weights", 1, 1)
    with pytest.raises(UserError, match="none of the 5,000 documents was drawn"):
        list(sample(sources, "--sample-megabytes", 1e-9))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--weights", 1], "--weights 1: are not as many as --input names, 2"),
        (["--weights", 1, 0], "--weights .*: must be above 0"),
        (["--sample-megabytes", -1], "--sample-megabytes .*must be above 0"),
    ],
)
def test_bad_flags(sources, argv, said):
    with pytest.raises(ConfigurationError, match=said):
        sample(sources, *argv)
