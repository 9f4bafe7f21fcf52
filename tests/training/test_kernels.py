"""Flags that change how an update is computed but not what comes out: that they do what they say, and that it comes out."""

from __future__ import annotations

import dataclasses
import sys
import types

import pytest
import torch

from tests.layouts.training_case import outcome
from tests.training.test_spread import look

BASE = ["--preset", "tiny", "--num-layers", "2", "--vocab-size", "200", "--seq-length", "16", "--global-batch-size", "4",
        "--micro-batch-size", "2", "--mock-data", "--train-iters", "5"]  # fmt: skip


@pytest.mark.parametrize(("norm", "world_size", "flags"), [
    ("rmsnorm", 1, []),
    ("layernorm", 2, ["--tensor-model-parallel-size", "2", "--sequence-parallel"]),
])  # fmt: skip
def test_one_plus_weight_is_the_same_model(norm, world_size, flags, pool, tmp_path):
    """From weights that differ by 1 in the norms, the same losses, and weights that differ by 1 at the end."""
    plain = outcome(pool, [*BASE, "--normalization", norm], 1, tmp_path / "plain")
    centred = outcome(pool, [*BASE, "--normalization", norm, "--apply-layernorm-1p", *flags], world_size, tmp_path / "centred")
    assert [r["loss"] for r in centred.records] == pytest.approx([r["loss"] for r in plain.records], rel=1e-5)
    for name, tensor in plain.final.items():
        gain = "norm" in name and name.endswith("weight")
        assert (centred.final[name] + gain - tensor).norm() <= 1e-4 * tensor.norm(), name
        assert not gain or centred.initial[name].eq(0).all()


def fused_calls(run):
    """How often the fused cross entropy runs in one update."""
    from megatron.core.models.common.language_module import language_module

    from megatron_ext.training.state import TrainState
    from megatron_ext.training.step import train_step

    calls, original = [], language_module.fused_vocab_parallel_cross_entropy
    language_module.fused_vocab_parallel_cross_entropy = lambda *args: calls.append(1) or original(*args)
    try:
        train_step(run, TrainState(run.sharding))
    finally:
        language_module.fused_vocab_parallel_cross_entropy = original
    return len(calls)


def test_fused_cross_entropy_equals_the_plain_one(pool, tmp_path):
    """Bit by bit, over two processes and a padded vocabulary."""
    argv = [*BASE, "--bf16", "--tensor-model-parallel-size", "2", "--make-vocab-size-divisible-by", "128"]
    plain = outcome(pool, argv, 2, tmp_path / "plain")
    fused = outcome(pool, [*argv, "--cross-entropy-loss-fusion"], 2, tmp_path / "fused")
    assert [r["loss"] for r in fused.records] == [r["loss"] for r in plain.records]
    for name, tensor in plain.final.items():
        assert fused.final[name].equal(tensor), name
    assert pool.run(look, 1, ["--bf16"], fused_calls)[0] == 0
    assert pool.run(look, 1, ["--bf16", "--micro-batch-size", "4", "--cross-entropy-loss-fusion"], fused_calls)[0] == 2


def kernels(run):
    """The names of the attention's autograd nodes in one forward pass."""
    from megatron_ext.models.attention.core import CoreAttention

    found, original = set(), CoreAttention._attend

    def attend(self, *args):
        output = original(self, *args)
        found.add(output.grad_fn.name())
        return output

    CoreAttention._attend = attend
    try:
        from megatron_ext.training.step import forward_backward

        forward_backward(run, run.train_samples, 0, forward_only=False)
    finally:
        CoreAttention._attend = original
    return found


def test_attention_kernel_is_the_one_asked_for(pool):
    flash = {"ScaledDotProductFlashAttentionForCpuBackward0"}
    assert pool.run(look, 1, ["--attention-backend", "flash"], kernels)[0] == flash
    assert pool.run(look, 1, ["--attention-backend", "unfused"], kernels)[0].isdisjoint(flash)


def test_attention_kernels_agree(pool, tmp_path):
    runs = [outcome(pool, [*BASE, "--attention-backend", name], 1, tmp_path / name) for name in ("auto", "flash", "unfused")]
    for run in runs[1:]:
        assert [r["loss"] for r in run.records] == pytest.approx([r["loss"] for r in runs[0].records], rel=1e-5)


def gradient_types(run):
    return {parameter.main_grad.dtype for parameter in run.sharding.chunks[0].parameters()}


@pytest.mark.parametrize("stage", [pytest.param("0", marks=pytest.mark.full), "1"])
def test_gradients_are_added_up_in_bf16(stage, pool, tmp_path):
    zero, short = ["--bf16", "--zero-stage", stage], ["--grad-reduce-in-bf16"]
    assert pool.run(look, 1, zero, gradient_types)[0] == {torch.float32}
    assert pool.run(look, 1, [*zero, *short], gradient_types)[0] == {torch.bfloat16}
    fine = outcome(pool, [*BASE, *zero], 2, tmp_path / "fp32").records
    coarse = outcome(pool, [*BASE, *zero, *short], 2, tmp_path / "bf16").records
    assert [r["grad_norm"] for r in coarse] != [r["grad_norm"] for r in fine]
    assert [r["loss"] for r in coarse] == pytest.approx([r["loss"] for r in fine], rel=1e-2)


def collections(run):
    """Garbage collections during the loop: whether Python's own, and by hand."""
    import gc

    from megatron_ext.training import loop

    seen = []

    def note(phase, info):
        if phase == "start":
            # by its own counters Python also collects the young generations; by hand, the oldest with the counters off
            seen.append((info["generation"], gc.isenabled()))

    gc.callbacks.append(note)
    try:
        loop.train(run)
    finally:
        gc.callbacks.remove(note)
    assert gc.isenabled()
    return seen


def collections_soon(run):
    """The same where Python's own come early: six updates leave little behind."""
    import gc

    usual = gc.get_threshold()
    gc.set_threshold(50, *usual[1:])
    try:
        return collections(run)
    finally:
        gc.set_threshold(*usual)


def test_garbage_is_collected_by_hand(pool):
    run = ["--num-layers", "2", "--train-iters", "6"]
    own = pool.run(look, 1, run, collections_soon)[0]
    assert own and all(enabled for _, enabled in own)
    by_hand = pool.run(look, 1, [*run, "--manual-gc", "--manual-gc-interval", "2"], collections)[0]
    assert by_hand[:4] == [(2, False)] * 4 and all(enabled for _, enabled in by_hand[4:]), "one at the start, three in the loop"
    never = pool.run(look, 1, [*run, "--manual-gc"], collections)[0]
    assert never[:1] == [(2, False)] and all(enabled for _, enabled in never[1:])


def cache_emptied(run):
    """How often the GPU's cache is emptied in an update, by level."""
    from megatron_ext.training.state import TrainState
    from megatron_ext.training.step import train_step

    counts, original = [], torch.cuda.empty_cache
    try:
        for level in (0, 1, 2):
            # On the CPU the flag is refused: it is set behind the validator's back.
            vars(run.config)["parallel"] = dataclasses.replace(run.config.parallel, empty_unused_memory_level=level)
            calls = []
            torch.cuda.empty_cache = lambda calls=calls: calls.append(1)
            train_step(run, TrainState(run.sharding))
            counts.append(len(calls))
    finally:
        torch.cuda.empty_cache = original
    return counts


def test_unused_memory_is_given_back(pool):
    assert pool.run(look, 1, [], cache_emptied)[0] == [0, 1, 2]


def drawn_anew(run):
    """Weights overwritten and drawn again as for weights kept in 8 bits: whether they are the first ones, master and model."""
    from megatron_ext.training.build import draw_master_weights

    before = [piece.tensors["weight"].clone() for piece in run.sharding.pieces()]
    model = [parameter.detach().clone() for parameter in run.sharding.chunks[0].parameters()]
    for piece in run.sharding.pieces():
        piece.tensors["weight"].fill_(7.0)
    run.sharding.loaded(0)
    draw_master_weights(run.sharding, run.model_config, run.config.training.seed)
    after = [piece.tensors["weight"] for piece in run.sharding.pieces()]
    fine = all(a.to(b.dtype).equal(b) for a, b in zip(run.sharding.chunks[0].parameters(), model, strict=True))
    return fine, [(a - b).abs().max().item() for a, b in zip(after, before, strict=True)]


@pytest.mark.parametrize("precision", [[], ["--bf16"]])
def test_master_weights_are_drawn_from_the_seed(precision, pool):
    for fine, differences in pool.run(look, 2, ["--zero-stage", "1", *precision], drawn_anew):
        # In bf16 the masters are now finer than what the model's own 16 bits gave them.
        assert fine and max(differences) <= (2**-9 if precision else 0.0)


def build_with(launch, argv, watch):
    """Build a run on the CPU of flags that are for a GPU, and answer `watch(run)`."""
    from megatron_ext.training import layout
    from megatron_ext.training.configuration import read_configuration

    config = read_configuration([*BASE, "--device", "auto", *argv], launch.world_size)
    original, layout.cuda_only = layout.cuda_only, types.SimpleNamespace(problems=lambda *args, **kwargs: ())
    try:
        with layout.processes(launch, config) as device:
            from megatron_ext.training.build import build

            return watch(build(config, device))
    finally:
        layout.cuda_only = original


def marks(run):
    """What megatron-core pushes to the profiler in one forward pass."""
    from megatron_ext.training.step import forward_backward

    pushed = []
    original = torch.cuda.nvtx.range_push, torch.cuda.nvtx.range_pop
    torch.cuda.nvtx.range_push, torch.cuda.nvtx.range_pop = pushed.append, lambda: None
    try:
        forward_backward(run, run.train_samples, 0, forward_only=True)
    finally:
        torch.cuda.nvtx.range_push, torch.cuda.nvtx.range_pop = original
    return pushed


def test_nvtx_ranges_mark_megatron_cores_steps(pool):
    marked = pool.run(build_with, 1, ["--nvtx-ranges"], marks)[0]
    assert any("self_attention" in mark for mark in marked) and any("mlp" in mark for mark in marked)
    assert pool.run(build_with, 1, [], marks)[0] == []


def userbuffers(launch, argv):
    """Build a run with a stand-in for Transformer Engine's userbuffers; what they were asked for."""
    asked = []
    names = ["transformer_engine", "transformer_engine.pytorch", "transformer_engine.pytorch.module"]
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    base = sys.modules[names[-1] + ".base"] = types.ModuleType(names[-1] + ".base")
    base.initialize_ub = lambda **arguments: asked.append(arguments)
    try:
        build_with(launch, argv, lambda run: None)
    finally:
        for name in [*names, names[-1] + ".base"]:
            del sys.modules[name]
    return asked


def test_overlap_of_tensor_parallel_communication_has_its_buffers(pool):
    argv = ["--tensor-model-parallel-size", "2", "--sequence-parallel"]
    (asked,) = pool.run(userbuffers, 2, [*argv, "--tp-comm-overlap"])[0]
    assert asked["shape"] == [2 * 16, 64] and asked["tp_size"] == 2 and asked["use_fp8"] is False
    assert pool.run(userbuffers, 2, argv)[0] == []
