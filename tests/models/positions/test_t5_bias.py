"""Buckets against transformers' T5, the bias and its gradient against a look-up written out, how a table is cut and copied."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.models.attention import blocks
from megatron_ext.models.positions.t5_bias import Bias, buckets, buckets_both_ways
from megatron_ext.training.configuration import read_configuration
from tests.checkpoint.saved_run import restored, tensors
from tests.layouts.test_save_and_load import whole
from tests.layouts.training_case import outcome
from tests.models.attention.cores import Tokens, core
from tests.models.attention.test_blocks import DOCUMENTS, PREFIX, naive


@pytest.mark.parametrize(("count", "farthest"), [(32, 128), (7, 9), (2, 2), (9, 13), (64, 4096)])
def test_buckets_are_t5s(count, farthest):
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-50, 2 * farthest)
    theirs = T5Attention._relative_position_bucket(-distance, bidirectional=False, num_buckets=count, max_distance=farthest)
    assert torch.equal(buckets(distance, count, farthest), theirs)
    assert theirs.max() == count - 1


@pytest.mark.parametrize(("count", "farthest"), [(32, 128), (10, 13), (4, 4), (64, 4096)])
def test_buckets_of_an_encoder_are_t5s(count, farthest):
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-2 * farthest, 2 * farthest)
    theirs = T5Attention._relative_position_bucket(-distance, bidirectional=True, num_buckets=count, max_distance=farthest)
    assert torch.equal(buckets_both_ways(distance, count, farthest), theirs)
    assert theirs.max() == count - 1


@pytest.fixture
def bias(monkeypatch):
    """Six heads; buckets 0, 1, 2 of their own, 3 and 4 and 5 for what lies further back."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: "cpu")
    config = SimpleNamespace(relative_buckets=6, relative_max_distance=8, params_dtype=torch.float32, encoder_layers=0)
    module = Bias(config, first=0, heads=6)
    torch.manual_seed(0)
    torch.nn.init.normal_(module.weight)
    return module


def written_out(table: torch.Tensor, length: int) -> torch.Tensor:
    """`[heads, q, k]`, an entry at a time: by the docstring's formula 3, 4 and 5 tokens back and 6 and 7 share buckets."""
    of = {**{n: n for n in (0, 1, 2)}, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5}
    rows = [[table[of.get(max(q - k, 0), 5)] for k in range(length)] for q in range(length)]
    return torch.stack([torch.stack(row) for row in rows]).permute(2, 0, 1)


def test_bias_is_the_tables(bias):
    index = torch.arange(12)
    found = bias()(index[:, None], index[None])
    torch.testing.assert_close(found, written_out(bias.weight, 12))
    rows = bias()(torch.tensor([[[4]], [[11]]]), index[None])
    assert rows.shape == (2, 6, 1, 12)
    torch.testing.assert_close(rows[1, :, 0], found[:, 11])


@pytest.mark.parametrize("documents", [None, DOCUMENTS], ids=["one document", "three"])
@pytest.mark.parametrize("cap", [None, 2.0], ids=["", "capped"])
@pytest.mark.parametrize("pattern", ["causal", "sliding_window", "prefix"])
@pytest.mark.parametrize("queries", [3, 100])
def test_attention_teaches_the_table(pattern, cap, documents, queries, bias, monkeypatch):
    """Outputs and gradients of queries, keys, values and table, the mean over blocks of any size."""
    monkeypatch.setattr(blocks, "QUERIES", queries)
    torch.manual_seed(1)
    shapes = ((12, 2, 6, 5), (12, 2, 2, 5), (12, 2, 2, 5))
    ours = [*(torch.randn(shape, requires_grad=True) for shape in shapes), bias.weight]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    module = core(pattern, cap, learns_bias=True)
    module.bias = bias
    found = module(*ours[:3], None, attention_bias=Tokens.whole(12, "cpu", documents, PREFIX))
    expected = naive(*theirs[:3], pattern, documents, cap, written_out(theirs[3], 12))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert theirs[3].grad.norm() > 0.1
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_a_bf16_table_gets_its_gradient_added_up_in_fp32(bias, monkeypatch):
    """4,096 equal contributions from 32 blocks: in bf16 alone a sum of ones stops growing at 256."""
    monkeypatch.setattr(blocks, "QUERIES", 128)
    bias.to(torch.bfloat16)
    module = core("causal", learns_bias=True)
    module.bias = bias
    added = module.bias()
    index = torch.arange(4096)
    total = sum(added(index[first : first + 128, None], index[None, :1])[0].sum() for first in range(0, 4096, 128))
    total.backward()
    assert bias.weight.grad[5, 0] == 4096 - 6 and bias.weight.grad[:3, 0].tolist() == [1, 1, 1]


BASE = "--preset tiny --mock-data --vocab-size 100 --train-iters 1 --device cpu".split()
PIPELINE, TENSOR = (["--" + name, "2"] for name in ("pipeline-model-parallel-size", "tensor-model-parallel-size"))
T5_BIAS = ["--position-embedding-type", "t5_bias"]


@pytest.mark.parametrize(("line", "said"), [
    ("--relative-attention-max-distance 16", "16: is not beyond the 16 distances that have a bucket of their own"),
    ("--relative-attention-num-buckets 1", "must be at least 2"),
    ("--rotary-base 7", "has no effect with --position-embedding-type t5_bias; use rope or xpos, or leave it out"),
    ("--pipeline-model-parallel-size 4 --pipeline-model-parallel-layout E|tt|tt|L", "has a stage without layers"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(line, said):
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*BASE, *T5_BIAS, *line.split()], 4)
    assert said in str(error.value)


def test_megatron_lms_word_for_it():
    model = read_configuration(
        [*BASE, "--position-embedding-type", "relative", "--relative-attention-num-buckets", "16"], 1
    ).model
    assert (model.position_embedding_type, model.relative_attention_num_buckets) == ("t5_bias", 16)


def held(launch, argv):
    """Of each chunk here, its tables: `(name, block, whole shape, copy, counted in the norm, numbers)`."""
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE, *T5_BIAS, *argv], launch.world_size)
    with processes(launch, config):
        from megatron_ext.backend.placement import placements
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        found = []
        for chunk in gpt.build(config.model, model_config(config, 100, "local"), seed=1):
            table = [(place, p) for place, p in placements(chunk) if "bias" in place.name]
            found.append([(p.name, p.block, p.shape, p.copy, not tensor.shared, tensor.detach()) for p, tensor in table])
        return found


@pytest.mark.parametrize(("before", "after"), [(PIPELINE, TENSOR), (TENSOR, PIPELINE)], ids=["PP2 to TP2", "TP2 to PP2"])
def test_a_run_goes_on_on_another_layout(before, after, pool, tmp_path):
    """The table's owner alone writes it, and every copy reads it, bit by bit, moments too."""
    line = "--mock-data --vocab-size 100 --train-iters 8 --global-batch-size 4 --micro-batch-size 2 --seq-length 16"
    run = ["--preset", "tiny", *T5_BIAS, *line.split()]
    outcome(pool, [*run, *before, "--exit-interval", "4"], 2, tmp_path)
    state, loaded = (
        whole(pool.run(restored, size, [*layout, "--load", str(tmp_path)], tensors, run))
        for size, layout in ((1, []), (2, after))
    )
    assert loaded.keys() == state.keys() and state["exp_avg of position_bias.weight"].norm() > 0
    for name, tensor in state.items():
        assert torch.equal(loaded[name], tensor), name
    gone_on = outcome(pool, [*run, *after], 2, tmp_path).records
    straight = outcome(pool, run, 1, tmp_path / "straight").records
    assert [record["iteration"] for record in gone_on] == list(range(1, 9))
    for ours, theirs in zip(gone_on, straight):
        for key in ("loss", "grad_norm"):
            assert ours[key] == pytest.approx(theirs[key], rel=1e-5)


def test_all_layers_and_stages_have_one_table(pool):
    (((alone,),),) = pool.run(held, 1, [])
    name, _, shape, copy, counted, whole = alone
    assert (name, shape, copy, counted) == ("position_bias.weight", (32, 4), False, True)
    assert 0.01 < whole.std() < 0.03
    argv = "--tensor-model-parallel-size 2 --pipeline-model-parallel-size 2 --num-virtual-stages-per-pipeline-rank 2"
    ranks = pool.run(held, 4, argv.split() + ["--micro-batch-size", "1"])
    owners = [len(chunks) and [chunk[0][3:5] for chunk in chunks] for chunks in ranks]
    assert owners == [[(False, True), (True, False)]] * 2 + [[(True, False), (True, False)]] * 2
    for rank, chunks in enumerate(ranks):
        for ((_, block, shape, _, _, tensor),) in chunks:
            assert shape == (32, 4) and block[1] == slice(2 * (rank % 2), 2 * (rank % 2) + 2)
            assert torch.equal(tensor, whole[block])
