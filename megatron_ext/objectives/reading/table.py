"""What can be learnt by which architecture, and on which layouts: the one table. Refusals come from it, with the nearest that
can; docs/objectives.md shows it, and tests train each of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from megatron_ext.arguments.problems import Problem, option

LEARNT_BY = {
    "causal_lm": ("causal_decoder",),
    "prefix_lm": ("prefix_decoder", "encoder_decoder"),
    "span_corruption": ("encoder_decoder", "prefix_decoder", "causal_decoder"),
    "fill_in_middle": ("causal_decoder",),
    "blank_infilling": ("prefix_decoder",),
    "mixture_of_denoisers": ("encoder_decoder", "prefix_decoder"),
    "masked_lm": ("encoder",),
    "denoising": ("encoder_decoder",),
}
"""Objective -> the architectures that it can be learnt by; the first is the default."""

USUAL = {"prefix_decoder": "prefix_lm", "encoder_decoder": "span_corruption", "encoder": "masked_lm"}
"""Architecture -> the objective that is meant where none is given."""

LAYOUTS = {
    "TP": ("tensor_model_parallel_size", (1,)),
    "SP": ("sequence_parallel", (False,)),
    "PP": ("pipeline_model_parallel_size", (1,)),
    "interleaved PP": ("num_virtual_stages_per_pipeline_rank", (None, 1)),
    "CP": ("context_parallel_size", (1,)),
    "EP": ("expert_model_parallel_size", (1,)),
    "DP": ("world_size", ()),
    "ZeRO-1": ("zero_stage", (0,)),
}
"""Layout -> the flag that asks for it, and its values that do not. Data parallelism is what is left of the processes."""

_NEAREST = {"CP": "--tensor-model-parallel-size and --sequence-parallel", "EP": "--tensor-model-parallel-size"}
_NOT_ON = {
    ("encoder_decoder", "CP"): "shares the tokens of one stretch, and an encoder and a decoder have two",
    ("encoder_decoder", "EP"): "spreads experts, which are there in one stack of layers alone",
}
"""(architecture, layout) -> why they do not go together. Whatever is not here does."""


def rows() -> Iterator[tuple[str, str, dict[str, bool]]]:
    """`(objective, architecture, layout -> whether it can be had)`."""
    for objective, architectures in LEARNT_BY.items():
        for architecture in architectures:
            yield objective, architecture, {layout: (architecture, layout) not in _NOT_ON for layout in LAYOUTS}


def refusals(c) -> Iterator[Problem]:
    """What of a run's objective, architecture and layout is not in the table, with the nearest that is."""
    able = LEARNT_BY[c.objective]
    if c.architecture not in able:
        others = [name for name, architectures in LEARNT_BY.items() if c.architecture in architectures]
        way_out = f"use --architecture {' or '.join(able)}" + (f", or --objective {' or '.join(others)}" if others else "")
        yield Problem("--objective", c.objective, f"is not learnt by --architecture {c.architecture}", way_out)
    for layout, (name, without) in LAYOUTS.items():
        if (c.architecture, layout) in _NOT_ON and getattr(c, name) not in without:
            others = [each for each in able if (each, layout) not in _NOT_ON]
            way_out = f"use {_NEAREST[layout]}" + (f", or --architecture {' or '.join(others)}" if others else "")
            yield Problem(option(name), getattr(c, name), _NOT_ON[c.architecture, layout], way_out)
