"""Flags of the optimizer, the schedule and the sharding of their state (Megatron-LM's names)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry


@flag_group("optimizer", "How weights are updated")
class OptimizerFlags:
    optimizer: str = flag("adam", "the update rule", choices=Registry("megatron_ext.optim.optimizers"))
    lr: float = flag(3e-4, "peak learning rate", positive=True, front=True)
    min_lr: float | None = flag(None, "learning rate at the end of the decay [a tenth of lr]", least=0.0)
    lr_decay_style: str = flag("cosine", "the learning rate's way down", choices=Registry("megatron_ext.optim.schedules"))
    lr_decay_iters: int | None = flag(None, "steps until min-lr is reached [all of the run]", least=1)
    lr_warmup_iters: int | None = flag(None, "steps of linear warm-up [by the fraction]", least=0)
    lr_decay_samples: int | None = flag(None, "samples until min-lr is reached; then all of the schedule counts samples", least=1)
    lr_warmup_samples: int | None = flag(None, "samples of linear warm-up; then all of the schedule counts samples", least=0)
    lr_warmup_fraction: float = flag(0.005, "share of the decay's steps that warm up", least=0.0, most=1.0)
    lr_warmup_init: float = flag(0.0, "learning rate that the warm-up begins at", least=0.0)
    decoupled_lr: float | None = flag(None, "peak learning rate of the embedding and the output matrix [lr]", positive=True)
    decoupled_min_lr: float | None = flag(None, "their learning rate at the end of the decay [min-lr]", least=0.0)
    weight_decay: float = flag(0.1, "decoupled weight decay of matrices; biases and norms have none", least=0.0)
    adam_beta1: float = flag(0.9, "decay of the first moment", least=0.0, most=1.0)
    adam_beta2: float = flag(0.95, "decay of the second moment", least=0.0, most=1.0)
    adam_eps: float = flag(1e-8, "added to the root of the second moment", positive=True)
    loss_scale: float | None = flag(None, "a loss scale that never changes (fp16) [dynamic]", positive=True)
    initial_loss_scale: float = flag(2.0**32, "the loss scale to begin with (fp16)", positive=True)
    min_loss_scale: float = flag(1.0, "the least that the loss scale is halved to (fp16)", positive=True)
    loss_scale_window: int = flag(1000, "updates without overflow after which the loss scale doubles (fp16)", least=1)
    hysteresis: int = flag(2, "overflows before the loss scale is halved (fp16)", least=1)
    clip_grad: float = flag(1.0, "largest global gradient norm; 0 does not clip", least=0.0)
    zero_stage: int = flag(
        0, "0: every data-parallel process holds the optimizer's state; 1: each holds its share", choices=(0, 1), front=True
    )
    grad_reduce_in_bf16: bool = flag(False, "add up and reduce gradients in bfloat16: half the memory, coarser (bf16)")
    overlap_grad_reduce: bool = flag(False, "sum gradients over data-parallel processes while backward still runs")
    overlap_param_gather: bool = flag(False, "gather updated weights while the next forward runs (zero-stage 1)")

    @staticmethod
    def resolve(c):
        if c.min_lr is None:
            c.min_lr = c.lr / 10
        # A preset's schedule belongs to the preset's length and batch; with others it is derived anew.
        if c.decoupled_min_lr is None and c.decoupled_lr is not None:
            c.decoupled_min_lr = c.min_lr
        anew = {"train_iters", "train_samples", "train_tokens", "lr_decay_samples", "lr_warmup_samples", "rampup_batch_size"}
        if anew & c.given:
            for name in {"lr_decay_iters", "lr_warmup_iters"} - c.given:
                setattr(c, name, None)

        # A fraction that is typed replaces the preset's or YAML's steps of warm-up.
        if "lr_warmup_fraction" in c.typed:
            for name in {"lr_warmup_iters", "lr_warmup_samples"} - c.typed:
                setattr(c, name, None)

    @staticmethod
    def check(c):
        yield from _loss_scale(c)
        if c.min_lr > c.lr:
            yield Problem("--min-lr", c.min_lr, f"is above --lr {c.lr:g}")
        yield from _schedule(c)
        if c.adam_beta1 >= 1.0 or c.adam_beta2 >= 1.0:
            yield Problem("--adam-beta1/2", max(c.adam_beta1, c.adam_beta2), "must be below 1")
        if c.grad_reduce_in_bf16 and not c.bf16:
            yield Problem("--grad-reduce-in-bf16", None, "is for gradients of bfloat16 weights", "add --bf16 or leave it out")
        if c.overlap_param_gather and c.zero_stage == 0:
            yield Problem(
                "--overlap-param-gather",
                None,
                "gathers weights that --zero-stage 1 shards, and nothing is sharded",
                "set --zero-stage 1",
            )
        if c.overlap_param_gather and not c.overlap_grad_reduce:
            yield Problem("--overlap-param-gather", None, "needs --overlap-grad-reduce", "set both")


def _schedule(c):
    given = [name for name in ("lr_decay_iters", "lr_warmup_iters") if getattr(c, name) is not None]
    for name in ("lr_decay_samples", "lr_warmup_samples"):
        if getattr(c, name) is not None and given:
            option, other = ("--" + word.replace("_", "-") for word in (name, given[0]))
            yield Problem(f"{option} and {other}", None, "count different things", "count in samples or in updates")
            break
    for name in ("lr_warmup_iters", "lr_warmup_samples"):
        if "lr_warmup_fraction" in c.typed and getattr(c, name) is not None:
            option = f"--lr-warmup-fraction and --{name.replace('_', '-')}"
            yield Problem(option, None, "contradict each other", "give one")
    if c.lr_warmup_init > c.lr:
        yield Problem("--lr-warmup-init", c.lr_warmup_init, f"is above --lr {c.lr:g}")
    if c.decoupled_min_lr is not None and c.decoupled_lr is None:
        yield Problem("--decoupled-min-lr", c.decoupled_min_lr, "has no effect without --decoupled-lr", "give both")
    elif c.decoupled_lr is not None and c.decoupled_min_lr > c.decoupled_lr:
        what = "--decoupled-min-lr" if "decoupled_min_lr" in c.given else "--decoupled-min-lr (from --min-lr)"
        yield Problem(what, f"{c.decoupled_min_lr:g}", f"is above --decoupled-lr {c.decoupled_lr:g}")


def _loss_scale(c):
    dynamic = ("initial_loss_scale", "min_loss_scale", "loss_scale_window", "hysteresis")
    for name in ("loss_scale", *dynamic):
        if name in c.typed and not c.fp16:
            option = "--" + name.replace("_", "-")
            yield Problem(option, getattr(c, name), "scales the loss for fp16, and this is not", "add --fp16 or leave it out")
        elif name in dynamic and name in c.typed and c.loss_scale is not None:
            option = "--" + name.replace("_", "-")
            yield Problem(
                option, getattr(c, name), "has no effect with --loss-scale, which keeps one scale", "give one of the two"
            )
    if c.min_loss_scale > c.initial_loss_scale:
        yield Problem("--min-loss-scale", c.min_loss_scale, f"is above --initial-loss-scale {c.initial_loss_scale:g}")
