"""Which kernel attends where, that the core takes it, that the run says it, and what is refused by name."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys

import pytest
import torch

from megatron_ext.arguments.problems import ConfigurationError, UserError
from megatron_ext.arguments.registry import Registry
from megatron_ext.models.attention.backend import BIASES, Asked, choices, problems
from megatron_ext.training.configuration import read_configuration
from tests.layouts.training_case import train_case
from tests.training.test_kernels import BASE, kernels
from tests.training.test_spread import look

RUN = "--preset tiny --mock-data --vocab-size 100 --train-iters 1".split()
WINDOW = "--attention-pattern sliding_window --sliding-window 5"
HEADS = "--hidden-size 64 --num-attention-heads 4"


def core(line: str, layers: str = "local"):
    from megatron_ext.models.config import model_config

    return model_config(read_configuration([*RUN, "--device", "cuda", *HEADS.split(), *line.split()], 2), 100, layers)


def on(line: str, device: str, layers: str = "local") -> list[str]:
    return [choice.kernel for choice in core(line, layers).attention_on(device)]


@pytest.mark.parametrize(("line", "gpu", "cpu"), [
    ("", "sdpa", "sdpa"),
    (WINDOW, "flex", "blocks"),
    ("--reset-attention-mask", "flex", "blocks"),
    ("--reset-position-ids", "sdpa", "sdpa"),
    ("--position-embedding-type alibi", "flex", "blocks"),
    ("--attn-logit-softcapping 3", "flex", "scores"),
    (f"{WINDOW} --attention-dropout 0.1", "blocks", "blocks"),
    ("--attn-logit-softcapping 3 --attention-dropout 0.1", "scores", "scores"),
    (f"{WINDOW} --kv-channels 8", "blocks", "blocks"),
    ("--attention-backend local", "sdpa", "sdpa"),
    (f"{WINDOW} --attention-backend local", "flex", "blocks"),
    (f"{WINDOW} --attention-backend unfused", "blocks", "blocks"),
    (f"{WINDOW} --attention-backend fused --bf16", "blocks", "blocks"),
    ("--attention-backend flash --bf16", "sdpa", "sdpa"),
    ("--attention-backend flex", "flex", "blocks"),
    ("--context-parallel-size 2", "flex", "blocks"),
    ("--position-embedding-type transformer_xl", "transformer_xl", "transformer_xl"),
])  # fmt: skip
def test_kernel_of_our_layers(line, gpu, cpu):
    assert (on(line, "cuda"), on(line, "cpu")) == ([gpu], [cpu])


def test_each_pattern_has_its_own():
    line = "--attention-pattern sliding_window causal --sliding-window 5"
    assert on(line, "cuda") == ["flex", "sdpa"] and on(line, "cpu") == ["blocks", "sdpa"]


@pytest.mark.parametrize(("line", "kernel"), [
    ("", "transformer_engine"), ("--reset-position-ids", "transformer_engine"), ("--attention-dropout 0.1", "transformer_engine"),
    ("--attention-backend flash --bf16", "transformer_engine"), ("--attention-backend local", "sdpa"),
    ("--attention-backend flex", "flex"), ("--reset-attention-mask", "flex"), ("--position-embedding-type alibi", "flex"),
    (WINDOW, "flex"), ("--attn-logit-softcapping 3", "flex"), ("--norm-placement post", "sdpa"),
    ("--context-parallel-size 2 --bf16", "transformer_engine"), ("--context-parallel-size 2", "flex"),
    ("--position-embedding-type transformer_xl", "transformer_xl"),
])  # fmt: skip
def test_transformer_engines_attention_is_kept_where_it_is_the_same(line, kernel):
    """It knows nothing of our `Tokens`: where a pass has some, our own core stands in its layers."""
    assert on(line, "cuda", "transformer_engine") == [kernel]


def test_positions_that_add_to_scores_are_known():
    positions = Registry("megatron_ext.models.positions")
    assert set(BIASES) == {name for name in positions if hasattr(positions.load(name), "Bias")}


@pytest.mark.parametrize("position", [name for name, linear in BIASES.items() if linear])
def test_a_bias_for_flex_grows_linearly_with_the_distance(position, monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: torch.device("cpu"))
    bias = Registry("megatron_ext.models.positions").load(position).Bias(core(f"--position-embedding-type {position}"), 0, 4)()
    index = torch.arange(50)
    slope = bias(index.new_ones(1, 1), index.new_zeros(1, 1))
    torch.testing.assert_close(bias(index[:, None], index[None]), slope * (index[:, None] - index).abs())


@pytest.mark.parametrize("position", BIASES)
def test_a_bias_that_has_parameters_is_not_for_flex(position, monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: torch.device("cpu"))
    bias = Registry("megatron_ext.models.positions").load(position).Bias(core(f"--position-embedding-type {position}"), 0, 4)
    assert BIASES[position] == (not list(bias.parameters()))
    (choice,) = choices(Asked(position=position), "cuda", False)
    assert choice.kernel == ("flex" if BIASES[position] else "blocks") and ("learned bias" in choice.why) != BIASES[position]


@pytest.mark.parametrize(("line", "device", "said"), [
    ("--attention-backend flex", "cpu", "flex: has no backward on the CPU"),
    ("--attention-backend flex --attention-dropout 0.1", "cuda", "flex: has no dropout"),
    ("--attention-backend flex --kv-channels 8", "cuda", "flex: takes heads of 16 channels or more"),
    ("--attention-backend fused", "cpu", "fused: is cuDNN's, and this runs on the CPU"),
    ("--attention-backend flash --attention-dropout 0.1", "cpu", "flash: has no dropout on the CPU"),
    ("--attention-backend flash", "cuda", "flash: computes in 16 bits alone on a GPU"),
    ("--attention-backend fused", "cuda", "fused: computes in 16 bits alone on a GPU"),
    (f"--attention-backend flash --bf16 {WINDOW}", "cuda",
     "flash: takes no mask and no bias on a GPU, and --attention-pattern sliding_window needs one; use auto"),
    ("--attention-backend flash --bf16 --context-parallel-size 2 --transformer-impl local", "cuda",
     "and --context-parallel-size needs one"),
    ("--attention-backend flash --bf16 --reset-attention-mask", "cuda", "and --reset-attention-mask needs one"),
    ("--attention-backend flash --bf16 --position-embedding-type alibi", "cuda", "and --position-embedding-type alibi needs one"),
    *((f"--position-embedding-type t5_bias --bf16 --attention-backend {kernel}", device,
       f"{kernel}: gives a learned bias no gradient, and t5_bias is one")
      for kernel, device in (("flash", "cuda"), ("fused", "cuda"), ("flash", "cpu"))),
    *(("--attn-logit-softcapping 3 --bf16 --attention-backend " + kernel, device, f"{kernel}: cannot cap scores")
      for kernel, device in (("flash", "cuda"), ("fused", "cuda"), ("flash", "cpu"), ("flash", "auto"))),
])  # fmt: skip
def test_a_kernel_that_cannot_serve_is_refused_by_name(line, device, said):
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*RUN, "--device", device, *HEADS.split(), *line.split()], 2)
    assert said in str(error.value) and "1 problem" in str(error.value)


@pytest.mark.parametrize(("line", "device"), [
    (f"--attention-backend flash {WINDOW}", "cpu"), (f"--attention-backend fused --bf16 {WINDOW}", "cuda"),
    ("--attention-backend unfused --attn-logit-softcapping 3", "cuda"), (f"--attention-backend flex {WINDOW}", "cuda"),
    ("--attention-backend flash", "auto"), ("--attention-backend flash --bf16 --context-parallel-size 2", "cuda"),
])  # fmt: skip
def test_a_kernel_that_can_serve_is_not_refused(line, device):
    read = read_configuration([*RUN, "--device", device, *HEADS.split(), *line.split()], 2)
    assert read.parallel.attention_backend == line.split()[1]


def test_refused_at_the_start_where_auto_gave_the_device(pool):
    (said,) = pool.run(start, 1, "--attention-backend flex")
    assert "--attention-backend flex: has no backward on the CPU" in said


def start(launch, line: str) -> str:
    from megatron_ext.training.layout import processes

    try:
        with processes(launch, read_configuration([*RUN, *HEADS.split(), *line.split()], launch.world_size)):
            return "started"
    except ConfigurationError as error:
        return str(error)


def said_and_done(run) -> tuple[str, set[str]]:
    """What the run says of its attention, and the autograd nodes of what attends."""
    return run.monitor.attention, kernels(run)


@pytest.mark.parametrize(("line", "said", "node"), [
    ("", "causal: torch SDPA, FlashAttention", "ScaledDotProductFlashAttentionForCpuBackward0"),
    ("--bf16 --num-query-groups 2", "causal: torch SDPA, FlashAttention", "ScaledDotProductFlashAttentionForCpuBackward0"),
    ("--attention-dropout 0.1",
     "causal: torch SDPA in blocks of 128 queries (with dropout, torch's kernels on the CPU keep the scores)",
     "UnsafeViewBackward0"),
    ("--attention-backend unfused", "causal: torch SDPA, products written out", "UnsafeViewBackward0"),
    (WINDOW, "sliding_window: torch SDPA in blocks of 128 queries (FlexAttention has no backward on the CPU)",
     "ScaledDotProductFlashAttentionForCpuBackward0"),
    (f"{WINDOW} --attention-backend unfused",
     "sliding_window: torch SDPA in blocks of 128 queries (--attention-backend unfused)", "UnsafeViewBackward0"),
    ("--attn-logit-softcapping 3",
     "causal: scores written out in blocks of 128 queries (FlexAttention has no backward on the CPU)", "ViewBackward0"),
])  # fmt: skip
def test_the_run_says_which_kernel_it_takes(line, said, node, pool):
    found, nodes = pool.run(look, 1, line.split(), said_and_done)[0]
    assert found == said and nodes == {node}


def test_patterns_in_turn_are_told_together_where_one_kernel_serves_them(pool):
    line = "--attention-pattern sliding_window causal sliding_window --sliding-window 5 --num-layers 3"
    found, nodes = pool.run(look, 1, line.split(), said_and_done)[0]
    assert found.startswith("sliding_window: torch SDPA in blocks") and found.endswith("; causal: torch SDPA, FlashAttention")
    found, _ = pool.run(look, 1, [*line.split(), "--position-embedding-type", "alibi"], said_and_done)[0]
    assert found.startswith("sliding_window, causal: torch SDPA in blocks") and ";" not in found


def test_a_kernel_that_torch_has_not_is_named_at_the_start():
    from megatron_ext.models.attention.summary import summary

    with pytest.raises(UserError, match="--attention-backend fused: .*; use auto"):
        summary(core("--attention-backend fused --bf16"), 2, 16, torch.device("cpu"))


def test_the_choice_is_light():
    code = (
        "import sys; import megatron_ext.models.attention.backend; assert not {'torch', 'numpy', 'megatron'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_all_problems_of_a_kernel_come_together():
    values = read_configuration([*RUN, "--device", "cpu"], 1).flat()
    values |= dict(attention_backend="flash", attn_logit_softcapping=3.0, attention_pattern=("sliding_window",))
    assert len(list(problems(values, "cuda", "local"))) == 3


def printed(launch, folder: str) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        train_case(launch, [*BASE, "--train-iters", "1"], folder)
    return said.getvalue().splitlines()


def test_the_line_is_printed_at_the_start(pool, tmp_path):
    said = pool.run(printed, 2, str(tmp_path))
    assert said[0][1] == "attention: causal: torch SDPA, FlashAttention" and said[1] == []
