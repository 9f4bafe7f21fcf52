"""Continuations: alone or together, on any layout, cached or not, the same; and what ends them."""

from __future__ import annotations

import pytest

from tests.inference.case import MODELS, WINDOW, continuations, opened, train

PROMPTS = ["3 1 4 1 5 9 2 6", "27", "14 14 2 13", "99 8 7 6 5 4 3 2 1 0 11"]
DRAWN = ["--temperature", "1.5", "--top-k", "50", "--top-p", "0.95", "--repetition-penalty", "1.1", "--num-samples", "2"]
LENGTH = WINDOW + 6  # every text outgrows the window, some twice
LONG = ["--max-new-tokens", str(LENGTH), "--ignore-eod"]
TP2 = ["--tensor-model-parallel-size", "2"]
PP2 = ["--pipeline-model-parallel-size", "2"]
LAYOUTS = {"TP2": (2, TP2), "PP2": (2, PP2), "TP2.PP2": (4, [*TP2, *PP2]), "DP3": (3, []), "TP2.DP2": (4, TP2)}
CASES = [
    pytest.param(model, layout, marks=[] if model == "llama" or layout == "TP2.PP2" else [pytest.mark.full])
    for model in MODELS
    for layout in LAYOUTS
]


@pytest.fixture(scope="module")
def runs(pool, tmp_path_factory):
    return {model: train(pool, model, tmp_path_factory.mktemp(model)) for model in MODELS}


@pytest.fixture(scope="module")
def generated(pool, runs):
    """`generated(model, *flags, world_size=1, cached=True)` on rank 0."""

    def run(model, *flags, world_size=1, cached=True):
        argv = ["--load", runs[model], "--prompt", *PROMPTS, *flags]
        return pool.run(opened, world_size, argv, continuations, cached)[0]

    return run


@pytest.fixture(scope="module")
def references(generated):
    """On one process, all texts together: greedy ones and drawn ones, longer than the model's window."""
    return {
        (model, kind): generated(model, *LONG, *flags) for model in MODELS for kind, flags in (("greedy", []), ("drawn", DRAWN))
    }


@pytest.mark.parametrize("model", MODELS)
def test_texts_are_what_they_should_be(model, references):
    greedy, drawn = references[model, "greedy"], references[model, "drawn"]
    assert [row[:2] for row in greedy] == [(number, 0) for number in range(4)]
    assert [row[:2] for row in drawn] == [(number, sample) for number in range(4) for sample in range(2)]
    assert all(len(row[2]) == LENGTH and row[4] == "length" for row in greedy + drawn)
    assert len({tuple(row[2]) for row in greedy + drawn}) == 12
    assert all(row[3] == "".join(f" {token}" for token in row[2]) for row in greedy + drawn)


@pytest.mark.parametrize("kind", ["greedy", "drawn"])
@pytest.mark.parametrize("model", MODELS)
def test_without_cache_the_same(model, kind, generated, references):
    flags = DRAWN if kind == "drawn" else []
    assert generated(model, *LONG, *flags, cached=False) == references[model, kind]


@pytest.mark.parametrize("batch_size", ["1", "3"])
@pytest.mark.parametrize("model", MODELS)
def test_in_other_company_the_same(model, batch_size, generated, references):
    assert generated(model, *LONG, *DRAWN, "--batch-size", batch_size) == references[model, "drawn"]


@pytest.mark.parametrize(("model", "layout"), CASES)
def test_on_any_layout_the_same(model, layout, generated, references):
    """Drawn texts: a greedy one would hide a draw that differs. Three batches, so that three groups have one each."""
    world_size, flags = LAYOUTS[layout]
    found = generated(model, *LONG, *flags, *DRAWN, "--batch-size", "3", world_size=world_size)
    assert found == references[model, "drawn"]


def test_the_seed_changes_what_is_drawn(generated, references):
    other = generated("llama", *LONG, *DRAWN, "--seed", "7")
    assert all(ours[2] != theirs[2] for ours, theirs in zip(other, references["llama", "drawn"], strict=True))


def test_top_k_of_one_is_greedy(generated, references):
    assert generated("llama", *LONG, "--temperature", "1", "--top-k", "1") == references["llama", "greedy"]
    assert generated("llama", *LONG, "--temperature", "1", "--top-p", "1e-9") == references["llama", "greedy"]


def test_a_low_temperature_is_greedy_and_a_high_one_is_not(generated, references):
    assert generated("llama", *LONG, "--temperature", "1e-4") == references["llama", "greedy"]
    hot = generated("llama", *LONG, "--temperature", "30")
    assert all(ours[2] != theirs[2] for ours, theirs in zip(hot, references["llama", "greedy"], strict=True))


def test_a_penalty_keeps_from_saying_again(generated):
    for number, _, ids, _, _ in generated("llama", *LONG, "--repetition-penalty", "1e9"):
        prompt = set(map(int, PROMPTS[number].split()))
        assert len({*ids}) == len(ids) and not prompt & {*ids}


def test_the_end_of_a_document_ends_a_text(generated, runs, pool):
    """Drawn until 139, which ends a document; with --ignore-eod the text goes on from there as any other."""
    flags = ["--temperature", "20", "--max-new-tokens", "400", "--batch-size", "3"]
    ended, whole = generated("llama", *flags), generated("llama", *flags, "--ignore-eod")
    assert any(row[4] == "eod" for row in ended)
    for short, long in zip(ended, whole, strict=True):
        expected = long[2][: long[2].index(139)] if 139 in long[2] else long[2]
        assert (short[2], short[4]) == (expected, "eod" if 139 in long[2] else "length")


def test_a_stop_word_ends_a_text_before_it(generated, references):
    """The stop words are numbers that the texts have; each text ends at the first, and the others go on."""
    texts = {row[0]: row[3] for row in references["llama", "greedy"]}
    words = [" ".join(texts[0].split()[12:14]), f"{texts[1].split()[9]} "]
    for number, _, ids, text, reason in generated("llama", *LONG, "--stop", *words):
        places = [texts[number].find(word) + len(word) for word in words if word in texts[number]]
        if places:
            stop = min((word for word in words if word in texts[number]), key=lambda word: texts[number].find(word) + len(word))
            assert (text, reason) == (texts[number][: texts[number].find(stop)], "stop")
            assert len(ids) < LENGTH
        else:
            assert (text, reason) == (texts[number], "length")


def pieces_of(trained, flags):
    from megatron_ext.inference.generate import generate
    from megatron_ext.inference.prompts import read_prompts, requests

    asked = requests(read_prompts(flags), flags, trained.config, trained.tokenizer, trained.window)
    return [(result.request.number, piece) for result, piece in generate(trained, asked, flags)]


def test_the_first_text_streams_and_the_others_come_in_order(runs, pool):
    argv = ["--load", runs["llama"], "--prompt", *PROMPTS, "--max-new-tokens", "12", "--ignore-eod"]
    found = pool.run(opened, 1, argv, pieces_of)[0]
    assert [number for number, _ in found] == [0] * 12 + [1, 2, 3]
    assert [piece.count(" ") for _, piece in found] == [1] * 12 + [12] * 3


def damaged(trained, flags):
    import torch

    with torch.no_grad():
        for name, parameter in trained.model.named_parameters():
            if "final_layernorm" in name:
                parameter.fill_(float("nan"))
    continuations(trained, flags)


def test_logits_that_are_not_numbers_end_all_ranks_with_one_sentence(runs, pool):
    with pytest.raises(AssertionError, match="UserError: prompt 0: the model's logits are not finite"):
        pool.run(opened, 4, ["--load", runs["llama"], "--prompt", "1", *TP2, *PP2], damaged)
