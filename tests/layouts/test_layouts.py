"""Every layout equals one process: initial weights bit by bit, losses and gradient norms to 1e-5, weights tensor by tensor.

One reference run, no golden file: a golden file for a layout would make its bug the standard. Models have two layers, or the
four that a layout's stages need.
"""

from __future__ import annotations

import functools
import itertools
import re

import pytest
import torch

from tests.layouts.training_case import outcome

MODELS = {
    "llama": "--preset tiny --untie-embeddings-and-output-weights".split(),
    "gpt": (
        "--preset tiny --normalization layernorm --activation gelu --position-embedding-type learned_absolute "
        "--add-bias-linear --num-query-groups 4"
    ).split(),
    "experts": "--preset tiny --num-experts 4 --moe-ffn-hidden-size 64".split(),
    "balanced": "--preset tiny --num-experts 4 --moe-ffn-hidden-size 64 --moe-aux-loss-coeff 0.1".split(),
    "deepseek": (
        # epsilon: the gradient of an expert that few tokens reach is near rounding
        "--preset tiny --num-experts 8 --moe-ffn-hidden-size 64 --moe-layer-freq [0]+[1] --moe-router-score-function sigmoid "
        "--moe-shared-expert-intermediate-size 32 --moe-shared-expert-gate --moe-router-enable-expert-bias "
        "--moe-router-bias-update-rate 0.02 --moe-router-num-groups 4 --moe-router-group-topk 2 --adam-eps 1e-6 "
        "--moe-router-topk-scaling-factor 1.5 --moe-aux-loss-coeff 0.1 --moe-z-loss-coeff 0.01 --mtp-num-layers 1 "
        "--untie-embeddings-and-output-weights"
    ).split(),
    "further": (
        "--preset tiny --mtp-num-layers 2 --mtp-loss-scaling-factor 1 --reset-attention-mask --embedding-scale 2 "
        "--z-loss-coeff 0.01"
    ).split(),
    "windows": (
        "--preset tiny --attention-pattern sliding_window causal --sliding-window 7 --position-embedding-type alibi "
        "--qk-layernorm --reset-attention-mask --attn-logit-softcapping 5 --activation squared_relu"
    ).split(),
    "deepnorm": "--preset tiny --norm-placement deepnorm --normalization layernorm --activation geglu".split(),
    "side": (
        "--preset tiny --normalization layernorm --parallel-residual --share-parallel-norm --rotary-interleaved --add-mlp-bias "
        "--add-output-bias --embedding-norm --embedding-scale 2 --logit-scale 0.5 --final-logit-softcapping 3 "
        "--activation quick_gelu --z-loss-coeff 0.05"
    ).split(),
    "transformer_xl": (
        "--preset tiny --position-embedding-type transformer_xl --segment-length 12 --memory-length 9 --reset-attention-mask"
    ).split(),
    "xpos": "--preset tiny --position-embedding-type xpos --xpos-scale-base 16 --rotary-base 500 --reset-position-ids".split(),
    "t5_bias": (
        "--preset tiny --position-embedding-type t5_bias --relative-attention-num-buckets 7 --relative-attention-max-distance 9 "
        "--attention-pattern sliding_window causal --sliding-window 7 --reset-attention-mask --init-method-std 0.2"
    ).split(),
    "t5_bias, capped": "--preset tiny --position-embedding-type t5_bias --attn-logit-softcapping 1".split(),
    "olmo2": "--preset tiny --norm-placement reordered --qk-layernorm --qk-layernorm-across-heads".split(),
    "latent": (
        "--preset tiny --num-query-groups 4 --multi-latent-attention --q-lora-rank 24 --kv-lora-rank 20 --v-head-dim 12 "
        "--rotary-interleaved --attention-pattern sliding_window causal --sliding-window 7 --reset-attention-mask "
        "--reset-position-ids"
    ).split(),
    "prefix": (  # with GLM-130B's layer
        "--preset tiny --objective prefix_lm --num-query-groups 4 --untie-embeddings-and-output-weights --add-bias-linear "
        "--norm-placement deepnorm --deepnorm-beta 0.5 --apply-residual-connection-post-layernorm --normalization layernorm "
        "--activation geglu"
    ).split(),
    "six": "--preset tiny --num-layers 6 --hidden-size 32 --position-embedding-type learned_absolute".split(),
}
RUN = "--mock-data --vocab-size 500 --train-iters 10 --global-batch-size 4 --seq-length 32 --lr 3e-4".split()
TP2 = ["--tensor-model-parallel-size", "2"]
PP2 = ["--pipeline-model-parallel-size", "2"]
PP4 = ["--pipeline-model-parallel-size", "4"]
LAYOUTS = {
    "TP2": (2, TP2),
    "TP2+SP": (2, [*TP2, "--sequence-parallel"]),
    "PP2": (2, PP2),
    "PP4": (4, PP4),
    "PP2x2": (2, [*PP2, "--num-virtual-stages-per-pipeline-rank", "2"]),
    "DP2": (2, []),
    "DP2+ZeRO1": (2, ["--zero-stage", "1"]),
    "TP2.PP2": (4, [*TP2, *PP2]),
    "TP2.DP2+overlap": (4, [*TP2, "--overlap-grad-reduce"]),
    "DP2+ZeRO1+overlap": (2, ["--zero-stage", "1", "--overlap-grad-reduce", "--overlap-param-gather"]),
    "TP2+SP.PP2+ZeRO1": (4, [*TP2, *PP2, "--sequence-parallel", "--zero-stage", "1"]),
}
CP2 = ["--context-parallel-size", "2"]
CONTEXT_LAYOUTS = {
    "CP2": (2, CP2),
    "CP4": (4, ["--context-parallel-size", "4"]),
    "CP2.TP2+SP": (4, [*CP2, *TP2, "--sequence-parallel"]),
    "CP2.PP2": (4, [*CP2, *PP2]),
    "CP2.DP2+ZeRO1+overlap": (4, [*CP2, "--zero-stage", "1", "--overlap-grad-reduce", "--overlap-param-gather"]),
    "CP2 recomputed": (2, [*CP2, "--recompute-granularity", "full"]),
    "CP2.PP2x2": (4, [*CP2, *PP2, "--num-virtual-stages-per-pipeline-rank", "2"]),
}
EP2 = ["--expert-model-parallel-size", "2"]
EXPERT_LAYOUTS = {
    "EP2": (2, EP2),
    "EP2, allgather": (2, [*EP2, "--moe-token-dispatcher-type", "allgather"]),
    "EP2.TP2+SP": (2, [*TP2, "--sequence-parallel", *EP2]),
    "EP2.DP2": (4, EP2),
    "EP2.TP2+SP, experts in TP2": (4, [*TP2, "--sequence-parallel", *EP2, "--expert-tensor-parallel-size", "2"]),
    "TP2+SP, experts in TP2": (2, [*TP2, "--sequence-parallel", "--expert-tensor-parallel-size", "2"]),
    "EP2.PP2+ZeRO1": (4, [*PP2, *EP2, "--zero-stage", "1"]),
    "EP2.CP2": (2, [*CP2, *EP2]),
    "EP2.CP2.TP2+SP": (4, [*CP2, *TP2, "--sequence-parallel", *EP2]),
}
FIRST, LAST = "--decoder-first-pipeline-num-layers", "--decoder-last-pipeline-num-layers"
COUNTED = ["--account-for-embedding-in-pipeline-split", "--account-for-loss-in-pipeline-split"]
BY_LAYOUT, VIRTUAL = "--pipeline-model-parallel-layout", ["--num-virtual-stages-per-pipeline-rank", "2"]
RECOMPUTE = ["--recompute-granularity", "full"]
# Six layers over stages that differ; the embedding is also the output, on another process.
UNEVEN_LAYOUTS = {
    "PP2 of 1+5": (2, [*PP2, FIRST, "1"]),
    "PP4 of 2+1+1+2": (4, [*PP4, FIRST, "2", LAST, "2"]),
    "PP4 of 1+2+2+1": (4, [*PP4, *COUNTED]),
    "PP2x2 of 1+2+2+1": (2, [*PP2, *VIRTUAL, *COUNTED]),
    "PP2x2 of 2+1+2+1": (2, [*PP2, *VIRTUAL, FIRST, "4"]),
    "PP4, embedding and loss alone": (4, [*PP4, BY_LAYOUT, "E|(ttt|)*2,L"]),
    "PP2x2, embedding and loss alone": (2, [*PP2, BY_LAYOUT, "E|ttt|ttt|L"]),
    "PP2x3, one chunk empty": (2, [*PP2, BY_LAYOUT, "Et|t|t||t*2|tL"]),
    "TP2.PP2 of 4+2, recomputed": (4, [*TP2, *PP2, "--sequence-parallel", BY_LAYOUT, "Et*4|ttL", *RECOMPUTE]),
}
# One model on every layout, and the smaller micro-batch and the other model where they differ most; all in --full.
SMALL = {("llama", layout, "1") for layout in ("PP2x2", "TP2.DP2+overlap", "DP2+ZeRO1+overlap", "TP2+SP.PP2+ZeRO1")}
OTHER = {("gpt", layout, "2") for layout in ("TP2+SP", "PP4", "DP2+ZeRO1", "TP2.PP2", "TP2+SP.PP2+ZeRO1")}
CASES = [
    pytest.param(*case, marks=[] if case[::2] == ("llama", "2") or case in SMALL | OTHER else [pytest.mark.full])
    for case in itertools.product(("llama", "gpt"), LAYOUTS, ("1", "2"))
]


@pytest.fixture(scope="module")
def cases_before(pool):
    """Cases of other tests, by rank: of those some leave a helper of megatron-core's own checkpoints behind."""
    return [len(usage) for usage in pool.usage]


@pytest.fixture(scope="module")
def references(pool, cases_before, tmp_path_factory):
    """The run on one process, for each model and depth that is asked for."""

    @functools.cache
    def alone(name, depth):
        argv = [*MODELS[name], *RUN, *depth, "--micro-batch-size", "2"]
        return outcome(pool, argv, 1, tmp_path_factory.mktemp("reference"))

    return alone


def depth_for(layout: str) -> tuple[str, ...]:
    """The layers that a layout needs, as flags: a stage, or a chunk of one, has at least one."""
    return ("--num-layers", "4" if re.search("PP4|PP2x2", layout) else "2")


def check(model, layout, world_size, flags, micro_batch_size, pool, references, folder, depth=None):
    """A model on a layout equals it on one process; both runs."""
    depth = depth_for(layout) if depth is None else depth
    found = outcome(pool, [*MODELS[model], *RUN, *depth, "--micro-batch-size", micro_batch_size, *flags], world_size, folder)
    reference = references(model, depth)
    compare(found, reference)
    return found, reference


@pytest.mark.parametrize(("model", "layout", "micro_batch_size"), CASES)
def test_layout_equals_one_process(model, layout, micro_batch_size, pool, references, tmp_path):
    world_size, flags = LAYOUTS[layout]
    check(model, layout, world_size, flags, micro_batch_size, pool, references, tmp_path)


OTHER_SHAPES = ["windows", "deepnorm", "side", "transformer_xl", "xpos", "t5_bias", "olmo2", "latent", "prefix"]


@pytest.mark.parametrize("layout", [pytest.param("TP2", marks=[pytest.mark.full]), "TP2+SP.PP2+ZeRO1"])
@pytest.mark.parametrize("model", OTHER_SHAPES)
def test_other_shapes_equal_one_process(model, layout, pool, references, tmp_path):
    world_size, flags = LAYOUTS[layout]
    check(model, layout, world_size, flags, "2", pool, references, tmp_path)


CONTEXT_CASES = [("llama", layout) for layout in CONTEXT_LAYOUTS]
CONTEXT_CASES += [
    pytest.param("windows", layout, marks=[] if layout in ("CP4", "CP2.TP2+SP") else [pytest.mark.full])
    for layout in CONTEXT_LAYOUTS
]
CONTEXT_CASES += [("latent", layout) for layout in ("CP2.TP2+SP", "CP2 recomputed", "CP2.PP2x2")]
CONTEXT_CASES += [("prefix", layout) for layout in ("CP2.TP2+SP", "CP2.PP2x2")]


@pytest.mark.parametrize(("model", "layout"), CONTEXT_CASES)
def test_a_shared_context_equals_one_process(model, layout, pool, references, tmp_path):
    world_size, flags = CONTEXT_LAYOUTS[layout]
    check(model, layout, world_size, flags, "2", pool, references, tmp_path)


def test_rotations_of_a_position_are_recomputed(pool, references, tmp_path):
    flags = [*TP2, *PP2, "--sequence-parallel", *RECOMPUTE]
    check("xpos", "TP2+SP.PP2", 4, flags, "1", pool, references, tmp_path)


# All layers have one bias of scores, so each stage and each chunk of it holds a copy.
BIAS_LAYOUTS = {
    "PP4": LAYOUTS["PP4"],
    "PP2x2": LAYOUTS["PP2x2"],
    "PP2.DP2+ZeRO1": (4, [*PP2, "--zero-stage", "1"]),
    "PP2x2.DP2+ZeRO1+overlap": (
        4,
        [*PP2, *VIRTUAL, "--zero-stage", "1", "--overlap-grad-reduce", "--overlap-param-gather", "--micro-batch-size", "1"],
    ),
    "TP2.PP2x2, recomputed": (4, [*TP2, *PP2, *VIRTUAL, *RECOMPUTE]),
    "DP2, recomputed, overlap": (2, [*RECOMPUTE, "--overlap-grad-reduce"]),
}


@pytest.mark.parametrize(
    "layout",
    [pytest.param(name, marks=[pytest.mark.full] if name in ("PP2x2", "PP2.DP2+ZeRO1") else []) for name in BIAS_LAYOUTS],
)
@pytest.mark.parametrize("model", ["t5_bias", pytest.param("t5_bias, capped", marks=[pytest.mark.full])])
def test_copies_of_a_bias_are_one_bias(model, layout, pool, references, tmp_path):
    world_size, flags = BIAS_LAYOUTS[layout]
    check(model, layout, world_size, flags, "2", pool, references, tmp_path)


@pytest.mark.compares("experts on one process", within="1e-5", moe_token_dispatcher_type=True)
@pytest.mark.parametrize(
    "layout",
    [
        "EP2",
        "EP2, allgather",
        "EP2.TP2+SP",
        *(pytest.param(name, marks=[pytest.mark.full]) for name in ("EP2.PP2+ZeRO1", "EP2.CP2")),
    ],
)
def test_experts_spread_equal_experts_on_one_process(layout, pool, references, tmp_path):
    world_size, flags = EXPERT_LAYOUTS[layout]
    check("experts", layout, world_size, flags, "2", pool, references, tmp_path)


@pytest.mark.parametrize(("layout", "micro_batch_size"), [("EP2", "1"), ("EP2.TP2+SP", "2"), ("EP2.CP2.TP2+SP", "1")])
def test_experts_are_balanced_alike(layout, micro_batch_size, pool, references, tmp_path):
    world_size, flags = EXPERT_LAYOUTS[layout]
    check("balanced", layout, world_size, flags, micro_batch_size, pool, references, tmp_path)


@pytest.mark.parametrize(
    "layout", ["EP2.DP2", "EP2.TP2+SP", "EP2.PP2+ZeRO1", "EP2.CP2", "EP2.TP2+SP, experts in TP2", "TP2+SP, experts in TP2"]
)
def test_shared_experts_groups_and_biases_equal_one_process(layout, pool, references, tmp_path):
    world_size, flags = EXPERT_LAYOUTS[layout]
    found, _ = check("deepseek", layout, world_size, flags, "1", pool, references, tmp_path)
    biases = [tensor for name, tensor in found.final.items() if name.endswith("expert_bias")]
    assert len(biases) == 2 and any(bias.any() for bias in biases)


FURTHER_LAYOUTS = {
    "TP2+SP.PP2+ZeRO1": LAYOUTS["TP2+SP.PP2+ZeRO1"],
    "CP2.TP2+SP": CONTEXT_LAYOUTS["CP2.TP2+SP"],
    "CP2.PP2x2": CONTEXT_LAYOUTS["CP2.PP2x2"],
    "PP2, overlap, recomputed": (4, [*PP2, *RECOMPUTE, "--overlap-grad-reduce"]),
    "PP4, embedding and loss alone": (4, [*PP4, BY_LAYOUT, "E|tt|tt|mmL"]),
}


@pytest.mark.parametrize("layout", FURTHER_LAYOUTS)
def test_further_predictions_equal_one_process(layout, pool, references, tmp_path):
    world_size, flags = FURTHER_LAYOUTS[layout]
    found, reference = check("further", layout, world_size, flags, "2", pool, references, tmp_path)
    assert found.records[-1]["mtp_loss"] == pytest.approx(reference.records[-1]["mtp_loss"], rel=1e-5)


# A balance that is not taken over a sequence is the same where it is taken over the same tokens.
GROUPS_OF_TOKENS = {
    "aux_loss, EP2.TP2+SP": ("aux_loss", *EXPERT_LAYOUTS["EP2.TP2+SP"], "2"),
    "aux_loss, EP2.CP2": ("aux_loss", *EXPERT_LAYOUTS["EP2.CP2"], "2"),
    "global_aux_loss, EP2": ("global_aux_loss", *EXPERT_LAYOUTS["EP2"], "1"),
    "global_aux_loss, EP2.CP2.TP2+SP": ("global_aux_loss", *EXPERT_LAYOUTS["EP2.CP2.TP2+SP"], "2"),
}


@pytest.mark.parametrize("case", GROUPS_OF_TOKENS)
def test_a_balance_over_the_same_tokens_is_the_same(case, pool, tmp_path):
    kind, world_size, flags, micro_batch_size = GROUPS_OF_TOKENS[case]
    argv = [*MODELS["balanced"], *RUN, "--num-layers", "2", "--moe-router-load-balancing-type", kind, "--micro-batch-size"]
    reference = outcome(pool, [*argv, "2"], 1, tmp_path / "one")
    compare(outcome(pool, [*argv, micro_batch_size, *flags], world_size, tmp_path / "spread"), reference)


BY_DEFAULT = {"PP2 of 1+5", "PP2x2 of 1+2+2+1", "PP4, embedding and loss alone", "TP2.PP2 of 4+2, recomputed"}


@pytest.mark.parametrize(
    "layout", [pytest.param(name, marks=[] if name in BY_DEFAULT else [pytest.mark.full]) for name in UNEVEN_LAYOUTS]
)
def test_uneven_stages_equal_one_process(layout, pool, references, tmp_path):
    world_size, flags = UNEVEN_LAYOUTS[layout]
    check("six", layout, world_size, flags, "2", pool, references, tmp_path, depth=())


def test_micro_batch_size_changes_nothing(pool, references, tmp_path):
    check("llama", "TP1", 1, [], "4", pool, references, tmp_path)


MEASURED = {"loss", "grad_norm", "z_loss", "words_loss", "sentence_loss", "sentence_accuracy", "padding_share"}


def compare(found, reference, updates: int = 10) -> None:
    """Assert that two runs are the same run."""
    assert found.initial.keys() == reference.initial.keys()
    for name, tensor in reference.initial.items():
        assert torch.equal(found.initial[name], tensor), f"{name} starts from other weights"
    assert len(found.records) == len(reference.records) == updates
    for ours, theirs in zip(found.records, reference.records, strict=True):
        for key in MEASURED & theirs.keys():
            assert ours[key] == pytest.approx(theirs[key], rel=1e-5), f"{key} of iteration {theirs['iteration']}"
    norm = reference.records[0]["grad_norm"]
    for name, gradient in found.first_gradient.items():
        assert (gradient - reference.first_gradient[name]).norm() <= 1e-5 * norm, f"gradient of {name}"
    for name, tensor in reference.final.items():
        kept = ~unfelt(name, tensor)
        difference = (found.final[name] - tensor)[kept].norm()
        assert difference <= 1e-5 * tensor[kept].norm(), f"{name} ends {difference:.1e} elsewhere, of {tensor[kept].norm():.1e}"


def unfelt(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Entries whose exact gradient is zero, or nearly so: Adam turns their noise into whole steps. The softmax does not feel what
    is the same for all keys: a key's bias, and of Transformer-XL's distances the slow cosines, all but 1 in so short a sample.

    Their gradients were compared above. Query, key and value lie group by group; here a group has one query head. Sines come
    before cosines, fast before slow.
    """
    mask = torch.zeros(tensor.shape, dtype=torch.bool)
    if name.endswith("linear_qkv.bias"):
        mask.reshape(4, 3, -1)[:, 1] = True
    elif name.endswith("linear_kv.bias"):
        mask.reshape(4, 2, -1)[:, 0] = True
    elif name.endswith("linear_r.weight"):
        mask[:, -tensor.shape[1] // 4 :] = True
    return mask


def test_workers_leak_nothing(pool, cases_before, references):
    """File descriptors and threads of the workers stay flat over all the layouts that ran before."""
    for rank, usage in enumerate(pool.usage):
        later = usage[cases_before[rank] + 3 :]
        if len(later) >= 4:
            half = len(later) // 2
            for kind, what in enumerate(("file descriptors", "threads")):
                early, late = max(u[kind] for u in later[:half]), max(u[kind] for u in later[half:])
                assert late <= early + 4, f"{what} of worker {rank} grew from {early} to {late} over {len(usage)} cases"
