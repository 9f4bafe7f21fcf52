"""The table against our flags, against megatron-core's own configuration, and against the page."""

from __future__ import annotations

import collections
import dataclasses
import subprocess
import sys
import typing

import pytest

from megatron_ext.arguments.flags import flags_of
from megatron_ext.arguments.megatron_lm.page import page
from megatron_ext.arguments.megatron_lm.rows import OURS, PREPROCESS, PRETRAIN, REFUSED, TAKEN, TRANSLATED
from megatron_ext.arguments.megatron_lm.table import SECTIONS, rows
from megatron_ext.arguments.megatron_lm.values import VALUES
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.data.preprocess.flags import PreprocessFlags
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.training.configuration import GROUPS
from tools.megatron_lm_page import PAGE

PROGRAMS = {PRETRAIN: GROUPS, PREPROCESS: (InputFlags, TokenizerFlags, PreprocessFlags)}
EVERY = [row for section in SECTIONS for row in section.rows]

# megatron-core's fields that Megatron-LM makes no flag of (megatron/training/arguments.py), and those under another name.
NO_FLAG = set(
    """timers finalize_model_grads_func grad_scale_func no_sync_func grad_sync_func param_sync_func _cpu_offloading_context
    init_method output_layer_init_method embedding_init_method activation_func virtual_pipeline_model_parallel_size params_dtype
    enable_autocast autocast_dtype num_microbatches_with_partial_activation_checkpoints tp_comm_overlap_disable_qkv
    tp_comm_overlap_disable_fc1 pipeline_dtype variable_seq_lengths batch_p2p_comm batch_p2p_sync deallocate_pipeline_outputs
    cpu_offloading cpu_offloading_activations cpu_offloading_weights cpu_offloading_double_buffering
    num_layers_in_first_pipeline_stage num_layers_in_last_pipeline_stage softmax_scale gated_linear_unit bias_activation_fusion
    activation_func_fp8_input_store test_mode memory_efficient_layer_norm fused_single_qkv_rope fp8_dot_product_attention
    fp8_multi_head_attention tp_only_amax_red use_kitchen moe_token_dropping cuda_graph_use_single_mempool
    cuda_graph_retain_backward_graph disable_parameter_transpose_cache inference_sampling_seed use_inference_optimized_layers
    heterogeneous_block_specs hetereogenous_dist_checkpoint quant_recipe tp_comm_atomic_ag tp_comm_atomic_rs
    moe_router_topk_limited_devices num_moe_experts fp8_param use_te_rng_tracker""".split()
)
OTHER_NAME = {
    "gradient_accumulation_fusion": "--no-gradient-accumulation-fusion",
    "overlap_p2p_comm": "--no-overlap-p2p-communication",
    "masked_softmax_fusion": "--no-masked-softmax-fusion",
    "persist_layer_norm": "--no-persist-layer-norm",
    "bias_dropout_fusion": "--no-bias-dropout-fusion",
    "apply_rope_fusion": "--no-rope-fusion",
    "attention_softmax_in_fp32": "--attention-softmax-in-fp32",
}


def options_of(groups) -> set[str]:
    flags = [flag for group in groups for flag in flags_of(group)]
    return {flag.option for flag in flags} | {flag.opposite for flag in flags if flag.kind is bool}


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_called_ours_is_there_and_nothing_else(program):
    there = options_of(PROGRAMS[program])
    table = rows(program)
    ours = {option for option, row in table.items() if row.fate == OURS}
    assert ours <= there, f"not there: {sorted(ours - there)}"
    others = {option for option, row in table.items() if row.fate != OURS}
    assert not others & there, f"there, and yet not called ours: {sorted(others & there)}"


def test_each_flag_once_with_a_reason():
    seen = collections.Counter((row.option, program) for row in EVERY for program in row.programs)
    assert not [key for key, count in seen.items() if count > 1]
    for row in EVERY:
        assert row.option.startswith("--") and "_" not in row.option and row.arity in ("", "=", "=*"), row
        assert row.fate == OURS or row.why or row.becomes, row
        assert bool(row.only) == bool(row.otherwise), row
        assert row.fate in (OURS, TRANSLATED, TAKEN, REFUSED)


def test_translations_lead_to_flags_and_values_that_are_there():
    flags = {flag.name: flag for groups in PROGRAMS.values() for group in groups for flag in flags_of(group)}
    for row in EVERY:
        for name, value in row.becomes:
            assert value is ... or flags[name].convert(value) == value, row
    for value in VALUES:
        assert value.ours is None or flags[value.field].convert(value.ours) == value.ours
        with pytest.raises(ValueError):  # or it would be no other spelling
            flags[value.field].convert(value.spelling)


def test_every_field_of_megatron_core_that_megatron_lm_makes_a_flag_of_is_known():
    from megatron.core.transformer import TransformerConfig

    unknown = []
    for field in dataclasses.fields(TransformerConfig):
        if field.name in NO_FLAG:
            continue
        names = field.metadata.get("argparse_meta", {}).get("arg_names") or [OTHER_NAME.get(field.name)]
        if names == [None]:
            dashed = field.name.replace("_", "-")
            switched_off = field.type is bool and field.default is True
            names = [f"--no-{dashed}", f"--disable-{dashed}"] if switched_off else [f"--{dashed}"]
        unknown += [name for name in names if name not in rows(PRETRAIN)]
    assert not unknown


def test_arity_is_that_of_megatron_core():
    """A switch takes no value and the rest takes one or several: else what follows would be read as something else."""
    from megatron.core.transformer import TransformerConfig

    hints = typing.get_type_hints(TransformerConfig)
    for field in dataclasses.fields(TransformerConfig):
        row = rows(PRETRAIN).get("--" + field.name.replace("_", "-"))
        if row is not None and row.fate != OURS:
            assert (row.arity == "") == (hints[field.name] in (bool, typing.Optional[bool])), row  # noqa: UP045


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(GROUPS), "run python tools/megatron_lm_page.py"


def test_the_page_names_every_flag():
    text = page(GROUPS)
    assert all(f"`{row.option}" in text for row in EVERY)


def test_the_table_is_light():
    code = (
        "import sys; import megatron_ext.arguments.megatron_lm.page; assert not {'torch', 'numpy', 'megatron'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
