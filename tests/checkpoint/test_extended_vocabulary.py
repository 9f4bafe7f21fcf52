"""A model with an earlier tokenizer, taken for a larger one: every row against the mean of old rows, whatever the layout."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch

from megatron_ext.checkpoint import extended_vocabulary
from megatron_ext.tokenizers.vocabulary_change import vocabulary_change
from tests import texts
from tests.checkpoint.saved_run import counts, restored, tensors
from tests.layouts.test_save_and_load import whole
from tests.layouts.training_case import train_case
from tests.tokenizers.test_vocabulary_change import load, naive_byte_level

RUN = (
    "--preset tiny --mock-data --train-iters 2 --global-batch-size 4 --micro-batch-size 2 --seq-length 16 --num-layers 2 "
    "--lr-warmup-iters 0 --make-vocab-size-divisible-by 32"
).split()
UNTIED = ["--untie-embeddings-and-output-weights", "--add-output-bias"]
MODELS = {"tied": ["--add-output-bias"], "untied": UNTIED, "further": ["--mtp-num-layers", "1"]}
TP2, PP2, ZERO = ["--tensor-model-parallel-size", "2"], ["--pipeline-model-parallel-size", "2"], ["--zero-stage", "1"]
LAYOUTS = {"TP1": (1, []), "TP2.PP2": (4, [*TP2, *PP2]), "DP2+ZeRO1": (2, ZERO), "TP2.DP2+ZeRO1": (4, [*TP2, *ZERO])}
OUTPUT = ("embedding.word_embeddings.weight", "output_layer.weight", "output_layer.bias")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Folders of the earlier tokenizer and of the new one; both loaded."""
    place = tmp_path_factory.mktemp("tokenizers")
    old, new = load(place / "old", texts.byte_level_bpe_json()), load(place / "new", texts.bilingual_bpe_json())
    return place / "old", place / "new", old, new


@pytest.fixture(scope="module")
def earlier(pool, tokenizers, tmp_path_factory):
    """`earlier(model)`: the folder of a run on two tensor-parallel processes, and its weights by name."""
    known = {}

    def of(model):
        if model not in known:
            folder = tmp_path_factory.mktemp("earlier")
            argv = [*RUN, *MODELS[model], *TP2, "--tokenizer-model", str(tokenizers[0])]
            pool.run(train_case, 2, argv, str(folder))
            base = [*RUN, *MODELS[model], "--tokenizer-model", str(tokenizers[0])]
            known[model] = folder, whole(pool.run(restored, 1, ["--load", str(folder)], tensors, base))
        return known[model]

    return of


def extended(pool, tokenizers, folder, model, layout="TP1", answer=tensors, *more):
    world_size, flags = LAYOUTS[layout]
    base = [*RUN, *MODELS[model], "--tokenizer-model", str(tokenizers[1])]
    return pool.run(restored, world_size, [*flags, "--extend-vocab-from", str(folder), *more], answer, base)


@pytest.mark.parametrize("model", MODELS)
def test_rows_are_copies_and_means(model, pool, tokenizers, earlier):
    folder, before = earlier(model)
    found = whole(extended(pool, tokenizers, folder, model))
    old, new = tokenizers[2:]
    rows = naive_byte_level(texts.byte_level_bpe_json(), texts.bilingual_bpe_json(), old.eod, new.eod)
    names = [name for name in OUTPUT if f"weight of {name}" in before]
    assert len(names) == {"tied": 2, "untied": 3, "further": 1}[model]
    for name in names:
        ours, theirs = found[f"weight of {name}"], before[f"weight of {name}"]
        assert (len(ours), len(theirs)) == (704, 608) and theirs[:600].any()
        for number, sources in enumerate(rows):
            if sources is None:  # a part of a character: test_vocabulary_change.py
                assert ours[number].any()
            elif len(sources) == 1:
                assert torch.equal(ours[number], theirs[sources[0]]), (name, number)
            else:
                mean = theirs[sources or range(600)].double().mean(0)
                torch.testing.assert_close(ours[number].double(), mean, rtol=0, atol=2e-8)
        assert not ours[700:].any()
    for name, tensor in before.items():
        if name.startswith("weight of ") and name.removeprefix("weight of ") not in OUTPUT:
            assert torch.equal(found[name], tensor), name
    assert not any(tensor.any() for name, tensor in found.items() if not name.startswith("weight"))  # moments


@pytest.mark.parametrize(("model", "layout"), [
    ("untied", "TP2.PP2"), ("tied", "TP2.DP2+ZeRO1"), ("further", "TP2.PP2"),
    pytest.param("untied", "DP2+ZeRO1", marks=pytest.mark.full), pytest.param("tied", "TP2.PP2", marks=pytest.mark.full),
    pytest.param("further", "DP2+ZeRO1", marks=pytest.mark.full),
])  # fmt: skip
def test_any_layout_has_the_rows_of_one_process(model, layout, pool, tokenizers, earlier):
    folder, _ = earlier(model)
    alone, spread = (whole(extended(pool, tokenizers, folder, model, each)) for each in ("TP1", layout))
    assert alone.keys() == spread.keys()
    assert all(torch.equal(tensor, spread[name]) for name, tensor in alone.items())


def test_new_rows_may_be_those_of_a_new_run(pool, tokenizers, earlier):
    """On any layout: ZeRO-1 cuts in the middle of a row."""
    folder, before = earlier("untied")
    base = [*RUN, *UNTIED, "--tokenizer-model", str(tokenizers[1])]
    fresh = whole(pool.run(restored, 1, [], tensors, base))
    found = whole(extended(pool, tokenizers, folder, "untied", "TP2.DP2+ZeRO1", tensors, "--extend-vocab-new-rows", "random"))
    means = whole(extended(pool, tokenizers, folder, "untied"))
    keeps = torch.from_numpy(vocabulary_change(*tokenizers[2:]).keeps)
    assert 0 < keeps.sum() < 700
    for name in (f"weight of {each}" for each in OUTPUT):
        assert torch.equal(found[name][:700][keeps], means[name][:700][keeps])
        assert torch.equal(found[name][:700][~keeps], fresh[name][:700][~keeps])


def slabs(launch, argv, base):
    """The same with slabs of three rows."""
    most = extended_vocabulary._SLAB
    extended_vocabulary._SLAB = 3 * 64
    try:
        return restored(launch, argv, tensors, base)
    finally:
        extended_vocabulary._SLAB = most


def test_rows_do_not_depend_on_what_is_in_memory_at_once(pool, tokenizers, earlier):
    folder, _ = earlier("untied")
    base = [*RUN, *UNTIED, "--tokenizer-model", str(tokenizers[1])]
    small = whole(pool.run(slabs, 1, ["--extend-vocab-from", str(folder)], base))
    for name, tensor in whole(extended(pool, tokenizers, folder, "untied")).items():
        torch.testing.assert_close(small[name], tensor, rtol=0, atol=1e-7)


def test_it_begins_at_the_first_update(pool, tokenizers, earlier):
    found = extended(pool, tokenizers, earlier("tied")[0], "tied", "TP1", counts)
    assert found[0] == {"iteration": 0, "consumed_samples": 0, "consumed_tokens": 0, "skipped": 0, "updates": 0}


def logits(run, state, text):
    """On tokens that both tokenizers have: the earlier one's are the first of the new one's."""
    ids = torch.tensor([run.tokenizer.encode(text)[:16]])
    model = run.sharding.chunks[0].eval()
    with torch.no_grad():
        return ids, model(ids, torch.arange(ids.shape[1])[None], None)


def of_text(launch, argv, base, text):
    return restored(launch, argv, lambda run, state: logits(run, state, text), base)


def test_logits_of_old_tokens_stay_where_ids_map_one_to_one(pool, tokenizers, earlier, tmp_path):
    larger = json.loads(texts.byte_level_bpe_json())
    vocab = larger["model"]["vocab"]
    for left, right in (("ä", "¸"), ("ä¸", "Ń"), ("å", "Ľ"), ("åĽ", "½")):  # 中 and the bytes of 国
        vocab[left + right] = len(vocab)
        larger["model"]["merges"].append([left, right])
    new = load(tmp_path / "larger", json.dumps(larger))
    assert new.vocab_size == 604
    folder, _ = earlier("untied")
    base = [*RUN, *UNTIED]
    text = "import os\nclass Path:"
    answers = [
        pool.run(of_text, 1, argv, [*base, "--tokenizer-model", str(place)], text)[0]
        for argv, place in ((["--load", str(folder)], tokenizers[0]), (["--extend-vocab-from", str(folder)], tmp_path / "larger"))
    ]
    (ids, before), (same, after) = answers
    assert torch.equal(ids, same) and before.abs().max() > 1e-2
    torch.testing.assert_close(after[..., :600], before[..., :600], rtol=0, atol=1e-6)
    # a mean of output rows and biases gives the mean of their logits
    pieces = [vocab[each] for each in ("ä", "¸", "Ń")]
    torch.testing.assert_close(after[..., 601], before[..., pieces].mean(-1), rtol=0, atol=1e-6)


def test_from_a_folder_of_hugging_faces_and_from_megatron_lms(pool, tokenizers, earlier, tmp_path):
    """Weights alone, and the tokenizer of the folder; of Megatron-LM's checkpoint none, which is asked for."""
    from tests.tools.test_convert_checkpoint import convert

    folder, _ = earlier("further")
    plain = tmp_path / "plain"
    pool.run(train_case, 1, [*RUN, "--untie-embeddings-and-output-weights", "--tokenizer-model", str(tokenizers[0])], str(plain))
    assert pool.run(convert, 1, "--from", plain, "--to-hf", tmp_path / "theirs", "--no-check")[0][2] == 0
    (checkpoint,) = plain.glob("iter_*")
    shutil.copytree(checkpoint, tmp_path / "megatron")
    for name in ("manifest.json", "run.yaml", "tokenizer/tokenizer.json"):
        (tmp_path / "megatron" / name).unlink()
    base = [*RUN, "--untie-embeddings-and-output-weights", "--tokenizer-model", str(tokenizers[1])]
    expected = whole(pool.run(restored, 1, ["--extend-vocab-from", str(plain)], tensors, base))
    given = ["--extend-vocab-tokenizer", str(tokenizers[0])]
    for argv in ([str(tmp_path / "theirs")], [str(tmp_path / "megatron"), *given], [str(tmp_path / "theirs"), *given]):
        found = whole(pool.run(restored, 2, ["--extend-vocab-from", *argv, *TP2], tensors, base))
        assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items()), argv
    with pytest.raises(AssertionError, match="Megatron-LM keeps no tokenizer with its checkpoints; name it with --extend-vocab"):
        pool.run(restored, 1, ["--extend-vocab-from", str(tmp_path / "megatron")], tensors, base)
    assert math.isfinite(sum(tensor.sum().item() for tensor in expected.values()))
