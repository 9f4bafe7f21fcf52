"""From a command line to a frozen configuration: ranks of sources, all problems at once, the way back through YAML."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.config import Config
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.training.configuration import GROUPS, read_configuration, train_iterations

MOCK = ["--mock-data", "--tokenizer-type", "null", "--vocab-size", "100", "--train-iters", "10"]


def problems(argv, world_size=1):
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(argv, world_size)
    return caught.value.problems


def test_command_line_beats_yaml_beats_preset_beats_default(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("preset: tiny\nnum-layers: 6\nlr: 0.5\n")
    config = read_configuration(["--config", str(path), "--lr", "0.25", *MOCK], 1)
    assert (config.model.hidden_size, config.model.num_layers, config.optimizer.lr) == (64, 6, 0.25)
    assert config.optimizer.adam_beta2 == 0.95


def test_all_problems_at_once_with_flag_value_and_way_out():
    found = problems(["--num-layer", "3", "--lr", "fast", "--normalization", "rmsnrm", "--train-iters", "0", "--mock-data"])
    text = "\n".join(map(str, found))
    assert len(found) == 4
    assert "--num-layer: is not a flag; did you mean --num-layers?" in text
    assert "--lr fast: expected a number" in text
    assert "--normalization rmsnrm" in text and "did you mean rmsnorm?" in text
    assert "--train-iters 0: must be at least 1" in text


def test_checks_of_all_groups_come_together():
    found = problems(
        ["--num-layers", "3", "--pipeline-model-parallel-size", "2", "--num-attention-heads", "5", "--min-lr", "1"], 2
    )
    assert {problem.flag for problem in found} >= {"--num-layers", "--hidden-size", "--min-lr", "--data-path", "--train-iters"}


def test_yaml_of_a_configuration_gives_it_again(tmp_path):
    config = read_configuration(
        [*MOCK, "--preset", "tiny", "--recompute-granularity", "full", "--exit-duration-in-mins", "1.5", "--save", "r"], 1
    )
    path = tmp_path / "run.yaml"
    path.write_text(config.to_yaml())
    assert read_configuration(["--config", str(path)], 1) == config


def saved(path, argv, world_size=1):
    path.write_text(read_configuration(argv, world_size).to_yaml())
    return ["--config", str(path)]


def test_what_follows_from_a_flag_follows_it_with_config_too(tmp_path):
    back = saved(tmp_path / "run.yaml", MOCK)
    again = read_configuration([*back, "--hidden-size", "512", "--lr", "1e-3", "--seq-length", "1024"], 1)
    assert (again.model.ffn_hidden_size, again.model.kv_channels, again.model.max_position_embeddings) == (1408, 128, 1024)
    assert again.optimizer.min_lr == pytest.approx(1e-4)


def test_what_was_given_stays_when_another_flag_is_typed(tmp_path):
    back = saved(tmp_path / "run.yaml", [*MOCK, "--ffn-hidden-size", "100", "--min-lr", "1e-6"])
    again = read_configuration([*back, "--hidden-size", "512", "--lr", "1e-3"], 1)
    assert (again.model.ffn_hidden_size, again.optimizer.min_lr) == (100, 1e-6)


def test_a_derived_value_stands_as_recorded_unless_typed_flags_change_it(tmp_path):
    """A run made when the rule was another opens as what it was."""
    path = tmp_path / "run.yaml"
    back = saved(path, MOCK)
    path.write_text(path.read_text().replace("  ffn_hidden_size: 704\n", "  ffn_hidden_size: 640\n"))
    expected = {"": 640, "--lr 1e-3": 640, "--hidden-size 256": 640, "--hidden-size 512": 1408}
    for typed, width in expected.items():
        assert read_configuration([*back, *typed.split()], 1).model.ffn_hidden_size == width


def test_the_batch_of_a_run_is_the_same_on_other_processes(tmp_path):
    back = saved(tmp_path / "run.yaml", [*MOCK, "--micro-batch-size", "2"], world_size=4)
    for argv in ([], ["--tensor-model-parallel-size", "2"], ["--micro-batch-size", "1"]):
        assert read_configuration([*back, *argv], 2).training.global_batch_size == 8


def test_yaml_is_a_complete_record(tmp_path):
    config = read_configuration([*MOCK, "--preset", "tiny", "--num-experts", "4"], 1)
    content = yaml.safe_load(config.to_yaml())
    derived = content.pop("derived")
    assert derived["moe_ffn_hidden_size"] == 192 and not derived.keys() & content.keys()
    expected = {name: list(value) if isinstance(value, tuple) else value for name, value in config.flat().items()}
    assert {**content, **derived} == {name: value for name, value in expected.items() if value is not None}


SOME = {
    "--hidden-size": ["64", "96"], "--num-attention-heads": ["2", "4"], "--kv-channels": ["8", "32"], "--activation": ["gelu"],
    "--ffn-hidden-size": ["80"], "--num-query-groups": ["1", "2"], "--seq-length": ["16", "32"], "--num-experts": ["2", "4"],
    "--max-position-embeddings": ["32"], "--moe-ffn-hidden-size": ["24"], "--lr": ["1e-3"], "--min-lr": ["1e-5"],
    "--train-samples": ["7"], "--preset": ["tiny"],
}  # fmt: skip
FLAGS = st.dictionaries(st.sampled_from(sorted(SOME)), st.integers(0, 1)).map(
    lambda chosen: {option: SOME[option][number % len(SOME[option])] for option, number in chosen.items()}
)


@settings(max_examples=60, deadline=None)
@given(given=FLAGS, typed=FLAGS)
def test_typing_flags_beside_config_is_typing_them_at_once(given, typed, tmp_path_factory):
    typed = {option: value for option, value in typed.items() if option not in ("--preset", "--train-samples")}  # weaker, other

    def argv(flags):
        return [word for pair in flags.items() for word in pair]

    def found(flags):
        try:
            return read_configuration(flags, 1)
        except ConfigurationError as error:
            return [problem.flag for problem in error.problems]

    base = ["--mock-data", "--tokenizer-type", "null", "--vocab-size", "100", "--num-layers", "2"]
    base += [] if "--train-samples" in given else ["--train-iters", "10"]
    assume(isinstance(found([*base, *argv(given)]), Config))
    back = saved(tmp_path_factory.mktemp("yaml") / "run.yaml", [*base, *argv(given)])
    assert found([*back, *argv(typed)]) == found([*base, *argv({**given, **typed})])


def test_yaml_names_an_unknown_key_and_its_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("hiden_size: 3\n")
    (problem,) = problems(["--config", str(path)])
    assert str(problem) == f"hiden_size in {path}: is not a flag; did you mean hidden_size?"


@pytest.mark.parametrize(
    ("content", "reason"), [("a: [", "is not valid YAML"), ("- 1\n", "expected `flag: value` lines, found list")]
)
def test_broken_yaml_is_one_problem(content, reason, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    (problem,) = problems(["--config", str(path)])
    assert reason in problem.reason


def test_missing_yaml_is_one_problem():
    (problem,) = problems(["--config", "nowhere.yaml"])
    assert "cannot be read" in problem.reason


def test_configuration_is_frozen():
    config = read_configuration(MOCK, 1)
    with pytest.raises(AttributeError):
        config.model = None
    with pytest.raises(AttributeError):
        config.model.num_layers = 1


def test_length_given_by_hand_replaces_the_presets():
    config = read_configuration(["--preset", "llama-7b", *MOCK], 1)
    assert train_iterations(config) == 10


def test_length_in_tokens_or_samples_is_rounded_up_to_updates():
    base = ["--mock-data", "--tokenizer-type", "null", "--vocab-size", "100", "--seq-length", "100", "--global-batch-size", "4"]
    assert train_iterations(read_configuration([*base, "--train-tokens", "1e3"], 1)) == 3
    assert train_iterations(read_configuration([*base, "--train-samples", "5"], 1)) == 2


def test_two_lengths_contradict():
    (problem,) = problems([*MOCK, "--train-samples", "5"])
    assert problem.flag == "--train-iters and --train-samples"


def test_field_names_are_unique_over_groups():
    from megatron_ext.arguments.flags import flags_of

    names = [flag.name for group in GROUPS for flag in flags_of(group)]
    assert len(names) == len(set(names))


def test_defaults_are_the_textbooks():
    optimizer = read_configuration(MOCK, 1).optimizer
    assert (optimizer.adam_beta1, optimizer.adam_beta2, optimizer.adam_eps) == (0.9, 0.95, 1e-8)
    assert (optimizer.weight_decay, optimizer.clip_grad, optimizer.lr_decay_style) == (0.1, 1.0, "cosine")
    assert optimizer.min_lr == pytest.approx(optimizer.lr / 10)
    assert optimizer.lr_warmup_fraction == 0.005


@pytest.mark.parametrize(("argv", "says"), [
    (["--eval-iters", "3"], "--eval-iters 3: has no effect without --eval-interval"),
    (["--exit-interval", "3"], "has no effect without --save"),
    (["--moe-router-topk", "1"], "has no effect without --num-experts"),
    (["--moe-shared-expert-gate"], "has no effect without --num-experts"),
    (["--num-experts", "4", "--moe-router-load-balancing-type", "aux_loss"], "has no effect without --moe-aux-loss-coeff"),
    (["--lr-decay-samples", "9", "--lr-warmup-iters", "1"], "--lr-decay-samples and --lr-warmup-iters: count different things"),
    (["--lr-warmup-fraction", ".1", "--lr-warmup-iters", "0"], "--lr-warmup-fraction and --lr-warmup-iters: contradict"),
    (["--lr-warmup-fraction", "0.005", "--lr-warmup-samples", "9"], "--lr-warmup-fraction and --lr-warmup-samples: contradict"),
    (["--position-embedding-type", "none", "--rotary-base", "10000"],
     "--rotary-base 10000: has no effect with --position-embedding-type none; use rope or xpos, or leave it out"),
    (["--preset", "gpt3-125m", "--rotary-percent", ".5"], "--rotary-percent 0.5: has no effect with --position-embedding"),
    (["--lr-warmup-init", "1"], "--lr-warmup-init 1.0: is above --lr 0.0003"),
    (["--decoupled-min-lr", "1"], "has no effect without --decoupled-lr"),
    (["--decoupled-lr", "1e-6"], "--decoupled-min-lr (from --min-lr) 3e-05: is above --decoupled-lr 1e-06"),
    (["--fp16", "--bf16"], "--fp16 and --bf16: contradict each other"),
    (["--hysteresis", "3"], "scales the loss for fp16, and this is not"),
    (["--fp16", "--loss-scale", "8", "--hysteresis", "3"], "has no effect with --loss-scale"),
    (["--fp16", "--initial-loss-scale", "8", "--min-loss-scale", "16"], "is above --initial-loss-scale 8"),
    (["--lr", "inf"], "--lr inf: must be finite"),
    (["--train-iters", "1e400"], "--train-iters 1e400: expected a whole number"),
    (["--lr-warmup-iters", "10"], "is not below the 10 updates of the decay"),
    (["--seed", "99999999999999999999999"], "--seed"),
])  # fmt: skip
def test_what_would_do_nothing_or_break_is_refused(argv, says):
    assert says in "\n".join(map(str, problems([*MOCK, *argv])))


def test_a_typed_length_outranks_yamls(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("train_tokens: 100000\n")
    assert train_iterations(read_configuration(["--config", str(path), *MOCK], 1)) == 10


def test_a_typed_fraction_of_warm_up_outranks_steps_from_yaml(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(read_configuration([*MOCK, "--lr-warmup-iters", "3"], 1).to_yaml())
    again = ["--config", str(path)]
    assert read_configuration(again, 1).optimizer.lr_warmup_iters == 3, "its fraction is there too, and was not typed"
    optimizer = read_configuration([*again, "--lr-warmup-fraction", "0.4"], 1).optimizer
    assert (optimizer.lr_warmup_fraction, optimizer.lr_warmup_iters) == (0.4, None)


def test_what_a_run_without_rope_saved_is_taken_again(tmp_path):
    path = tmp_path / "run.yaml"
    config = read_configuration([*MOCK, "--position-embedding-type", "none"], 1)
    path.write_text(config.to_yaml())
    assert "rotary_base" in path.read_text() and read_configuration(["--config", str(path)], 1) == config


@pytest.mark.parametrize("beside", ["", "--test-data-path t", "--valid-data-path v --multiple-validation-sets"])
def test_no_batches_are_no_evaluation(beside, tmp_path):
    """As in Megatron-LM, whose scripts say it beside an interval."""
    path = tmp_path / "run.yaml"
    data = ["--train-data-path", "d"] if beside else ["--mock-data"]
    argv = [word for word in MOCK if word != "--mock-data"] + [*data, *beside.split()]
    config = read_configuration([*argv, "--eval-interval", "5", "--eval-iters", "0"], 1)
    assert (config.training.eval_interval, config.training.eval_iters) == (None, 0)
    path.write_text(config.to_yaml())
    assert read_configuration(["--config", str(path)], 1) == config


def test_a_presets_schedule_goes_with_its_length():
    optimizer = read_configuration(["--preset", "gpt3-125m", *MOCK], 1).optimizer
    assert (optimizer.lr_decay_iters, optimizer.lr_warmup_iters) == (None, None)
