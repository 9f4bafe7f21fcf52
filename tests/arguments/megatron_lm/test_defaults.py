"""Whose defaults hold, in what rank, and that the official command lines give the models that Megatron-LM builds."""

from __future__ import annotations

import dataclasses

import pytest

from megatron_ext.arguments.flags import flags_of
from megatron_ext.arguments.megatron_lm.defaults import DEFAULTS
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.models.config import padded_vocab_size
from megatron_ext.planner.parameters import count
from megatron_ext.training.configuration import GROUPS, read_configuration
from tests.arguments.megatron_lm.lines import GPT3_175B, LLAMA3_8B, words

MOCK = ["--mock-data", "--tokenizer-type", "null", "--vocab-size", "100", "--train-iters", "2000"]
FLAGS = {flag.name: flag for group in GROUPS for flag in flags_of(group)}


def config(line, world_size=1):
    return read_configuration([*MOCK, *line.split()], world_size)


def test_ours_hold_where_nothing_is_megatron_lms():
    found = config("--num-layers 2 --bf16").flat()
    assert found["megatron_defaults"] is False
    assert all(found[name] == FLAGS[name].default for name in DEFAULTS if FLAGS[name].default is not None)


@pytest.mark.parametrize("line", ["--megatron-defaults", "--use-mcore-models", "--use-distributed-optimizer", "--swiglu"])
def test_what_brings_megatron_lms(line):
    found = config(line).flat()
    assert found["megatron_defaults"] is True
    held = {name for name, value in DEFAULTS.items() if found[name] == value}
    assert held == DEFAULTS.keys() - ({"activation"} if line == "--swiglu" else set())


def test_a_kind_of_tokenizer_that_only_megatron_lm_has_brings_them_too():
    assert read_configuration([*MOCK, "--tokenizer-type", "NullTokenizer"], 1).megatron.megatron_defaults
    assert not read_configuration([*MOCK, "--optimizer", "adamw"], 1).megatron.megatron_defaults


def test_defaults_are_those_of_megatron_core():
    """Where megatron-core has a field of the same name, ours or, where it is listed, Megatron-LM's default is its default."""
    from megatron.core.optimizer import OptimizerConfig
    from megatron.core.transformer import TransformerConfig

    same_meaning = """hidden_dropout attention_dropout add_bias_linear add_qkv_bias init_method_std normalization bf16
        sequence_parallel moe_router_topk moe_token_dispatcher_type moe_token_drop_policy moe_layer_freq
        moe_router_score_function moe_router_bias_update_rate moe_z_loss_coeff tensor_model_parallel_size
        pipeline_model_parallel_size expert_model_parallel_size recompute_granularity optimizer weight_decay adam_beta1
        adam_beta2 adam_eps clip_grad overlap_param_gather""".split()
    core = {field.name: field.default for cls in (OptimizerConfig, TransformerConfig) for field in dataclasses.fields(cls)}
    ours = {name: flag.default for name, flag in FLAGS.items()} | DEFAULTS
    for name in same_meaning:
        assert str(ours[name]).lower() == str(core[name]).lower(), name
    for name in ("moe_router_load_balancing_type", "moe_aux_loss_coeff"):  # one for each loss
        assert ours[name] == (core[name],)
    assert ours["norm_epsilon"] == core["layernorm_epsilon"]


def test_each_listed_default_differs_from_ours_and_is_a_value():
    for name, value in DEFAULTS.items():
        assert FLAGS[name].convert(value) == value != FLAGS[name].default


def test_rank_of_sources(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("weight_decay: 0.3\nhidden_dropout: 0.3\n")
    found = config(f"--use-mcore-models --preset gpt3-125m --config {path} --hidden-dropout 0.4")
    assert found.optimizer.adam_beta2 == 0.95  # preset over Megatron-LM's 0.999
    assert found.optimizer.weight_decay == 0.3  # YAML over the preset's 0.1
    assert found.model.hidden_dropout == 0.4  # flags over YAML
    assert found.model.attention_dropout == 0.1  # Megatron-LM's over ours
    assert found.model.activation == "gelu"  # the preset's


def test_yaml_can_ask_for_them_and_the_flag_can_refuse(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("megatron_defaults: true\n")
    assert config(f"--config {path}").model.normalization == "layernorm"
    assert config(f"--config {path} --no-megatron-defaults").model.normalization == "rmsnorm"
    path.write_text("megatron_defaults: false\n")
    assert config(f"--config {path} --use-mcore-models").model.normalization == "rmsnorm"


@pytest.mark.parametrize(
    "line", ["--use-mcore-models", "--use-mcore-models --swiglu --split 1 --num-experts 2 --disable-bias-linear"]
)
def test_yaml_of_the_run_gives_it_again(line, tmp_path):
    found = config(line)
    path = tmp_path / "run.yaml"
    path.write_text(found.to_yaml())
    assert read_configuration(["--config", str(path)], 1) == found


def test_the_start_says_what_brought_them_and_which_hold():
    defaults, without_effect = config("--use-mcore-models --hidden-dropout 0.0 --lr-decay-style cosine").notes
    assert defaults.startswith("Megatron-LM's defaults hold, since --use-mcore-models is its own: normalization layernorm, ")
    assert "attention-dropout 0.1" in defaults and "adam-beta2 0.999" in defaults and "activation gelu_tanh" in defaults
    assert "hidden-dropout" not in defaults and "lr-decay-style" not in defaults
    assert defaults.endswith("(--no-megatron-defaults takes ours)")
    assert config("--megatron-defaults").notes[0].startswith("Megatron-LM's defaults hold: normalization layernorm, ")


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("", "activation", "gelu_tanh"),
        ("--no-bias-gelu-fusion", "activation", "gelu"),
        ("--disable-bias-linear", "activation", "gelu"),
        ("--activation gelu --disable-bias-linear", "activation", "gelu"),
        ("--activation gelu-tanh --no-bias-gelu-fusion", "activation", "gelu_tanh"),
        ("--hidden-size 4096 --num-attention-heads 32", "ffn_hidden_size", 16384),
        ("--hidden-size 4096 --num-attention-heads 32 --swiglu", "ffn_hidden_size", 10880),
        ("--hidden-size 5120 --num-attention-heads 40 --swiglu", "ffn_hidden_size", 13632),
        ("", "num_query_groups", 4),
        ("--sequence-parallel", "sequence_parallel", False),
        ("--num-experts 2 --disable-bias-linear", "expert_tensor_parallel_size", 1),
        ("--exit-interval 5", "exit_interval", 5),
        ("--no-load-optim --no-load-rng", "no_load_optim", False),
        ("--no-load-rng --load /tmp", "no_load_rng", True),
        ("--hysteresis 3", "hysteresis", 2),
        ("--hysteresis 3 --fp16", "hysteresis", 3),
        ("--moe-token-dispatcher-type alltoall", "moe_token_dispatcher_type", "allgather"),
        ("--cuda-graph-scope attn", "cuda_graph_scope", None),
        ("--train-iters 999", "eval_interval", None),
        ("--train-iters 999 --eval-interval 1000", "eval_interval", 1000),
        ("--train-iters 1000", "eval_interval", 1000),
    ],
)
def test_habits(line, field, value):
    assert config("--megatron-defaults " + line).flat()[field] == value


def test_what_megatron_lm_passes_over_without_another_flag_is_left_out_and_said():
    found = config("--megatron-defaults --profile-step-start 4 --moe-router-topk 1")
    assert found.notes[1:] == (
        "--moe-router-topk is left out: there is no --num-experts",
        "--profile-step-start is left out: there is no --profile",
    )
    (_, *notes) = config("--megatron-defaults --rotary-percent .5 --rotary-base 500").notes  # GPT-3's script, positions learned
    assert notes == ["--rotary-base is left out: there is no --position-embedding-type rope or xpos",
                     "--rotary-percent is left out: there is no --position-embedding-type rope"]  # fmt: skip
    assert len(config("--megatron-defaults --rotary-base 500 --position-embedding-type rope").notes) == 1
    for line in ("--profile-step-start 4", "--moe-router-topk 1"):
        with pytest.raises(ConfigurationError, match="has no effect without"):
            config(line)


def test_multi_latent_attention_has_megatron_lms_sizes_and_rotation():
    line = "--megatron-defaults --position-embedding-type rope --disable-bias-linear --kv-channels 64 --qk-layernorm "
    model = config(line + "--multi-latent-attention --q-lora-rank 48 --v-head-dim 96").model
    assert (model.q_lora_rank, model.kv_lora_rank, model.v_head_dim) == (48, 32, 96)
    assert (model.qk_head_dim, model.qk_pos_emb_head_dim, model.kv_channels, model.rotary_interleaved) == (128, 64, 192, True)
    plain = config(line + "--kv-lora-rank 32 --v-head-dim 96").model
    assert (plain.kv_lora_rank, plain.v_head_dim, plain.kv_channels, plain.rotary_interleaved) == (None, None, 64, False)
    with pytest.raises(ConfigurationError, match="--rotary-scaling-factor 40: YaRN is not there"):
        config(line + "--multi-latent-attention --rotary-scaling-factor 40")


def test_habits_of_layouts():
    found = config("--num-experts 2 --disable-bias-linear --sequence-parallel --tensor-model-parallel-size 2", 2).flat()
    assert (found["expert_tensor_parallel_size"], found["sequence_parallel"]) == (2, True)


def test_ours_are_as_they_were():
    found = config("--no-megatron-defaults --swiglu --hidden-size 4096 --num-attention-heads 32").flat()
    assert found["ffn_hidden_size"] == 10944
    with pytest.raises(ConfigurationError, match="--sequence-parallel: splits over tensor-parallel processes"):
        config("--no-megatron-defaults --use-mcore-models --sequence-parallel")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--num-query-groups 2", "counts in Megatron-LM only beside --group-query-attention"),
    ],
)
def test_what_would_mean_something_else_is_refused(line, said):
    with pytest.raises(ConfigurationError, match=said):
        config("--megatron-defaults " + line)


def test_the_balance_is_taken_over_what_megatron_lm_takes_it_over():
    line = "--num-experts 2 --disable-bias-linear --moe-aux-loss-coeff 0.01"
    assert config(line).model.moe_router_load_balancing_type == ("aux_loss",)
    both = config(f"{line} 0.1 --moe-router-load-balancing-type seq_aux_loss global_aux_loss").model
    assert both.moe_router_load_balancing_type == ("seq_aux_loss", "global_aux_loss")
    assert both.moe_aux_loss_coeff == (0.01, 0.1)


def test_without_validation_data_nothing_is_evaluated(tmp_path):
    base = ["--data-path", "x", "--tokenizer-type", "null", "--vocab-size", "9", "--train-iters", "5000", "--megatron-defaults"]
    assert read_configuration([*base, "--split", "100,0,0"], 1).training.eval_interval is None
    assert read_configuration([*base, "--split", "1"], 1).training.eval_interval is None
    assert read_configuration([*base, "--split", "99,1,0"], 1).training.eval_interval == 1000
    base[:2] = ["--train-data-path", "x"]
    assert read_configuration(base, 1).training.eval_interval is None
    assert read_configuration([*base, "--valid-data-path", "y"], 1).training.eval_interval == 1000


def test_official_llama_3_8b():
    found = read_configuration(words(LLAMA3_8B, "/x"), 8)
    model, optimizer = found.model, found.optimizer
    assert (model.normalization, model.activation, model.position_embedding_type) == ("layernorm", "swiglu", "rope")
    assert (model.num_query_groups, model.kv_channels, model.ffn_hidden_size) == (8, 128, 14336)
    assert (model.rotary_base, model.hidden_dropout, model.attention_dropout) == (1_000_000, 0.0, 0.0)
    assert not model.add_bias_linear and model.untie_embeddings_and_output_weights
    assert (found.data.split, found.parallel.sequence_parallel, found.optimizer.zero_stage) == ("99,1,0", False, 1)
    assert (optimizer.lr, optimizer.min_lr, optimizer.lr_decay_style, optimizer.adam_eps) == (1.5e-4, 1e-5, "cosine", 1e-8)
    assert model.apply_layernorm_1p and (optimizer.decoupled_lr, optimizer.decoupled_min_lr) == (5e-4, 4.5e-5)
    assert (optimizer.lr_decay_samples, optimizer.lr_warmup_samples) == (1_949_218_748, 3_906_252)
    assert (found.parallel.fp8_format, found.parallel.attention_backend, found.training.bf16) == ("hybrid", "fused", True)
    assert found.tokenizer.tiktoken_pattern is None and found.tokenizer.vocab_size == 128_256
    # LLaMA 3 8B has 8,030,261,248 parameters with RMSNorm; LayerNorm adds a bias of 4,096 in 65 places.
    assert count(model, padded_vocab_size(128_256, model.make_vocab_size_divisible_by)).total == 8_030_261_248 + 65 * 4096
    text = "\n".join(found.notes)
    assert "since --use-mcore-models is its own" in text and "--log-throughput (always shown)" in text
    assert "--sequence-parallel is off" in text and "--tiktoken-pattern v2 is left out" in text


def test_official_gpt_3_175b(tmp_path):
    for name in ("gpt2-vocab.json", "gpt2-merges.txt"):
        (tmp_path / name).write_text("")
    found = read_configuration(words(GPT3_175B, tmp_path), 128)
    model, optimizer = found.model, found.optimizer
    assert (model.normalization, model.activation, model.position_embedding_type) == (
        "layernorm",
        "gelu_tanh",
        "learned_absolute",
    )
    assert (model.ffn_hidden_size, model.num_query_groups, model.add_bias_linear) == (49152, 96, True)
    assert (model.hidden_dropout, model.attention_dropout, model.init_method_std) == (0.1, 0.1, 0.006)
    assert not model.untie_embeddings_and_output_weights
    assert (found.tokenizer.tokenizer_type, found.training.global_batch_size) == ("gpt2_bpe", 1536)
    assert (optimizer.lr_decay_iters, optimizer.lr_warmup_fraction, optimizer.adam_beta2) == (430_000, 0.001, 0.95)
    assert found.training.fp16 and found.training.rampup_batch_size == (16, 16, 5_859_375)
    assert (optimizer.initial_loss_scale, optimizer.hysteresis) == (2**32, 2)
    # 12·L·H² + 13·L·H + (V + S)·H + 2·H: weights, biases and norms, embeddings, the last norm (arXiv:2104.04473, equation 2).
    layers, hidden = 96, 12288
    expected = 12 * layers * hidden**2 + 13 * layers * hidden + (50257 + 2048) * hidden + 2 * hidden
    assert count(model, 50257).total == expected == pytest.approx(174.6e9, rel=1e-3)
    assert "since --vocab-file is its own" in found.notes[0]
