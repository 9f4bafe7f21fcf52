"""Generation in a worker of the pool: a trained run opened on a layout, as tools/generate.py opens it."""

from __future__ import annotations

from tests.layouts.training_case import outcome

MODELS = {
    "llama": "--preset tiny --num-layers 2 --untie-embeddings-and-output-weights --rotary-percent 0.5".split(),
    "gpt": (
        "--preset tiny --num-layers 2 --normalization layernorm --activation gelu --position-embedding-type learned_absolute "
        "--add-bias-linear --num-query-groups 4"
    ).split(),
    "no_positions": "--preset tiny --num-layers 2 --position-embedding-type none".split(),
    "transformer_xl": (
        "--preset tiny --num-layers 2 --position-embedding-type transformer_xl --segment-length 5 --memory-length 4"
    ).split(),
    "xpos": "--preset tiny --num-layers 2 --position-embedding-type xpos --xpos-scale-base 4 --reset-position-ids".split(),
    "t5_bias": (
        "--preset tiny --num-layers 2 --position-embedding-type t5_bias --relative-attention-num-buckets 6 "
        "--relative-attention-max-distance 9 --attention-pattern sliding_window causal --sliding-window 5"
    ).split(),
    "latent": (
        "--preset tiny --num-layers 2 --num-query-groups 4 --multi-latent-attention --q-lora-rank 24 --kv-lora-rank 20 "
        "--v-head-dim 12 --attention-pattern sliding_window causal --sliding-window 5"
    ).split(),
    "olmo2": "--preset tiny --num-layers 2 --norm-placement reordered --qk-layernorm --qk-layernorm-across-heads".split(),
    "prefix": "--preset tiny --num-layers 2 --objective prefix_lm".split(),
    "experts": "--preset tiny --num-layers 2 --num-experts 4 --moe-ffn-hidden-size 64".split(),
}
WINDOW = 16
# Weights as large as these give each token a mind of its own: greedy text does not run into a loop at once.
RUN = f"--mock-data --vocab-size 140 --train-iters 1 --seq-length {WINDOW} --lr 1e-4 --init-method-std 0.2".split()


def train(pool, model: str, folder) -> str:
    """The folder of a run."""
    outcome(pool, [*MODELS[model], *RUN], 1, folder)
    return str(folder)


def opened(launch, argv: list[str], question, *args):
    """Open the run of `argv` (flags of tools/generate.py) on all ranks and answer `question(trained, flags, *args)`."""
    from megatron_ext.arguments.config import read
    from megatron_ext.inference.flags import GenerationFlags
    from megatron_ext.training.flags import TrainedFlags
    from megatron_ext.training.trained import joined, open_run

    config = read([TrainedFlags, GenerationFlags], [*argv, "--device", "cpu"], "generate.py", "", launch.world_size)
    with joined(config.run, launch) as device:
        return question(open_run(config.run, device), config.generation, *args)


def continuations(trained, flags, cached: bool = True) -> list[tuple]:
    """`(number, sample, ids, text, finish_reason)` of all that rank 0 is given, in the order in which they end."""
    from megatron_ext.inference.generate import generate
    from megatron_ext.inference.prompts import read_prompts, requests

    asked = requests(read_prompts(flags), flags, trained.config, trained.tokenizer, trained.window)
    found, told = [], {}
    for result, piece in generate(trained, asked, flags, cached):
        place = result.request.number, result.request.sample
        told[place] = told.get(place, "") + piece
        if result.finish_reason is not None:
            found.append((*place, result.ids, result.text, result.finish_reason))
    assert told == {(row[0], row[1]): row[3] for row in found}
    return found
