"""Samples of pairs: full to the brim, each raw token about once, documents apart, a function of (seed, sample) alone."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.arguments.registry import Registry
from megatron_ext.data.fingerprint import content
from megatron_ext.data.index import Documents, Index
from megatron_ext.data.loader import Loader
from megatron_ext.data.packing import PackedSamples
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.flags import ObjectiveFlags
from megatron_ext.objectives.reading.pairs import Pair
from megatron_ext.objectives.reading.samples import Maker, alone, documents_in, longest, of_run
from megatron_ext.objectives.reading.table import LEARNT_BY
from tests import texts
from tests.data.pairs import NOWHERE, write_pair
from tests.objectives.made import tokenizer

LENGTH = 256
SHORTER = {"span_corruption": 114, "mixture_of_denoisers": 256}  # decoders beside encoders of 512
APART = ("causal_lm", "masked_lm")
CASES = [(name, architecture) for name, able in LEARNT_BY.items() for architecture in able if name not in APART]


@functools.cache
def corpus() -> list[list[int]]:
    """Real documents of all lengths: what a line, a paragraph and a module of Python's library hold."""
    pieces = []
    for text in texts.library_texts(60):
        pieces += [text, *text.split("\n\n")[:3], text.split("\n")[0]]
    return [[*tokenizer().encode(piece), tokenizer().eod] for piece in pieces]


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    index = Index(write_pair(tmp_path_factory.mktemp("pair") / "real", corpus()))
    return Documents(index, 0, len(corpus()), content(index))


def made(documents, objective: str, architecture: str, seed: int = 1, length: int = LENGTH, decoder: int | None = None, **flags):
    """`(samples, the raw ones)`."""
    model = SimpleNamespace(
        seq_length=length, architecture=architecture, encoder_seq_length=length, decoder_seq_length=decoder or length,
        decoder_start_token_id=None,
    )  # fmt: skip
    config = SimpleNamespace(
        model=model, objective=ObjectiveFlags(objective=objective, **flags), training=SimpleNamespace(seed=seed)
    )
    make = Maker(Registry("megatron_ext.objectives").load(objective), config, tokenizer())
    raw = PackedSamples(documents, make.step, seed, NOWHERE, window=make.window)
    samples = make(raw)
    samples.told = lambda: make.told(samples)
    return samples, raw


def of_decoder(sample) -> tuple[np.ndarray, np.ndarray]:
    """`(document of each fed token, labels' mask)`."""
    return sample.get("decoder_documents", sample["documents"]), sample["loss_mask"]


@pytest.mark.parametrize(("objective", "architecture"), CASES)
def test_there_is_next_to_no_padding(objective, architecture, documents):
    """1 % at most of a decoder's tokens; 5 % of an encoder's and decoder's, whose stretches fill up apart."""
    length, shorter = {"denoising": (424, 512)}.get(objective, (512, SHORTER.get(objective)))
    samples, raw = made(documents, objective, architecture, length=length, decoder=shorter)
    padding = np.mean([samples[number]["padding"] for number in range(min(raw.samples_per_epoch, 150))])
    print(f"{objective} {architecture}: {padding:.2%} padding")
    assert padding <= (0.05 if architecture == "encoder_decoder" else 0.01)


def test_there_is_next_to_no_padding_in_an_encoder(documents):
    samples, raw = made(documents, "masked_lm", "encoder", length=512, sentence_task="sentence_order")
    padding = np.mean([samples[number]["padding"] for number in range(raw.samples_per_epoch)])
    print(f"masked_lm encoder: {padding:.2%} padding")
    assert padding <= 0.05


@pytest.mark.parametrize(("objective", "architecture"), [*CASES, ("masked_lm", "encoder")])
def test_a_sample_belongs_to_its_number(objective, architecture, documents):
    first, again, other = (made(documents, objective, architecture, seed)[0] for seed in (1, 1, 2))
    for number in (3, 0, 7):
        a, b = first[number], again[number]
        assert a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
    assert any(not np.array_equal(first[0][name], other[0][name]) for name in first[0])


@pytest.mark.parametrize(("objective", "architecture"), CASES)
def test_labels_are_where_a_document_predicts_its_own(objective, architecture, documents):
    samples, _ = made(documents, objective, architecture)
    for number in range(10):
        sample = samples[number]
        fed, mask = of_decoder(sample)
        assert (np.diff(sample["documents"]) >= 0).all() and (np.diff(fed) >= 0).all()
        for document in np.unique(fed[mask > 0]):
            places = np.flatnonzero(fed == document)
            if architecture != "encoder_decoder":
                ids, labels = sample["input_ids"][places], sample["labels"][places]
                shifted = mask[places][:-1] > 0
                if objective != "blank_infilling":
                    assert (labels[:-1][shifted] == ids[1:][shifted]).all()
            else:
                ids, labels = sample["decoder_input_ids"][places], sample["labels"][places]
                assert ids[0] == tokenizer().eod and (labels[:-1] == ids[1:]).all() and mask[places].all()
        if "prefix" in sample:
            next_is_shown = sample["prefix"][1:] & (fed[1:] == fed[:-1])
            assert not (next_is_shown & (mask[:-1] > 0)).any(), "a token is predicted that is shown"


def test_what_is_cut_off_and_read_twice_is_little(documents):
    """Raw tokens of an epoch, by how often they are in a sample; spans differ by half in what they add."""
    samples, raw = made(documents, "mixture_of_denoisers", "prefix_decoder", length=512)
    taken = 0
    for number in range(raw.samples_per_epoch):
        sample = samples[number]
        taken += int((sample["input_ids"] >= 150).sum())
    ordinary = sum(token >= 150 for ids in corpus() for token in ids)
    assert 0.85 <= taken / ordinary <= 1.1, taken / ordinary


@pytest.mark.parametrize(("objective", "decoder"), [("mixture_of_denoisers", 64), ("prefix_lm", 128)])
def test_an_encoder_and_a_decoder_lose_no_token(objective, decoder, documents):
    """Raw tokens of an epoch, by how often they are in a sample, though documents are cut into parts."""
    samples, raw = made(documents, objective, "encoder_decoder", length=128, decoder=decoder)
    taken = 0
    for number in range(raw.samples_per_epoch):
        sample = samples[number]
        taken += sum(int((sample[name] >= 150).sum()) for name in ("input_ids", "labels"))
    ordinary = sum(token >= 150 for ids in corpus() for token in ids)
    assert 0.9 <= taken / ordinary <= 1.1, taken / ordinary


def test_a_run_says_how_full_its_samples_are(documents):
    samples, _ = made(documents, "denoising", "encoder_decoder")
    parts = [np.split(samples[number]["padding"], [LENGTH]) for number in range(16)]
    encoder, decoder = (np.mean([part[place] for part in parts]) for place in range(2))
    whole = f"{(encoder + decoder) / 2:.1%} padding in the first 16"
    assert samples.told() == f"{whole} (encoder {encoder:.1%}, decoder {decoder:.1%})" and 0.1 < encoder < 0.3
    assert made(documents, "prefix_lm", "prefix_decoder")[0].told().endswith("% padding in the first 16")
    samples, _ = made(documents, "masked_lm", "encoder", sentence_task="next_sentence")
    asked = sum((samples[number]["sentence_labels"] >= 0).sum() for number in range(16))
    begun = sum((samples[number]["input_ids"] == tokenizer().control_tokens["[CLS]"]).sum() for number in range(16))
    assert f", {asked / begun:.0%} of their documents have another beside them, and are asked" in samples.told()
    assert 0.3 < asked / begun < 1


def test_what_cannot_be_learnt_is_said_before(documents, tmp_path):
    given = dict(prefix_end_token="<|prefix_end|>")
    with pytest.raises(UserError, match="a document of the data has none, so that nothing says where its prefix ends"):
        made(documents, "prefix_lm", "prefix_decoder", **given)[0].told()

    def written(name, ids):
        index = Index(write_pair(tmp_path / name, ids))
        return Documents(index, 0, len(ids), content(index))

    long = written("long", [[*[5, 6, 7] * 2000, tokenizer().control_tokens["<|prefix_end|>"], 7, tokenizer().eod]] * 40)
    none = "no document fits into samples of 10 tokens, the first 16 are empty; take longer ones"
    way_out = r", or, where the data has no <\|prefix_end\|>, write it with tools/preprocess_data.py --prefix-key KEY"
    with pytest.raises(UserError, match=none + way_out):
        made(long, "prefix_lm", "prefix_decoder", length=10, **given)[0].told()
    empty = written("empty", [[tokenizer().eod]] * 400)
    for objective, architecture in (("masked_lm", "encoder"), ("prefix_lm", "prefix_decoder")):
        with pytest.raises(UserError, match="the first 16 samples ask for nothing: their documents are empty"):
            made(empty, objective, architecture, length=10)[0].told()
    for rooms in ((1, 1), (2, 2)):  # the proportion of two rooms is not found in so little
        with pytest.raises(UserError, match="no document fits into samples of"):
            made(documents, "mixture_of_denoisers", "encoder_decoder", length=rooms[0], decoder=rooms[1])[0].told()


def test_stretches_of_documents():
    assert [part.tolist() for part in documents_in(np.array([5, 9, 9, 6, 7]), 9)] == [[5, 9], [9], [6, 7]]
    assert documents_in(np.array([], np.int64), 9) == []


def test_the_longest_that_fits():
    from megatron_ext.objectives.reading import decoder

    sizes = lambda length: (length, length // 2)
    packing = decoder.Packing(SimpleNamespace(seq_length=1, architecture="causal_decoder"), 9)
    for room in range(1, 60):
        found = longest(sizes, packing, (room,), 40)
        assert found == max(n for n in range(41) if n + n // 2 - 1 <= room)


def test_a_pair_that_is_longer_than_its_room_is_cut():
    from megatron_ext.objectives.reading import decoder, encoder_decoder

    pair = Pair(np.arange(10, 15), np.arange(20, 26))
    model = SimpleNamespace(
        seq_length=12, architecture="prefix_decoder", encoder_seq_length=7, decoder_seq_length=8, decoder_start_token_id=None
    )
    sample = decoder.Packing(model, 9)([pair, pair], Draws(0))
    assert sample["input_ids"].tolist() == [10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 10, 11]
    assert sample["labels"].tolist() == [0, 0, 0, 0, 20, 21, 22, 23, 24, 25, 0, 0]
    assert sample["documents"].tolist() == [0] * 10 + [1] * 2
    assert sample["prefix"].tolist() == [True] * 5 + [False] * 5 + [True] * 2
    assert sample["position_ids"].tolist() == [*range(10), 0, 1] and not sample["padding"].any()
    sample = encoder_decoder.Packing(model, 9)([pair, pair], Draws(0))
    assert sample["input_ids"].tolist() == [10, 11, 12, 13, 14, 10, 11] and sample["documents"].tolist() == [0] * 5 + [1] * 2
    assert sample["decoder_input_ids"].tolist() == [9, 20, 21, 22, 23, 24, 9, 20]
    assert sample["labels"].tolist() == [20, 21, 22, 23, 24, 25, 20, 21]
    assert sample["decoder_documents"].tolist() == [0] * 6 + [1] * 2 and not sample["padding"].any()
    assert decoder.Packing(model, 9)([pair], Draws(0))["padding"].tolist() == [False] * 10 + [True] * 2
    assert encoder_decoder.Packing(model, 9)([pair], Draws(0))["padding"].nonzero()[0].tolist() == [5, 6, 13, 14]
    model.decoder_start_token_id = 3
    sample = encoder_decoder.Packing(model, 9)([pair, pair], Draws(0))
    assert sample["decoder_input_ids"].tolist() == [3, 20, 21, 22, 23, 24, 3, 20]


def test_a_first_token_that_the_model_has_not_is_said():
    config = SimpleNamespace(model=SimpleNamespace(decoder_start_token_id=800))
    with pytest.raises(UserError, match="--decoder-start-token-id 800: the model has 800 entries"):
        of_run(Registry("megatron_ext.objectives").load("denoising"), config, SimpleNamespace(model_entries=800))


def test_a_document_alone_is_there_whole_piece_by_piece():
    """In as many samples as it takes, each without padding; what is drawn belongs to (seed, document, piece)."""
    ids = np.array([*tokenizer().encode(texts.library_texts()[3][:1500]), tokenizer().eod])
    model = SimpleNamespace(architecture="prefix_decoder", seq_length=64, decoder_start_token_id=None)
    config = SimpleNamespace(model=model, objective=ObjectiveFlags(objective="prefix_lm"))
    ways = pairs, packing = of_run(Registry("megatron_ext.objectives").load("prefix_lm"), config, tokenizer())
    samples = list(alone(ids, 7, pairs, packing, 1))
    again = [np.append(sample["input_ids"], sample["labels"][-1]) for sample in samples]
    assert np.concatenate(again).tolist() == ids.tolist() and len(samples) == -(-len(ids) // 65)
    assert all(sample["documents"].tolist() == [0] * len(sample["input_ids"]) for sample in samples)
    prefixes = lambda number, seed: [int(sample["prefix"].sum()) for sample in alone(ids, number, *ways, seed)]
    assert prefixes(7, 1) == [int(sample["prefix"].sum()) for sample in samples]
    assert len({tuple(prefixes(*other)) for other in ((7, 1), (8, 1), (7, 2))}) == 3 and len({*prefixes(7, 1)}) > 2


def test_the_loader_stacks_each_array(documents):
    samples, _ = made(documents, "prefix_lm", "prefix_decoder")
    for workers in (0, 2):
        with Loader(workers, micro_batch_size=3, rank=1, ranks=2) as loader:
            read = next(iter(loader.batches(samples, 6, 1)))
        assert torch.equal(read["input_ids"], torch.from_numpy(np.stack([samples[6 + 3 + row]["input_ids"] for row in range(3)])))
        assert read["prefix"].dtype == torch.bool and read["loss_mask"].dtype == torch.float32
