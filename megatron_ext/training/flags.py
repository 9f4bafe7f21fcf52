"""Flags of the run: batch, length, precision, recompute, evaluation, when to stop (Megatron-LM's names)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry

# Flags that do nothing without another.
NEEDS = {
    "valid_data_path": "eval_interval",
    "recompute_num_layers": "recompute_granularity",
    "moe_router_topk": "num_experts",
    "moe_ffn_hidden_size": "num_experts",
    "moe_aux_loss_coeff": "num_experts",
    "moe_token_dispatcher_type": "num_experts",
    "expert_tensor_parallel_size": "num_experts",
    "exit_interval": "save",
    "exit_duration_in_mins": "save",
}
LENGTHS = ("train_iters", "train_samples", "train_tokens")


@flag_group("training", "The run")
class TrainingFlags:
    objective: str = flag("causal_lm", "what the model is trained to do", choices=Registry("megatron_ext.objectives"))
    micro_batch_size: int = flag(1, "samples in one forward pass of a process", least=1, front=True)
    global_batch_size: int | None = flag(
        None, "samples in one update [micro-batch-size × data-parallel processes]", least=1, front=True
    )
    train_iters: int | None = flag(None, "updates to train for", least=1, front=True)
    train_samples: int | None = flag(None, "… or samples", least=1)
    train_tokens: int | None = flag(None, "… or tokens", least=1)
    seed: int = flag(1234, "gives the weights, the order of the data and the dropout", least=0, most=2**62)
    bf16: bool = flag(False, "compute in bfloat16 with fp32 master weights and gradients", front=True)
    recompute_granularity: str | None = flag(None, "forget activations and compute them again in backward", choices=("full",))
    recompute_num_layers: int = flag(1, "layers between two kept activations", least=1)
    eval_interval: int | None = flag(None, "updates between evaluations on the validation data [none]", least=1)
    eval_iters: int = flag(10, "global batches in an evaluation", least=1)
    exit_interval: int | None = flag(None, "save and stop when the iteration is a multiple of this", least=1)
    exit_duration_in_mins: float | None = flag(None, "save and stop after so many minutes", positive=True)

    @staticmethod
    def resolve(c):
        # What is typed outranks YAML, and YAML the preset.
        given = [name for name in LENGTHS if name in c.typed] or [name for name in LENGTHS if name in c.given]
        if len(given) == 1:  # the user's word for the run's length replaces the preset's
            for name in LENGTHS:
                if name != given[0]:
                    setattr(c, name, None)
        if c.global_batch_size is None:
            c.global_batch_size = c.micro_batch_size * _data_parallel_size(c)

    @staticmethod
    def check(c):
        for name, needed in NEEDS.items():
            if name in c.typed and getattr(c, needed) is None:
                option, other = (f"--{word.replace('_', '-')}" for word in (name, needed))
                yield Problem(option, getattr(c, name), f"has no effect without {other}", f"give {other} or leave it out")
        yield from _check_evaluation(c)
        lengths = [name for name in LENGTHS if getattr(c, name) is not None]
        options = ["--" + name.replace("_", "-") for name in lengths]
        if not lengths:
            yield Problem(
                "--train-iters", None, "is missing", "say how long to train: --train-iters, --train-samples or --train-tokens"
            )
        elif len(lengths) > 1:
            yield Problem(" and ".join(options), None, "contradict each other", "give one")
        processes = _data_parallel_size(c)
        step = c.micro_batch_size * processes
        if c.global_batch_size % step:
            yield Problem(
                "--global-batch-size",
                c.global_batch_size,
                f"is not a multiple of --micro-batch-size {c.micro_batch_size} × {processes} data-parallel process(es)",
                f"the nearest above is {-(-c.global_batch_size // step) * step}",
            )
        chunks, stages = c.num_virtual_stages_per_pipeline_rank or 1, c.pipeline_model_parallel_size
        if chunks > 1 and (c.global_batch_size // step) % stages:
            yield Problem(
                "--global-batch-size",
                c.global_batch_size,
                f"makes {c.global_batch_size // step} micro-batches, and "
                f"interleaving {stages} stages takes multiples of {stages}",
            )
        if c.recompute_granularity == "full" and c.num_layers % (stages * chunks * c.recompute_num_layers):
            yield Problem(
                "--recompute-num-layers",
                c.recompute_num_layers,
                f"does not divide the {c.num_layers // (stages * chunks)} layers of a stage",
            )


def _check_evaluation(c):
    if c.eval_interval is None and c.test_data_path is None:
        for name in ("eval_iters", "full_validation", "multiple_validation_sets"):
            if name in c.typed:
                option, value = f"--{name.replace('_', '-')}", getattr(c, name)
                yield Problem(option, None if value is True else value, "has no effect without --eval-interval", "give it or leave this out")
    if c.full_validation and "eval_iters" in c.typed:
        yield Problem("--eval-iters", c.eval_iters, "has no effect with --full-validation", "give one of the two")
    if c.eval_interval is not None and c.valid_data_path is None and (c.train_data_path or c.test_data_path):
        yield Problem("--eval-interval", c.eval_interval, "needs validation data", "give --valid-data-path")


def _data_parallel_size(c) -> int:
    return max(c.world_size // (c.tensor_model_parallel_size * c.pipeline_model_parallel_size), 1)
