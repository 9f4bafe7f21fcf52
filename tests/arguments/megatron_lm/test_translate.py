"""Spellings of Megatron-LM's on the command line: what they set, what is said of them, and what is refused."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.megatron_lm.rows import PREPROCESS, PRETRAIN, REFUSED
from megatron_ext.arguments.megatron_lm.table import rows
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.training.configuration import read_configuration

MOCK = ["--mock-data", "--tokenizer-type", "null", "--vocab-size", "100", "--train-iters", "10", "--no-megatron-defaults"]


def config(line, world_size=1):
    return read_configuration([*MOCK, *line.split()], world_size)


def problems(line, world_size=1):
    with pytest.raises(ConfigurationError) as caught:
        config(line, world_size)
    return "\n".join(map(str, caught.value.problems))


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("--swiglu", "activation", "swiglu"),
        ("--disable-bias-linear", "add_bias_linear", False),
        ("--use-distributed-optimizer", "zero_stage", 1),
        ("--use-rotary-position-embeddings", "position_embedding_type", "rope"),
        ("--squared-relu", "activation", "squared_relu"),
        ("--quick-geglu", "activation", "quick_geglu"),
        ("--layernorm-epsilon 1e-3", "norm_epsilon", 1e-3),
        ("--normalization RMSNorm", "normalization", "rmsnorm"),
        ("--normalization LayerNorm", "normalization", "layernorm"),
        ("--position-embedding-type learned_absolute", "position_embedding_type", "learned_absolute"),
        ("--encoder-num-layers 6", "num_layers", 6),
        ("--encoder-seq-length 128", "seq_length", 128),
        ("--group-query-attention", "num_query_groups", 1),
        ("--group-query-attention --num-query-groups 2", "num_query_groups", 2),
        ("--spec local", "transformer_impl", "local"),
        ("--transformer-impl te", "transformer_impl", "transformer_engine"),
        ("--enable-cuda-graph", "cuda_graph_impl", "local"),
        ("--enable-cuda-graph --cuda-graph-scope full", "cuda_graph_scope", None),
        ("--enable-cuda-graph --cuda-graph-scope attn mlp", "cuda_graph_scope", ("attn", "mlp")),
        ("--lr-decay-style inverse-square-root", "lr_decay_style", "inverse_square_root"),
        ("--no-gradient-accumulation-fusion", "gradient_accumulation_fusion", False),
        ("--optimizer AdamW", "optimizer", "adam"),
        ("--recompute-granularity selective", "recompute_granularity", None),
        ("--split '99,1,0'", "split", "99,1,0"),
        ("--rotary-base 1000000", "rotary_base", 1_000_000),
        ("--lr-warmup-fraction .001", "lr_warmup_fraction", 0.001),
        ("--lr 5.0e-4", "lr", 5e-4),
        ("--lr=5.0e-4", "lr", 5e-4),
        ("--layernorm-epsilon=1e-3", "norm_epsilon", 1e-3),
        ("--num_layers 6", "num_layers", 6),
        ("--lr_warmup_fraction=.5", "lr_warmup_fraction", 0.5),
        ("--persistent-save-interval 7 --save x", "save_interval", 7),
        ("--save-retain-interval 8 --save x", "keep_every", 8),
        ("--save-retain-interval 8 --save x", "keep_last", 1),
        ("--most-recent-k 3 --save x", "keep_last", 3),
        ("--override-opt_param-scheduler", "override_opt_param_scheduler", True),
        ("--swiglu --swiglu --activation swiglu", "activation", "swiglu"),
        ("--num-layers 3 --num-layers 6", "num_layers", 6),
        ("--disable-bias-linear --no-add-bias-linear", "add_bias_linear", False),
        ("--add-bias-linear --no-add-bias-linear --add-bias-linear", "add_bias_linear", True),
    ],
)
def test_what_a_spelling_sets(line, field, value):
    assert config(line).flat()[field] == value


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--swiglu --activation gelu", "--swiglu and --activation gelu: contradict each other; give one"),
        ("--disable-bias-linear --add-bias-linear", "--disable-bias-linear and --add-bias-linear: contradict each other"),
        ("--encoder-num-layers 4 --num-layers 8", "--encoder-num-layers and --num-layers: contradict each other"),
        ("--layernorm-epsilon small", "--layernorm-epsilon small: expected a number"),
        ("--encoder-num-layers 0", "--encoder-num-layers 0: must be at least 1"),
        ("--layernorm_epsilon small", "--layernorm_epsilon small: expected a number"),
        ("--encoder-seq-length 9 --max-position-embeddings 8", "--max-position-embeddings 8: is below --seq-length 9"),
        ("--use-legacy-models", "--use-legacy-models: the models of before Megatron-Core are not there"),
        ("--yaml-cfg x.yaml", "--yaml-cfg x.yaml: is not there; use --config"),
        ("--use-mp-args-from-checkpoint-args", "is not there: a checkpoint fits every layout"),
        ("--apply-query-key-layer-scaling", "--apply-query-key-layer-scaling: would divide scores"),
        ("--batch-size 4", "use --micro-batch-size"),
        ("--ckpt-format torch", "--ckpt-format torch: only torch_dist is there"),
        ("--recompute-modules core_attn mlp", "--recompute-modules mlp: use --recompute-granularity full"),
        ("--spec a.b c", "--spec a.b: only local can be named"),
        ("--cuda-graph-impl transformer_engine", "--cuda-graph-impl transformer_engine: is not there; use local"),
        ("--optimizer muon", "--optimizer muon: is not there; use adam"),
        ("--tokenizer-type BertWordPieceCase", "--tokenizer-type BertWordPieceCase: belongs to BERT"),
        ("--no-position-embedding --position-embedding-type learned_absolute", "--no-position-embedding: contradicts positions"),
        ("--num-experts 4 --moe-router-load-balancing-type sinkhorn", "expected one of aux_loss, global_aux_loss"),
        ("--layernorm-epsilon", "--layernorm-epsilon: expected one argument"),
        ("--fp9-format x", "--fp9-format: is not a flag"),
    ],
)
def test_what_is_refused_names_what_was_typed(line, said):
    assert said in problems(line)


def test_a_check_of_our_flag_names_the_option_that_was_typed():
    assert "--persistent-save-interval (here --save-interval) 3: needs a folder" in problems("--persistent-save-interval 3")
    assert "--save-interval 3: needs a folder" in problems("--save-interval 3")


def test_a_word_that_is_nearly_a_flag_is_led_to_one_that_is_taken():
    assert "did you mean --use-flash-attn?" in problems("--use-flash-att")
    assert "did you mean --wandb-project?" not in problems("--wandb-projct x")


@pytest.mark.parametrize("program", [PRETRAIN, PREPROCESS])
def test_every_refused_flag_is_refused_with_its_reason(program):
    refused = [row for row in rows(program).values() if row.fate == REFUSED]
    assert len(refused) > 10
    line = [word for row in refused for word in (row.option, *(["1"] if row.arity else []))]
    groups = [TokenizerFlags]
    with pytest.raises(ConfigurationError) as caught:
        read(groups, [*line, "--vocab-size", "9"], program, "")
    said = {problem.flag: problem.reason for problem in caught.value.problems}
    assert said == {row.option: row.why for row in refused}


def test_what_has_no_effect_is_listed_in_one_line_by_reason():
    notes = config("--use-mcore-models --no-masked-softmax-fusion --no-rope-fusion").notes
    assert notes == (
        "without effect: --use-mcore-models (there are no other models); --no-masked-softmax-fusion, --no-rope-fusion "
        "(changes speed alone)",
    )
    assert config("").notes == ()


def test_of_values_too():
    (note,) = config("--recompute-granularity selective").notes
    assert note == "without effect: --recompute-granularity selective (attention keeps no scores that could be recomputed)"


def test_a_flag_of_another_program_is_none():
    with pytest.raises(ConfigurationError, match="--vocab: is not a flag"):
        config("--vocab x")
    flags = read([TokenizerFlags], ["--vocab", __file__, "--merge-file", __file__], PREPROCESS, "").tokenizer
    assert flags.vocab_file == __file__


def test_words_of_yaml_are_translated_and_refused_alike(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("normalization: LayerNorm\noptimizer: adamw\n")
    found = config(f"--config {path}")
    assert (found.model.normalization, found.optimizer.optimizer) == ("layernorm", "adam")
    path.write_text("optimizer: sgd\n")
    assert problems(f"--config {path}").endswith(f"optimizer in {path} sgd: is not there; use adam")
