"""Prompts from the command line and from files, in order, every sample a request of its own."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.inference.prompts import laid_out, read_prompts, requests
from megatron_ext.objectives import fill_in_middle
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.flags import ObjectiveFlags
from megatron_ext.objectives.reading.samples import OBJECTIVES, of_run
from megatron_ext.objectives.reading.table import LEARNT_BY
from megatron_ext.tokenizers.loaders.null import NullTokenizer
from tests import texts as real
from tests.objectives.made import control, ordinary, setting, tokenizer

LENGTH = 200


def flags(**settings):
    usual = dict(prompt=(), prompts_file=None, prompt_key="prompt", infill=(), infill_file=None, fill_mask=(),
                 sequence_to_sequence=False, top_k=0, num_samples=None)  # fmt: skip
    return SimpleNamespace(**usual | settings)


def run(objective: str, architecture: str | None = None, **settings):
    """The configuration of a run, as far as it says how its model is asked."""
    model = SimpleNamespace(
        architecture=architecture or LEARNT_BY[objective][0], seq_length=LENGTH, encoder_seq_length=LENGTH,
        decoder_seq_length=LENGTH, decoder_start_token_id=None,
    )  # fmt: skip
    return SimpleNamespace(model=model, objective=ObjectiveFlags(objective=objective, **settings))


def texts(**settings):
    return [text for _, text in read_prompts(flags(**settings))]


@pytest.mark.parametrize(("name", "content"), [
    ("plain.txt", "one \n  two\n三"),
    ("ending.txt", "one \n  two\n三\n"),
    ("a.jsonl", '{"prompt": "one ", "n": 1}\n{"prompt": "  two"}\n{"prompt": "\\u4e09"}\n'),
])  # fmt: skip
def test_a_file_gives_its_lines(name, content, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert texts(prompts_file=str(tmp_path / name)) == ["one ", "  two", "三"]


def test_a_json_text_may_have_several_lines(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"q": "one\\ntwo"}')
    assert texts(prompts_file=str(tmp_path / "a.jsonl"), prompt_key="q") == ["one\ntwo"]


def test_requests_are_numbered_sample_by_sample():
    asked = requests(read_prompts(flags(prompt=("1 2", "3"))), flags(num_samples=2), run("causal_lm"), NullTokenizer(9), window=2)
    assert [(r.number, r.sample, r.prompt, r.ids) for r in asked] == [
        (0, 0, "1 2", (1, 2)), (0, 1, "1 2", (1, 2)), (1, 0, "3", (3,)), (1, 1, "3", (3,)),
    ]  # fmt: skip


def infilled(prefix: str, suffix: str, window: int = 1000, objective: str = "fill_in_middle", **settings):
    asked = flags(infill=(prefix, suffix), num_samples=2)
    return requests(read_prompts(asked), asked, run(objective, **settings), tokenizer(), window)


def test_a_middle_is_asked_for_as_it_was_learnt():
    """What stands before the middle in a document that training has cut is what the same two texts ask with."""
    text = real.library_texts()[4][:300]
    pairs = fill_in_middle.Pairs(setting("fill_in_middle", fim_rate=1.0, fim_spm_rate=0.0))
    for number in range(20):
        learnt = pairs(np.array(tokenizer().encode(text)), Draws(number)).labels.tolist()
        last, middle = learnt.index(control("<|fim_suffix|>")), learnt.index(control("<|fim_middle|>"))
        prefix, suffix = (tokenizer().decode(part) for part in (learnt[1:last], learnt[last + 1 : middle]))
        first, second = infilled(prefix, suffix)
        assert list(first.ids) == learnt[: middle + 1] and second == dataclasses.replace(first, sample=1)
        assert (first.sample, first.prompt) == (0, prefix)


def test_a_middle_is_asked_for_behind_its_suffix_where_that_was_learnt_more_often():
    encode, (before, middle, after) = tokenizer().encode, (control(f"<|fim_{name}|>") for name in ("prefix", "middle", "suffix"))
    suffix_first = (before, after, *encode("return 1"), middle, *encode("def one():"))
    assert infilled("def one():", "return 1", fim_spm_rate=0.6)[0].ids == suffix_first
    assert infilled("def one():", "return 1", fim_spm_rate=0.5)[0].ids != suffix_first
    pairs = fill_in_middle.Pairs(setting("fill_in_middle", fim_rate=1.0, fim_spm_rate=1.0))
    learnt = pairs(np.array(encode("def one(): 1")), Draws(3))
    assert learnt.labels[:2].tolist() == [before, after]


def test_middles_from_a_file(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prefix": "def", "suffix": ":", "n": 1}\n{"prefix": "", "suffix": "x"}\n')
    asked = flags(infill_file=str(tmp_path / "a.jsonl"))
    one, two = requests(read_prompts(asked), asked, run("fill_in_middle"), tokenizer(), 100)
    assert [(one.number, one.prompt), (two.number, two.prompt)] == [(0, "def"), (1, "")]
    alone, _ = infilled("def", ":")
    assert one == alone


@pytest.mark.parametrize(("content", "said"), [
    ("", "a.jsonl: holds no prompt"),
    ('{"prefix": "a", "suffix": "b"}\n{"prefix": "a"}', "line 2: expected a JSON object with a text under 'prefix' and 'suffix'"),
    ('{"prefix": "a", "suffix": 3}', "line 1: .*its value is int"),
])  # fmt: skip
def test_what_is_no_file_of_middles_is_said(content, said, tmp_path):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(UserError, match=said):
        read_prompts(flags(infill_file=str(tmp_path / "a.jsonl")))


# Objective, how it is asked, and what the inputs then are besides text: what begins them, what stands for the answer, tokens
# behind.
WAYS = [
    ("prefix_lm", "continued", [], None, 0),
    ("span_corruption", "continued", [], "<extra_id_0>", 1),
    ("mixture_of_denoisers", "continued", ["[S]"], "<extra_id_0>", 1),
    ("mixture_of_denoisers", "infilled", ["[R]"], "<extra_id_0>", 1),
    ("blank_infilling", "continued", [], "[gMASK]", 0),
    ("blank_infilling", "infilled", [], "[MASK]", 0),
    ("denoising", "continued", [], "[MASK]", 1),
    ("denoising", "infilled", [], "[MASK]", 1),
]
SETTINGS = {"denoising": dict(permute_sentences_rate=0.0, infill_rate=0.2)}


def around(inputs: np.ndarray, begin: list[int], mark: int | None, behind: int) -> list[np.ndarray] | None:
    """What stands before the answer and behind it; None unless exactly one is asked for."""
    text = inputs[len(begin) : len(inputs) - behind]
    places = np.flatnonzero(text == mark)
    if mark is None:
        return [text, text[:0]]
    return [text[: places[0]], text[places[0] + 1 :]] if inputs[: len(begin)].tolist() == begin and len(places) == 1 else None


@pytest.mark.parametrize(
    ("architecture", "way"),
    [(each, way) for way in WAYS for each in LEARNT_BY[way[0]]],
    ids=lambda value: value if isinstance(value, str) else "-".join(value[:2]),
)
def test_what_is_asked_is_what_training_makes_of_a_document_up_to_the_answer(architecture, way):
    """Of documents of which one part is asked for: the same tokens in the same places, and the next is the answer's first."""
    objective, name, begin, mark, behind = way
    config = run(objective, architecture, **SETTINGS.get(objective, {}))
    pairs, packing = of_run(OBJECTIVES.load(objective), config, tokenizer())
    stretch, tried = "decoder_" if architecture == "encoder_decoder" else "", 0
    for number in range(300):
        draws, ids = Draws(number), ordinary(4 + number % 9, seed=number)
        pair = pairs.choose(draws)(ids, draws)
        parts = around(pair.inputs, [*map(control, begin)], mark and control(mark), behind)
        if parts is None or (name == "continued" and len(parts[1])):
            continue
        tried += 1
        asked = pairs.continued(parts[0]) if name == "continued" else pairs.infilled(*parts)
        grown, beside = laid_out(asked.pair, config.model, tokenizer().eod)
        sample = packing([pair], draws)
        assert sample[f"{stretch}input_ids"][: len(grown)].tolist() == list(grown)
        assert sample["input_ids"][: len(beside.encoder)].tolist() == list(beside.encoder)
        assert (sample["labels"][len(grown) - 1], sample["loss_mask"][len(grown) - 1]) == (ids[len(parts[0])], 1)
        assert architecture != "prefix_decoder" or sample["prefix"].sum() == beside.prefix
        places = np.arange(int((sample[f"{stretch}documents"] == 0).sum()))
        if beside.place is not None:
            places[beside.prefix :] = beside.place
        assert sample[f"{stretch}position_ids"][: len(places)].tolist() == places.tolist()
    assert tried >= 10


def test_a_prompt_ends_as_the_data_says_prefixes_do():
    config, end, text = run("prefix_lm", prefix_end_token="<sop>"), control("<sop>"), ordinary(9)
    (asked,) = requests([("here", "import os")], flags(), config, tokenizer(), 100)
    assert asked.ids == (*tokenizer().encode("import os"), end) and asked.beside.prefix == len(asked.ids)
    pairs, _ = of_run(OBJECTIVES.load("prefix_lm"), config, tokenizer())
    document = np.concatenate([text[:4], [end], text[4:]])
    part, cut = pairs.of(document, False, False, (100,))
    learnt = cut(part, Draws(0))
    assert learnt.inputs.tolist() == pairs.continued(text[:4]).inputs.tolist()


@pytest.mark.parametrize("objective", ["span_corruption", "mixture_of_denoisers", "denoising"])
def test_a_middle_stands_between_both_texts(objective):
    first, second = infilled("def add(a, b):", " return total", objective=objective)
    before, after = (tokenizer().encode(text) for text in ("def add(a, b):", " return total"))
    mode = [control("[R]")] if objective == "mixture_of_denoisers" else []
    mark, eod = control("[MASK]" if objective == "denoising" else "<extra_id_0>"), tokenizer().eod
    assert list(first.beside.encoder) == [*mode, *before, mark, *after, eod]
    assert list(first.ids) == [eod, *(before if objective == "denoising" else [mark])]
    assert first.behind == tuple(before) and second.sample == 1
    if objective == "denoising":
        assert first.stops == (tokenizer().decode(after[:8]),) and first.ends == ()
    else:
        assert first.ends == tuple(control(f"<extra_id_{number}>") for number in range(100)) and first.stops == ()


def test_an_answer_ends_where_a_blank_does():
    (asked,) = requests([("", "import os")], flags(), run("blank_infilling"), tokenizer(), 100)
    assert asked.ends == (control("<eop>"),)


def put(objective: str, architecture: str | None = None, text: str = "import [MASK]", window: int = 100, **settings):
    return requests([("here", text)], flags(**settings), run(objective, architecture), tokenizer(), window)


def test_masks_are_control_tokens_where_they_are_asked_for_and_text_elsewhere():
    """The space before a mask is its word's."""
    encode, mask, eod = tokenizer().encode, control("[MASK]"), tokenizer().eod
    (asked,) = put("masked_lm", text="a [MASK] [MASK]\n", fill_mask=("",), num_samples=9)
    assert list(asked.ids) == [control("[CLS]"), *encode("a"), mask, mask, *encode("\n"), control("[SEP]")]
    (asked,) = put("denoising", text="a [MASK] b", fill_mask=("",))
    assert list(asked.beside.encoder) == [*encode("a"), mask, *encode(" b"), eod] and asked.ids == (eod,) and asked.apart
    (asked,) = put("span_corruption", text="a [MASK] <extra_id_0>", sequence_to_sequence=True)
    assert list(asked.beside.encoder) == [*encode("a [MASK] <extra_id_0>"), eod] and asked.ids == (eod,) and asked.apart
    assert not {mask, control("<extra_id_0>")} & {*asked.beside.encoder}
    (asked,) = put("denoising", text="a [MASK]")
    assert asked.beside.encoder.count(mask) == 1


@pytest.mark.parametrize(("settings", "said"), [
    (dict(objective="masked_lm"), "here: the run learnt --objective masked_lm, which continues no text; ask it with --fill-mask"),
    (dict(objective="causal_lm", fill_mask=("",)), "fills in no masks; load a run of --objective denoising or masked_lm, or"),
    (dict(objective="masked_lm", fill_mask=("",), text="a"), r"here: has no \[MASK\]; put one where"),
    (dict(objective="prefix_lm", sequence_to_sequence=True), "--sequence-to-sequence: the run is a model of"),
    (dict(objective="span_corruption", window=4), "here: has .* tokens, and the model has 4 positions; give a shorter text"),
])  # fmt: skip
def test_what_cannot_be_asked_is_said(settings, said):
    with pytest.raises(UserError, match=said):
        put(**settings)


@pytest.mark.parametrize(("settings", "said"), [
    (dict(objective="causal_lm"), "--infill: the run learnt --objective causal_lm, which fills in no middle"),
    (dict(objective="masked_lm"), "which fills in no middle; .* or give --fill-mask"),
    (dict(fim_middle_token="<fim_middle>"), "needs control tokens that the tokenizer has not: <fim_middle>"),
    (dict(window=4), "the model has 4 positions; give a shorter text"),
])  # fmt: skip
def test_what_cannot_be_filled_in_is_said(settings, said):
    with pytest.raises(UserError, match=said):
        infilled("def add(a, b):", "    return total", **settings)
