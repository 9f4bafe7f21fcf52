"""Blank infilling: the document can be put together again; what is fed, predicted, seen and where it stands are GLM's."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.objectives import blank_infilling
from megatron_ext.objectives.reading import decoder
from megatron_ext.objectives.reading.draws import Draws
from tests.objectives.made import control, ordinary, setting, tokenizer

MASK, GMASK, SOP, EOP = (control(name) for name in ("[MASK]", "[gMASK]", "<sop>", "<eop>"))


def made(length: int, seed: int, gmask_rate: float, **flags):
    pairs, draws = blank_infilling.Pairs(setting("blank_infilling", gmask_rate=gmask_rate, **flags)), Draws(seed)
    return pairs.choose(draws)(ordinary(length), draws)


def spans_of(pair) -> list[tuple[int, list[int], list[int]]]:
    """`(position, fed behind <sop>, predicted up to <eop>)` of part B's spans, in their order."""
    begins = [*np.flatnonzero(pair.fed == SOP).tolist(), len(pair.fed)]
    positions = np.arange(len(pair.inputs) + len(pair.fed)) if pair.positions is None else pair.positions
    positions = positions[len(pair.inputs) :]
    found = []
    for begin, end in zip(begins, begins[1:]):
        assert pair.labels[end - 1] == EOP
        found.append((positions[begin:end].tolist(), pair.fed[begin + 1 : end].tolist(), pair.labels[begin : end - 1].tolist()))
    return found


@given(st.integers(0, 200), st.integers(0, 10))
def test_blanks_can_be_filled_in_again(length, seed):
    pair, ids = made(length, seed, 0.0), ordinary(length)[:-1].tolist()
    at_mask = {}
    for positions, fed, predicted in spans_of(pair):
        assert fed == predicted and len(set(positions)) == 1
        at_mask[positions[0]] = predicted
    found = []
    for place, token in enumerate(pair.inputs.tolist()):
        assert (token == MASK) == (place in at_mask)
        found += at_mask.get(place, [token])
    assert found == ids
    assert pair.positions[: len(pair.inputs)].tolist() == list(range(len(pair.inputs)))


@given(st.integers(0, 200), st.integers(0, 10))
def test_the_rest_can_be_written_again(length, seed):
    pair, ids = made(length, seed, 1.0), ordinary(length)[:-1].tolist()
    ((positions, fed, predicted),) = spans_of(pair)
    assert pair.inputs[-1] == GMASK and fed == predicted
    assert [*pair.inputs[:-1].tolist(), *predicted] == ids
    assert positions == list(range(len(pair.inputs), len(pair.inputs) + len(fed) + 1))


def test_rates():
    """15 % in spans of a Poisson distribution of mean 3, of which none is empty and the last is cut by what is left."""
    masked, lengths = 0, []
    for seed in range(400):
        spans = spans_of(made(400, seed, 0.0))
        lengths += [len(predicted) for _, _, predicted in spans]
        masked += sum(len(predicted) for _, _, predicted in spans)
    mean = np.mean(np.maximum(np.random.default_rng(0).poisson(3, 100_000), 1))
    assert masked == 400 * 60
    assert np.mean(lengths) == pytest.approx(mean, rel=0.05)
    shares = [np.mean([MASK in made(90, seed, 0.0, blank_rate=rate, mean_blank_length=mean).inputs[:9] for seed in range(300)])
              for rate, mean in ((0.1, 3.0), (0.5, 3.0), (0.5, 20.0))]  # fmt: skip
    assert shares[0] < shares[1] > shares[2]
    kinds = [GMASK in made(40, seed, 0.7).inputs for seed in range(3000)]
    assert np.mean(kinds) == pytest.approx(0.7, abs=0.026)


def test_spans_come_in_random_order():
    firsts = [np.argsort([positions[0] for positions, _, _ in spans_of(made(200, seed, 0.0))])[0] for seed in range(300)]
    assert len(set(firsts)) >= 5


def test_a_blank_may_be_anywhere():
    """Near an end fewer spans can cover a token."""
    pairs, hidden = blank_infilling.Pairs(setting("blank_infilling", gmask_rate=0.0)), np.zeros(60)
    for seed in range(3000):
        draws = Draws(seed)
        inputs = pairs.choose(draws)(np.arange(200, 260), draws).inputs
        hidden[np.setdiff1d(np.arange(200, 260), inputs) - 200] += 1
    assert hidden[5:55] / 3000 == pytest.approx(hidden[5:55].mean() / 3000, abs=0.025) and hidden.min() > 0.03 * 3000


def test_who_sees_whom_is_glms():
    """A naive mask written from the paper: A sees A; B sees A and B up to itself; documents apart."""
    pairs = [made(30, seed, rate) for seed, rate in ((0, 0.0), (1, 1.0), (2, 0.0))]
    packing = decoder.Packing(SimpleNamespace(seq_length=160, architecture="prefix_decoder"), tokenizer().eod)
    sample = packing(pairs, Draws(0))
    part = []
    for number, pair in enumerate(pairs):
        part += [(number, "A")] * len(pair.inputs) + [(number, "B")] * len(pair.fed)
    for query, (document, kind) in enumerate(part):
        for key, (other, of) in enumerate(part):
            sees = document == other and (of == "A" or (kind == "B" and key <= query))
            ours = sample["documents"][query] == sample["documents"][key] and (key <= query or sample["prefix"][key])
            assert sees == ours, (query, key)
    labelled = np.flatnonzero(sample["loss_mask"])
    assert all(part[place][1] == "B" for place in labelled) and len(labelled) == sum(len(pair.labels) for pair in pairs)
