"""From flags to samples: which documents are trained on, evaluated on and tested on, and what is said when that cannot be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.blend import Blend
from megatron_ext.data.build import build, split_documents
from megatron_ext.data.flags import DataFlags
from megatron_ext.data.in_order import InOrder
from megatron_ext.data.mock import MockSamples
from megatron_ext.data.packing import PackedSamples
from tests.data.pairs import write_numbered


@pytest.fixture
def pairs(tmp_path):
    """Prefixes of four pairs of a hundred documents; tokens of the n-th begin at n × 100,000."""
    lengths = [10 + number % 7 for number in range(100)]
    return [write_numbered(tmp_path / name, lengths, first=100_000 * number) for number, name in enumerate("abcd")]


def flags(**given):
    return DataFlags(**{name: (value,) if name.endswith("data_path") and isinstance(value, str) else value
                        for name, value in given.items()})  # fmt: skip


def tokens(samples, count):
    return np.concatenate([samples[number] for number in range(count)])


def whole(samples):
    """The documents of an epoch."""
    return samples.documents.first, samples.documents.last


def test_one_pair_is_split(pairs):
    data = build(flags(data_path=pairs[0], split="80,15,5"), 8, seed=1)
    assert isinstance(data.train, PackedSamples)
    assert [whole(data.train), whole(data.valid[0].samples), whole(data.test[0].samples)] == [(0, 80), (80, 95), (95, 100)]
    assert [each.name for each in (*data.valid, *data.test)] == ["validation", "test"]


def test_without_evaluation_there_is_none(pairs):
    data = build(flags(data_path=pairs[0], split="80,15,5"), 8, seed=1, evaluates=False)
    assert (data.valid, data.test) == ((), ())


def test_a_test_share_below_a_sample_is_no_test(pairs):
    data = build(flags(data_path=pairs[0], split="80,19,1"), 16, seed=1)
    assert data.test == ()
    assert whole(build(flags(data_path=pairs[0], split="80,19,1"), 8, seed=1).test[0].samples) == (99, 100)


def test_sets_of_their_own_leave_all_for_training(pairs):
    data = build(flags(data_path=pairs[0], valid_data_path=pairs[1], test_data_path=pairs[2]), 8, seed=1)
    assert whole(data.train) == whole(data.valid[0].samples) == whole(data.test[0].samples) == (0, 100)
    for number, samples in enumerate((data.train, data.valid[0].samples, data.test[0].samples)):
        assert set(tokens(samples, 30) // 100_000) == {number}
    assert build(flags(train_data_path=pairs[0]), 8, seed=1, evaluates=False).train[5].tolist() == data.train[5].tolist()


def test_a_blend_by_weight_each_split(pairs):
    data = build(flags(data_path=("3", pairs[0], "1", pairs[1]), split="90,10"), 8, seed=1)
    assert isinstance(data.train, Blend)
    assert [whole(samples) for samples in data.train.sets] == [(0, 90), (0, 90)]
    assert [whole(samples) for samples in data.valid[0].samples.sets] == [(90, 100), (90, 100)]
    owners = [data.train[number][0] // 100_000 for number in range(1024)]
    assert (owners.count(0), owners.count(1)) == (768, 256)


def test_without_weights_size_decides(pairs, tmp_path):
    large = write_numbered(tmp_path / "large", [400] * 100)
    data = build(flags(data_path=(pairs[0], large), split="1"), 8, seed=1, evaluates=False).train
    small, large = (samples.samples_per_epoch for samples in data.sets)
    assert data.shares[0] == pytest.approx(small / (small + large))


def test_equal_pairs_are_shuffled_differently(pairs):
    sets = build(flags(data_path=tuple(pairs)), 8, seed=1, evaluates=False).train.sets
    assert len({tuple(samples[0] % 100_000) for samples in sets}) == 4


def test_a_file_of_data_paths(pairs, tmp_path):
    file = tmp_path / "blend.txt"
    file.write_text(f"0.7 {pairs[0]}\n0.3 {pairs[1]}\n")
    given_ = build(flags(data_args_path=str(file)), 8, seed=1)
    typed = build(flags(data_path=("0.7", pairs[0], "0.3", pairs[1])), 8, seed=1)
    assert [given_.train[n].tolist() for n in range(50)] == [typed.train[n].tolist() for n in range(50)]


@pytest.mark.parametrize(("content", "reason"), [
    (None, "cannot be read (No such file or directory)"),
    ("", "names no data set"),
    ("0.5 a 0.5", "has 3 words"),
    ("-1 a 2 b", "the weight -1"),
])  # fmt: skip
def test_a_bad_file_of_data_paths(content, reason, tmp_path):
    if content is not None:
        (tmp_path / "f").write_text(content)
    with pytest.raises(UserError) as caught:
        build(flags(data_args_path=str(tmp_path / "f")), 8, seed=1)
    assert str(caught.value).startswith(f"--data-args-path {tmp_path}/f: ") and reason in str(caught.value)


def test_several_validation_sets_by_name(pairs, tmp_path):
    (tmp_path / "x").mkdir()
    twin = write_numbered(tmp_path / "x" / "b", [20] * 50)
    options = dict(train_data_path=pairs[0], valid_data_path=(pairs[1], twin, pairs[2]), multiple_validation_sets=True)
    data = build(flags(**options), 8, seed=1)
    folder = tmp_path.name
    assert [each.name for each in data.valid] == [f"{folder}/b", "x/b", f"{folder}/c"]
    assert all(each.size is None and isinstance(each.samples, PackedSamples) for each in data.valid)
    assert [each.name for each in build(flags(**options | dict(valid_data_path=tuple(pairs[1:3]))), 8, 1).valid] == ["b", "c"]
    (one,) = build(flags(**options | dict(multiple_validation_sets=False)), 8, seed=1).valid
    assert isinstance(one.samples, Blend) and len(one.samples.sets) == 3


def test_whole_validation(pairs):
    data = build(flags(train_data_path=pairs[0], valid_data_path=(pairs[1], pairs[2]), full_validation=True), 8, seed=1)
    assert [each.name for each in data.valid] == ["b", "c"]
    for number, each in enumerate(data.valid, 1):
        assert isinstance(each.samples, InOrder)
        targets = np.concatenate([each.samples[n][1:] for n in range(each.size)])
        assert targets[targets >= 0].tolist() == list(
            range(100_000 * number + 1, 100_000 * number + each.samples.documents.tokens)
        )
    split = build(flags(data_path=pairs[0], split="80,15,5", full_validation=True), 8, seed=1)
    assert [whole(each.samples) for each in (*split.valid, *split.test)] == [(80, 95), (95, 100)]


class Tokenizer:
    def __init__(self, vocab_size=10**6, text=False):
        self.vocab_size, self.text = vocab_size, text

    def token_bytes(self):
        return np.full(3, int(self.text))

    def fingerprint(self):
        return "ours"


def test_mock_data():
    data = build(flags(mock_data=True), 8, seed=1, tokenizer=Tokenizer(50))
    assert isinstance(data.train, MockSamples) and data.train.vocab_size == 50
    assert data.valid[0].samples[0].tolist() != data.train[0].tolist()
    assert build(flags(mock_data=True), 8, 1, Tokenizer(50), evaluates=False).valid == data.test == ()


def test_what_is_wrong_is_said_with_its_flag(pairs, tmp_path):
    def said(tokenizer=None, seq_length=8, **given):
        with pytest.raises(UserError) as caught:
            build(flags(**given), seq_length, 1, tokenizer)
        return str(caught.value)

    assert said(data_path="none").startswith("--data-path none: none.idx does not exist")
    assert said(train_data_path=pairs[0], valid_data_path="none").startswith("--valid-data-path none: none.idx")
    assert said(data_path=pairs[0], test_data_path="none").startswith("--test-data-path none: none.idx")
    assert "the tokenizer has 50 entries" in said(Tokenizer(50), data_path=pairs[0])
    assert "the validation data has 0 tokens in 0 documents, fewer than one sample of 8 + 1 needs" in said(
        data_path=pairs[0], split="1"
    )
    assert "the training data has 1295 tokens in 100 documents" in said(train_data_path=pairs[0], seq_length=5000)
    one = write_numbered(tmp_path / "one", [1])
    assert "the validation data has 1 tokens" in said(train_data_path=pairs[0], valid_data_path=one, full_validation=True)
    empty = write_numbered(tmp_path / "empty", [0, 0])
    assert "the training data has 0 tokens in 2 documents" in said(train_data_path=empty)


def test_another_tokenizer_is_refused_and_the_null_tokenizer_takes_all(tmp_path):
    prefix = write_numbered(tmp_path / "a_text_document", [20] * 20)
    made = {"fingerprint": "other", "vocab_size": 5, "eod": 4}
    sidecar = {"documents": 20, "tokens": 400, "dtype": "int32", "checksum": "", "tokenizer": made}
    (tmp_path / "a_text_document.json").write_text(json.dumps(sidecar))
    build(flags(train_data_path=prefix), 8, 1, Tokenizer(), evaluates=False)
    with pytest.raises(UserError, match="another tokenizer"):
        build(flags(train_data_path=prefix), 8, 1, Tokenizer(text=True), evaluates=False)


def test_one_process_looks_for_all(pairs):
    """What it found goes into the fingerprint of every process."""
    looked = []

    def agree(find):
        looked.append(find(False))
        return [each | {"xxh3": "from another process"} for each in find(True)]

    data = build(flags(train_data_path=pairs[0]), 8, seed=1, evaluates=False, agree=agree)
    assert looked == [[]]
    assert data.train.fingerprint["sets"][0]["xxh3"] == "from another process"


@pytest.mark.parametrize(
    ("shares", "sizes"), [([969.0, 30.0, 1.0], [969, 30, 1]), ([1.0], [1000, 0, 0]), ([8, 1], [889, 111, 0])]
)
def test_split_by_shares(shares, sizes):
    assert [len(part) for part in split_documents(1000, shares)] == sizes


@given(st.integers(0, 10**9), st.lists(st.floats(0, 1e6), min_size=1, max_size=3).filter(lambda shares: shares[0] > 1e-3))
@settings(max_examples=200)
def test_a_split_gives_each_document_to_one_part(documents, shares):
    parts = split_documents(documents, shares)
    assert parts[0].start == 0 and parts[2].stop == documents
    assert [part.stop for part in parts[:2]] == [part.start for part in parts[1:]]
    for part, share in zip(parts, shares):
        assert abs(len(part) - documents * share / sum(shares)) <= 1 + 1e-6 * documents


def test_files_are_mapped_where_asked(pairs):
    for asked in (True, False):
        data = build(flags(train_data_path=pairs[0], mmap_bin_files=asked), 8, seed=1, evaluates=False)
        assert (data.train.documents.index._map is not None) == asked
