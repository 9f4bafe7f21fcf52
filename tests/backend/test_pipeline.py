"""How the model is cut into pipeline chunks, against megatron-core's own arithmetic and its own reader of layouts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from megatron_ext.backend import pipeline
from tests.arguments.test_config import problems

NAMES = (pipeline.FIRST, pipeline.LAST, pipeline.LAYOUT, pipeline.VIRTUAL)
DEFAULTS = dict.fromkeys(NAMES) | {pipeline.EMBEDDING: False, pipeline.LOSS: False}


def flags(num_layers, stages, **given):
    return SimpleNamespace(num_layers=num_layers, pipeline_model_parallel_size=stages, **(DEFAULTS | given))


splits = st.one_of(
    st.fixed_dictionaries({pipeline.FIRST: st.none() | st.integers(1, 8), pipeline.LAST: st.none() | st.integers(1, 8)}),
    st.fixed_dictionaries({pipeline.EMBEDDING: st.booleans(), pipeline.LOSS: st.booleans()}),
)


@given(st.integers(1, 24), st.integers(2, 5), st.sampled_from([None, 2, 3]), splits)
@settings(max_examples=400, deadline=None)
def test_equals_megatron_cores_arithmetic(num_layers, stages, virtual, split):
    """Where megatron-core takes the numbers, the validator does, and every chunk has as many layers, from the same one on."""
    from megatron.core.transformer import TransformerConfig
    from megatron.core.transformer.transformer_block import get_num_layers_to_build
    from megatron.core.transformer.transformer_layer import get_transformer_layer_offset

    ours = flags(num_layers, stages, **split, **{pipeline.VIRTUAL: virtual})
    names = {pipeline.FIRST: "num_layers_in_first_pipeline_stage", pipeline.LAST: "num_layers_in_last_pipeline_stage"}

    def theirs():
        import torch

        config = TransformerConfig(
            num_layers=num_layers, hidden_size=4, num_attention_heads=1, pipeline_model_parallel_size=stages,
            virtual_pipeline_model_parallel_size=virtual, pipeline_dtype=torch.float32,
            **{names.get(name, name): value for name, value in split.items()})  # fmt: skip
        return [
            (
                get_num_layers_to_build(config, number // stages, number % stages),
                get_transformer_layer_offset(config, number // stages, number % stages),
            )
            for number in range(stages * (virtual or 1))
        ]

    if any(pipeline.problems(ours)):
        try:
            counts = theirs()
        except (ValueError, AssertionError, ZeroDivisionError):
            return
        assert min(layers for layers, _ in counts) < 0, "megatron-core has a split for it"
        return
    # megatron-core 0.16.1 divides by the number of middle stages, also when there is none
    assume(not (virtual and stages == sum(getattr(ours, name) is not None for name in (pipeline.FIRST, pipeline.LAST))))
    found = [chunk.layers for chunk in pipeline.chunks(ours, ours)]
    assert theirs() == [(layers, sum(found[:number])) for number, layers in enumerate(found)]
    assert sum(found) == num_layers


letters = st.text("Et|L,", min_size=1, max_size=8)
repeats = st.builds("{}*{}".format, st.sampled_from("Et|L"), st.integers(0, 4))
groups = st.builds("({})*{}".format, letters.filter(lambda text: text.strip(",")), st.integers(1, 3))


@given(st.lists(letters | repeats | groups, min_size=1, max_size=5).map("".join))
@settings(max_examples=300, deadline=None)
def test_reads_layouts_as_megatron_core_does(text):
    from megatron.core.transformer.pipeline_parallel_layer_layout import PipelineParallelLayerLayout

    theirs = PipelineParallelLayerLayout.parse_str_to_list(text)
    ours = pipeline._spelled_out(text).split("|")
    assert [[pipeline.LETTERS[letter] for letter in chunk] for chunk in ours] == [[kind.name for kind in row] for row in theirs]


def test_a_layout_is_cut_where_it_says():
    c = flags(8, 2, **{pipeline.LAYOUT: "Et*3|(tt|)*2,tL", pipeline.VIRTUAL: 2})
    assert not list(pipeline.problems(c))
    assert list(map(str, pipeline.chunks(c, c))) == ["Ettt", "tt", "tt", "tL"]


RUN = ["--mock-data", "--vocab-size", "100", "--train-iters", "1", "--num-layers", "8"]
TWO = ["--pipeline-model-parallel-size", "2"]
THREE = ["--pipeline-model-parallel-size", "3"]


@pytest.mark.parametrize(("argv", "says"), [
    (["--decoder-first-pipeline-num-layers", "3"], "there is one stage"),
    ([*TWO, "--pipeline-model-parallel-layout", "Ettt|ttttL"], "has 7 layers, and --num-layers is 8"),
    ([*TWO, "--pipeline-model-parallel-layout", "Etttt|tt|ttL"], "has 3 chunks, not a multiple of"),
    ([*TWO, "--pipeline-model-parallel-layout", "t*4|Et*4L"], "has not one E at its beginning"),
    ([*TWO, "--pipeline-model-parallel-layout", "Et*4L|t*4"], "has not one L at its end"),
    ([*TWO, "--pipeline-model-parallel-layout", "Et*4|t*4xL"], "has x in it, which means nothing here"),
    ([*TWO, "--pipeline-model-parallel-layout", "Et*4|t*4mL"], "has 1 m, and not --mtp-num-layers of them"),
    ([*TWO, "--pipeline-model-parallel-layout", "Et*999999999|L"], "spells out to more than"),
    ([*TWO, "--pipeline-model-parallel-layout", "Et*4|t*4L", "--account-for-loss-in-pipeline-split"], "contradict each other"),
    ([*TWO, "--pipeline-model-parallel-layout", "Et*4|t*4L", "--num-virtual-stages-per-pipeline-rank", "2"], "says 2"),
    ([*TWO, "--account-for-loss-in-pipeline-split"], "--num-layers 8: + 1 for the loss is not a multiple of"),
    ([*TWO, "--decoder-first-pipeline-num-layers", "3", "--decoder-last-pipeline-num-layers", "4"], "together are not"),
    ([*THREE, "--decoder-first-pipeline-num-layers", "3"], "leave 5 of --num-layers 8 for the other 2 stage(s)"),
    ([*TWO, "--decoder-first-pipeline-num-layers", "8"], "leave 0 of --num-layers 8"),
    ([*TWO, "--decoder-first-pipeline-num-layers", "3", "--num-virtual-stages-per-pipeline-rank", "2"], "is not a multiple of"),
    ([*TWO, "--decoder-first-pipeline-num-layers", "2", "--num-layers-per-virtual-pipeline-stage", "2"],
     "give --num-virtual-stages-per-pipeline-rank instead"),
    (["--num-virtual-stages-per-pipeline-rank", "2"], "interleaves pipeline stages, and there is one"),
    (THREE, "--num-layers 8: is not a multiple of --pipeline-model-parallel-size 3; choose 6 or 9 layers"),
    ([*TWO, "--decoder-first-pipeline-num-layers", "3", "--recompute-granularity", "full", "--recompute-num-layers", "3"],
     "does not divide the 5 layer(s) of chunk 1 of the pipeline"),
])  # fmt: skip
def test_what_cannot_be_cut_is_refused_by_name(argv, says):
    world_size = 3 if argv[:2] == THREE else 2
    assert says in "\n".join(map(str, problems([*RUN, *argv], world_size)))
