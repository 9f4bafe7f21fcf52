"""Flags of the run: batch, length, precision, recompute, evaluation, when to stop (Megatron-LM's names).

And those by which a tool opens a run that was trained.
"""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry
from megatron_ext.backend import pipeline
from megatron_ext.models.architecture_flags import lengths
from megatron_ext.optim.schedules import in_samples, way
from megatron_ext.training import batch_size

# Flags that do nothing without another.
NEEDS = {
    "valid_data_path": "eval_interval",
    "recompute_num_layers": "recompute_granularity",
    "manual_gc_interval": "manual_gc",
    "moe_layer_freq": "num_experts",
    "moe_router_topk": "num_experts",
    "moe_ffn_hidden_size": "num_experts",
    "moe_shared_expert_intermediate_size": "num_experts",
    "moe_shared_expert_gate": "num_experts",
    "moe_router_score_function": "num_experts",
    "moe_router_pre_softmax": "num_experts",
    "moe_router_topk_scaling_factor": "num_experts",
    "moe_router_num_groups": "num_experts",
    "moe_router_load_balancing_type": "num_experts",
    "moe_aux_loss_coeff": "num_experts",
    "moe_z_loss_coeff": "num_experts",
    "moe_router_enable_expert_bias": "num_experts",
    "moe_expert_capacity_factor": "num_experts",
    "moe_token_dispatcher_type": "num_experts",
    "moe_router_bias_update_rate": "moe_router_enable_expert_bias",
    "moe_token_drop_policy": "moe_expert_capacity_factor",
    "expert_tensor_parallel_size": "num_experts",
    "mtp_loss_scaling_factor": "mtp_num_layers",
    "exit_interval": "save",
    "exit_duration_in_mins": "save",
    "exit_signal": "save",
}
EXIT_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")
LENGTHS = ("train_iters", "train_samples", "train_tokens")


@flag_group("training", "The run")
class TrainingFlags:
    micro_batch_size: int = flag(1, "samples in one forward pass of a process", least=1, front=True)
    global_batch_size: int | None = flag(
        None, "samples in one update [micro-batch-size × data-parallel processes]", least=1, front=True
    )
    rampup_batch_size: tuple[int, ...] | None = flag(
        None, "START INCREMENT SAMPLES: the batch grows from START to the global batch size over the first SAMPLES", least=1
    )
    train_iters: int | None = flag(None, "updates to train for", least=1, front=True)
    train_samples: int | None = flag(None, "… or samples", least=1)
    train_tokens: int | None = flag(None, "… or tokens", least=1)
    seed: int = flag(1234, "gives the weights, the order of the data and the dropout", least=0, most=2**62)
    bf16: bool = flag(False, "compute in bfloat16 with fp32 master weights and gradients", front=True)
    fp16: bool = flag(False, "compute in float16 with fp32 master weights and gradients, the loss scaled against underflow")
    eod_mask_loss: bool = flag(False, "do not learn what follows the end of a document")
    cross_entropy_loss_fusion: bool = flag(False, "megatron-core's fused cross entropy: one all-reduce less (bf16)")
    manual_gc: bool = flag(False, "collect Python's garbage only when told to, on all processes at once")
    manual_gc_interval: int = flag(0, "updates between two collections; 0: never", least=0)
    recompute_granularity: str | None = flag(None, "forget activations and compute them again in backward", choices=("full",))
    recompute_num_layers: int = flag(1, "layers between two kept activations", least=1)
    eval_interval: int | None = flag(None, "updates between evaluations on the validation data [none]", least=1)
    eval_iters: int = flag(10, "global batches in an evaluation; 0: no evaluation, not at the end either", least=0)
    exit_interval: int | None = flag(None, "save and stop when the iteration is a multiple of this", least=1)
    exit_duration_in_mins: float | None = flag(None, "save and stop after so many minutes", positive=True)
    exit_signal_handler: bool = flag(True, "with --save: on --exit-signal finish the update, save, end with status 75")
    exit_signal: str = flag("SIGTERM", "the signal that asks the run to stop", choices=EXIT_SIGNALS)

    @staticmethod
    def resolve(c):
        # What is typed outranks YAML, and YAML the preset.
        given = [name for name in LENGTHS if name in c.typed] or [name for name in LENGTHS if name in c.given]
        if len(given) == 1:  # the user's word for the run's length replaces the preset's
            for name in LENGTHS:
                if name != given[0]:
                    setattr(c, name, None)
        if _evaluates_nothing(c):
            c.eval_interval = None
        if c.global_batch_size is None:
            c.global_batch_size = c.micro_batch_size * _data_parallel_size(c)

    @staticmethod
    def check(c):
        passed_over = {"save": c.megatron_defaults, "eval_interval": _evaluates_nothing(c)}
        for name, needed in NEEDS.items():
            if name in c.typed and getattr(c, needed) in (None, False) and not passed_over.get(needed):
                option, other = (f"--{word.replace('_', '-')}" for word in (name, needed))
                yield Problem(option, getattr(c, name), f"has no effect without {other}", f"give {other} or leave it out")
        yield from _check_evaluation(c)
        if "exit_signal" in c.typed and not c.exit_signal_handler:
            yield Problem("--exit-signal", c.exit_signal, "has no effect with --no-exit-signal-handler", "leave one of them out")
        lengths = [name for name in LENGTHS if getattr(c, name) is not None]
        options = ["--" + name.replace("_", "-") for name in lengths]
        if not lengths:
            yield Problem(
                "--train-iters", None, "is missing", "say how long to train: --train-iters, --train-samples or --train-tokens"
            )
        elif len(lengths) > 1:
            yield Problem(" and ".join(options), None, "contradict each other", "give one")
        if c.fp16 and c.bf16:
            yield Problem("--fp16 and --bf16", None, "contradict each other", "give one")
        if c.cross_entropy_loss_fusion and not c.bf16:
            yield Problem("--cross-entropy-loss-fusion", None, "rounds its gradient to bfloat16", "add --bf16 or leave it out")
        batch_problems = list(_batch(c))
        yield from batch_problems
        if len(lengths) == 1 and not batch_problems:
            yield from _warmup(c)
            if c.profile and c.profile_step_start >= length_in_updates(c):
                yield Problem(
                    "--profile-step-start", c.profile_step_start, f"is not below the {length_in_updates(c)} updates of the run"
                )
        stages = c.pipeline_model_parallel_size
        if c.recompute_granularity == "full" and not any(pipeline.problems(c)):
            for number, chunk in enumerate(pipeline.chunks(c, c)):
                if chunk.layers % c.recompute_num_layers:
                    where = f"of chunk {number} of the pipeline" if stages > 1 else "of the model"
                    yield Problem(
                        "--recompute-num-layers", c.recompute_num_layers, f"does not divide the {chunk.layers} layer(s) {where}"
                    )
                    break
        if c.num_experts is not None and c.tensor_model_parallel_size > 1 and not c.sequence_parallel:
            yield Problem(
                "--num-experts",
                c.num_experts,
                "with tensor parallelism needs the sequence split as well, to be trained",
                "add --sequence-parallel",
            )


def _evaluates_nothing(c) -> bool:
    """Megatron-LM's way to turn evaluation off, whatever else is said about it. Whole sets are not counted in batches."""
    return c.eval_iters == 0 and not c.full_validation


def _check_evaluation(c):
    if _evaluates_nothing(c):
        return
    if c.eval_interval is None and c.test_data_path is None:
        for name in ("eval_iters", "full_validation", "multiple_validation_sets"):
            if name in c.typed:
                option, value = f"--{name.replace('_', '-')}", getattr(c, name)
                shown = None if value is True else value
                yield Problem(option, shown, "has no effect without --eval-interval", "give it or leave this out")
    if c.full_validation and "eval_iters" in c.typed:
        yield Problem("--eval-iters", c.eval_iters, "has no effect with --full-validation", "give one of the two")
    if c.eval_interval is not None and c.valid_data_path is None and (c.train_data_path or c.test_data_path):
        yield Problem("--eval-interval", c.eval_interval, "needs validation data", "give --valid-data-path")


def _data_parallel_size(c) -> int:
    return max(c.world_size // (c.tensor_model_parallel_size * c.context_parallel_size * c.pipeline_model_parallel_size), 1)


def _batch(c):
    """Every batch size of the run must fit the processes, the ramp's among them."""
    if c.rampup_batch_size is not None:
        option, value = "--rampup-batch-size", " ".join(map(str, c.rampup_batch_size))
        if len(c.rampup_batch_size) != 3:
            yield Problem(option, value, "takes three numbers", "START INCREMENT SAMPLES")
            return
        start, increment, _ = c.rampup_batch_size
        if start >= c.global_batch_size:
            yield Problem(option, value, f"starts at {start}, not below --global-batch-size {c.global_batch_size}")
            return
        if (c.global_batch_size - start) % increment:
            yield Problem(
                option,
                value,
                f"does not reach --global-batch-size {c.global_batch_size} from {start} in steps of {increment}",
                f"the batch's way, {c.global_batch_size - start}, must be a multiple of the increment",
            )
            return
    processes = _data_parallel_size(c)
    step = c.micro_batch_size * processes
    chunks, stages = c.num_virtual_stages_per_pipeline_rank or 1, c.pipeline_model_parallel_size
    for size in batch_size.sizes(c):
        last = size == c.global_batch_size
        option = "--global-batch-size" if last else "--rampup-batch-size"
        value = size if last else " ".join(map(str, c.rampup_batch_size))
        reached = "" if last else f"reaches {size}, which "
        if size % step:
            yield Problem(
                option,
                value,
                f"{reached}is not a multiple of --micro-batch-size {c.micro_batch_size} × {processes} data-parallel process(es)",
                f"the nearest above is {-(-size // step) * step}" if last else f"start and grow in multiples of {step}",
            )
            return
        if chunks > 1 and (size // step) % stages:
            yield Problem(
                option,
                value,
                f"{reached}makes {size // step} micro-batches, and interleaving {stages} stages takes multiples of {stages}",
            )
            return


def _warmup(c):
    """A warm-up must end before the decay does."""
    updates = length_in_updates(c)
    samples = in_samples(c, c.rampup_batch_size is not None)
    planned = way(c, batch_size.samples_in(c, updates) if samples else updates, samples)
    name = "lr_warmup_samples" if samples else "lr_warmup_iters"
    if getattr(c, name) is not None and planned.warmup >= planned.decay:
        unit = "samples" if samples else "updates"
        yield Problem("--" + name.replace("_", "-"), planned.warmup, f"is not below the {planned.decay} {unit} of the decay")


def length_in_updates(c) -> int:
    """Updates in the whole run; samples and tokens are rounded up to whole updates."""
    if c.train_iters is not None:
        return c.train_iters
    samples = c.train_samples if c.train_samples is not None else -(-c.train_tokens // sum(lengths(c)))
    return batch_size.updates_for(c, samples)


@flag_group("run", "The trained run")
class TrainedFlags:
    load: str | None = flag(None, "the run's folder, or one checkpoint in it", front=True)
    tokenizer_model: str | None = flag(
        None, "the tokenizer's file or folder, where it is not where the run had it [the run's, sought from the run's folder up]"
    )
    tokenizer_type: str | None = flag(None, "its kind [the run's]", choices=Registry("megatron_ext.tokenizers.loaders"))
    vocab_file: str | None = flag(None, "GPT-2's vocabulary, where the run had the tokenizer of its two files [likewise]")
    merge_file: str | None = flag(None, "GPT-2's merges [likewise]")
    device: str = flag("auto", "where the model runs", choices=("auto", "cpu", "cuda"), front=True)
    tensor_model_parallel_size: int = flag(1, "processes that share each layer's matrices", least=1, front=True)
    pipeline_model_parallel_size: int = flag(1, "stages that share the layers", least=1, front=True)
    distributed_timeout_minutes: float = flag(
        10.0, "minutes after which a process that waits for another gives up", positive=True
    )

    @staticmethod
    def check(c):
        if c.load is None:
            yield Problem("--load", None, "is missing", "give the folder that training saved to")
        share = c.tensor_model_parallel_size * c.pipeline_model_parallel_size
        if c.world_size % share:
            yield Problem(
                "--tensor-model-parallel-size × --pipeline-model-parallel-size",
                share,
                f"does not divide the {c.world_size} process(es) of this run",
                f"start a multiple of {share} with torchrun --nproc-per-node {share}",
            )
