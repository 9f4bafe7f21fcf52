"""Prefix language modelling: the document in two, wherever it is cut; the cut drawn evenly, or given."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.data.preprocess.flags import PreprocessFlags
from megatron_ext.data.preprocess.pipeline import preprocess
from megatron_ext.objectives import prefix_lm
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.tokenizers.flags import TokenizerFlags
from tests import texts
from tests.layouts.training_case import outcome
from tests.objectives.made import control, ordinary, setting, tokenizer


@given(st.integers(0, 100), st.integers(0, 5), st.sampled_from([None, 1, 30]))
def test_the_document_in_two(length, seed, fixed):
    ids = ordinary(length)
    pair = prefix_lm.Pairs(setting("prefix_lm", prefix_length=fixed))(ids, Draws(seed))
    assert np.concatenate([pair.inputs, pair.labels]).tolist() == ids.tolist()
    if length:
        assert len(pair.labels) >= 1 <= len(pair.inputs)
        assert fixed is None or len(pair.inputs) == min(fixed, length)


def test_cuts_are_drawn_evenly():
    pairs = prefix_lm.Pairs(setting("prefix_lm"))
    counts = np.bincount([len(pairs(ordinary(9), Draws(number)).inputs) for number in range(9000)], minlength=10)
    assert counts[0] == 0 and counts[1:] == pytest.approx(1000, abs=130)


END = control("<|prefix_end|>")


def said():
    return prefix_lm.Pairs(setting("prefix_lm", prefix_end_token="<|prefix_end|>"))


@given(st.integers(0, 40), st.integers(1, 40), st.booleans(), st.booleans())
def test_the_data_says_where_a_prefix_ends(before, behind, first, last):
    ids = np.concatenate([ordinary(before)[:-1], [END], ordinary(behind)])
    part, cut = said().choose(Draws(0)).of(ids, first, last, (200,))
    pair = cut(part, Draws(0))
    assert pair.inputs.tolist() == ids[: before + 1].tolist() and pair.labels.tolist() == ids[before + 1 :].tolist()


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 60), st.integers(0, 60))
def test_a_prefix_that_does_not_fit_loses_its_beginning(before, behind, room, decoder):
    """And so much of it alone that half of what is left is the text's, or as much as that has."""
    ids = np.concatenate([ordinary(before)[:-1], [END], ordinary(behind)])
    for left in ((room,), (room, decoder)):
        part, cut = said().of(ids, False, False, left)
        pair = cut(part, Draws(0))
        kept = len(pair.inputs)
        assert 1 <= kept <= before + 1 and pair.inputs.tolist() == ids[before + 1 - kept : before + 1].tolist()
        assert pair.labels.tolist() == ids[before + 1 :].tolist()
        fits = room if len(left) == 2 else room + 1 - min(behind + 1, room // 2)
        assert kept == min(before + 1, fits)


def test_parts_of_documents_have_no_end_of_a_prefix():
    """The rest of a text is predicted behind its first token; the beginning of a prefix predicts nothing."""
    ids = ordinary(9)
    part, cut = said().of(ids, True, False, (99,))
    pair = cut(part, Draws(0))
    assert (pair.inputs.tolist(), pair.labels.tolist()) == (ids[:1].tolist(), ids[1:].tolist())
    assert said().of(ids[:-1], False, True, (99,)) is said().of(ids[:-1], True, True, (99,)) is None


def test_a_document_without_a_prefix_is_said():
    ids = np.append(tokenizer().encode("def main():"), tokenizer().eod)
    with pytest.raises(UserError, match=r"--prefix-end-token <\|prefix_end\|>: a document .* begins 'def main.*--prefix-key KEY"):
        said().of(ids, False, False, (99,))
    with pytest.raises(UserError, match="needs control tokens that the tokenizer has not: <another>"):
        prefix_lm.Pairs(setting("prefix_lm", prefix_end_token="<another>"))


def learn(launch, argv):
    """`(the first micro-batch, its nats and targets, logits)` of a run."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*argv, "--device", "cpu"], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.models.gpt import model_class
        from megatron_ext.training.build import build
        from megatron_ext.training.step import forward_backward

        run = build(config, device)
        sums = forward_backward(run, run.train_samples, 0, forward_only=True)
        (batch,) = run.loader.batches(run.train_samples, 0, 1)
        _, arguments = model_class(run.model_config).arguments(batch, run.model_config)
        with torch.no_grad():
            return batch, sums, run.sharding.chunks[0](**arguments | {"labels": None})


def test_from_prompts_and_answers_to_a_loss_on_answers_alone(pool, tmp_path):
    """Preprocessed, trained, and the loss counted again from the texts."""
    library = texts.library_texts()
    records = [{"prompt": text[:90], "text": text[90 : 90 + 37 * (number % 9 + 1)]} for number, text in enumerate(library)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    model = texts.write_tokenizer_with_control_tokens(tmp_path, 800)
    names = InputFlags(input=(str(tmp_path / "a.jsonl"),)), TokenizerFlags(tokenizer_type="huggingface", tokenizer_model=model)
    preprocess(*names, PreprocessFlags(output_prefix=str(tmp_path / "x"), append_eod=True, workers=1, prefix_key="prompt"))
    argv = ["--preset", "tiny", "--num-layers", "2", "--data-path", str(tmp_path / "x_text_document"), "--split", "1",
            "--tokenizer-model", model, "--tokenizer-type", "huggingface", "--objective", "prefix_lm", "--seq-length", "256",
            "--prefix-end-token", "<|prefix_end|>", "--global-batch-size", "8", "--micro-batch-size", "8",
            "--train-iters", "20", "--lr", "3e-3"]  # fmt: skip
    batch, (nats, targets), logits = pool.run(learn, 1, argv)[0]
    encode, eod = tokenizer().encode, tokenizer().eod
    answers = {tuple(encode(record["prompt"])): [*encode(record["text"]), eod] for record in records}
    whole = 0
    for row in range(8):
        for document in batch["documents"][row].unique():
            places = torch.nonzero(batch["documents"][row] == document)[:, 0]
            ids = batch["input_ids"][row, places].tolist()
            if END not in ids:
                continue
            cut = ids.index(END)
            answer = answers.get(tuple(ids[:cut]), [])  # a prompt may be a rest of one at a sample's beginning
            shown, asked = batch["prefix"][row, places], batch["loss_mask"][row, places] > 0
            assert shown.tolist() == [place <= cut for place in range(len(ids))]
            assert asked.tolist() == [place >= cut for place in range(len(ids))]
            labels = batch["labels"][row, places][asked].tolist()
            if answer:
                whole += labels == answer
                assert labels == answer[: len(labels)]
    mask = batch["loss_mask"] > 0
    by_hand = torch.nn.functional.cross_entropy(
        logits[mask][:, : tokenizer().vocab_size], batch["labels"][mask], reduction="sum"
    ).item()
    assert whole >= 8 and targets == mask.sum() and nats == pytest.approx(by_hand, rel=1e-4)
    records = outcome(pool, argv, 1, tmp_path / "run").records
    assert records[-1]["loss"] < records[0]["loss"] - 0.5
    assert records[0]["padding_share"] == pytest.approx(batch["padding"].float().mean().item())
