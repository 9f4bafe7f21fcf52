"""A decoder that grows behind an encoder: each step equals the whole read in one pass, cached or not, and on any layout."""

from __future__ import annotations

import functools

import pytest
import torch

from megatron_ext.inference.reader import Beside, first_seen
from tests import texts
from tests.inference.case import continuations, opened
from tests.layouts.training_case import outcome

WINDOW, VOCAB = 12, 600
RUN = (
    f"--preset tiny --mock-data --tokenizer-type huggingface --train-iters 1 --encoder-seq-length {WINDOW} --decoder-seq-length "
    f"{WINDOW} --init-method-std 0.2 --architecture encoder-decoder --encoder-num-layers 2 --decoder-num-layers 2"
).split()
MODELS = {
    "t5": "--position-embedding-type t5_bias --relative-attention-num-buckets 8 --softmax-scale 1".split(),
    "bart": (
        "--position-embedding-type learned_absolute --norm-placement post --normalization layernorm --embedding-norm "
        "--add-bias-linear --activation gelu --num-query-groups 4"
    ).split(),
    "rope": "--decoder-start-token-id 7".split(),
}
TP2, PP2 = (["--tensor-model-parallel-size", "2"], ["--pipeline-model-parallel-size", "2"])
LAYOUTS = {"TP2": (2, TP2), "PP2": (2, PP2), "TP2.PP2": (4, [*TP2, *PP2]), "DP3": (3, [])}
CASES = [
    pytest.param(model, layout, marks=[] if (model, layout) in (("t5", "PP2"), ("bart", "TP2.PP2")) else [pytest.mark.full])
    for model in MODELS
    for layout in LAYOUTS
]


@pytest.fixture(scope="module")
def runs(pool, tmp_path_factory):
    tokenizer = texts.write_tokenizer_with_control_tokens(tmp_path_factory.mktemp("tokenizer"), VOCAB)

    @functools.cache
    def folder_of(model):
        folder = tmp_path_factory.mktemp(model)
        outcome(pool, [*RUN, *MODELS[model], "--tokenizer-model", tokenizer], 1, folder)
        return str(folder)

    return folder_of


def differences(trained, flags, cached: bool) -> tuple[list[float], float]:
    """Largest |Δlogit| of each step of a batch against each text alone, read as in training; rows leave and are doubled."""
    from megatron_ext.inference.reader import Reader
    from megatron_ext.models.encoder_decoder import EncoderDecoder

    generator = torch.Generator().manual_seed(0)
    draw = lambda size: tuple(torch.randint(0, VOCAB, (size,), generator=generator).tolist())
    given = [draw(size) for size in (5, 1, WINDOW, 9)]
    given.append(given[3])  # two samples of a prompt
    grown = [list(draw(size)) for size in (1, 3, 1, 2)]
    grown.append(list(grown[3]))
    reader = Reader(trained.model, WINDOW, 200, trained.device, cached, [Beside(encoder=ids) for ids in given])
    found, other = [], []
    with torch.no_grad():
        for step in range(2 * WINDOW):
            logits = reader.next_logits(grown)
            for row, text in enumerate(grown):
                seen, batch = text[first_seen(len(text), WINDOW) :], {"labels": None}
                for stretch, ids in (("", given[row]), ("decoder_", seen)):
                    batch |= {f"{stretch}input_ids": torch.tensor([ids]), f"{stretch}position_ids": torch.arange(len(ids))[None]}
                    batch[f"{stretch}documents"] = torch.zeros(1, len(ids), dtype=torch.long)
                alone = trained.model(**EncoderDecoder.arguments(batch, trained.model.config)[1])[0, -1, :VOCAB]
                found.append((logits[row] - alone).abs().max().item())
                other.append((logits[row] - logits[row - 1]).abs().max().item())
            for row, text in enumerate(grown):
                text.append(int(logits[row].argmax() + row) % VOCAB)
            if step == 9:
                reader.select([4, 0, 2])
                given, grown = ([rows[row] for row in (4, 0, 2)] for rows in (given, grown))
    return found, max(other)


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])
@pytest.mark.parametrize("model", MODELS)
def test_every_step_equals_the_whole_alone(model, cached, runs, pool):
    found, other = pool.run(opened, 1, ["--load", runs(model), "--prompt", "1"], differences, cached)[0]
    assert max(found) <= 1e-4 and other > 1, "another row's logits are far from these"


def fed(trained, flags) -> tuple[list[int], list[str]]:
    """Tokens that are embedded in each step, and what layers keep."""
    from megatron_ext.inference.reader import Reader

    sizes, grown = [], [[0], [0]]
    trained.model.embedding.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    reader = Reader(trained.model, WINDOW, 200, trained.device, True, [Beside(encoder=(5, 6, 7, 8)), Beside(encoder=(9,))])
    with torch.no_grad():
        for _ in range(4):
            for text, row in zip(grown, reader.next_logits(grown)):
                text.append(int(row.argmax()))
    return sizes, [
        f"{layer} {name} {tuple(tensor.shape[:3])}"
        for layer, kept in reader._cache.memory.items()
        for name, tensor in kept.items()
    ]


def test_the_encoder_reads_once_and_its_keys_are_made_once(runs, pool):
    sizes, kept = pool.run(opened, 1, ["--load", runs("t5"), "--prompt", "1"], fed)[0]
    assert sizes == [5, 1, 1, 1]
    assert kept == [
        f"{layer} {name} {shape}"
        for layer in (3, 4)
        for name, shape in (("key", (2, 2, 12)), ("value", (2, 2, 12)), ("keys_across", (2, 4, 2)), ("values_across", (2, 4, 2)))
    ]


PROMPTS = ["def add(a, b):", "import", "    return", "x = 1"]
DRAWN = ["--temperature", "1.5", "--top-k", "50", "--repetition-penalty", "1.1", "--num-samples", "2", "--ignore-eod",
         "--max-new-tokens", str(WINDOW + 5), "--sequence-to-sequence", "--batch-size", "3"]  # fmt: skip


@pytest.mark.parametrize(("model", "layout"), CASES)
def test_on_any_layout_the_same(model, layout, runs, pool):
    """Drawn texts that outgrow the decoder's window; three batches, so that three groups have one each."""
    argv = ["--load", runs(model), "--prompt", *PROMPTS, *DRAWN]
    world_size, flags = LAYOUTS[layout]
    expected = pool.run(opened, 1, argv, continuations)[0]
    assert pool.run(opened, world_size, [*argv, *flags], continuations)[0] == expected
    assert len({row[3] for row in expected}) == 8 and all(len(row[2]) == WINDOW + 5 for row in expected)
    assert pool.run(opened, 1, argv, continuations, False)[0] == expected, "without a cache"
