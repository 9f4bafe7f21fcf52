"""What is wrong with the flags of the data is said before anything is opened."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.training.configuration import read_configuration

BASE = ["--preset", "tiny", "--vocab-size", "100", "--tokenizer-type", "null"]


@pytest.mark.parametrize(("argv", "problem"), [
    ("", "--data-path: is missing"),
    ("--data-path a --train-data-path b", "--data-path and --train-data-path: contradict each other"),
    ("--data-path a --data-args-path f", "--data-path and --data-args-path: contradict each other"),
    ("--mock-data --valid-data-path a --eval-interval 1", "--mock-data: contradicts --valid-data-path"),
    ("--mock-data --full-validation --eval-interval 1", "--full-validation: has no meaning for --mock-data"),
    ("--mock-data --multiple-validation-sets --eval-interval 1", "--multiple-validation-sets: has no meaning for --mock-data"),
    ("--mock-data --data-cache-path c", "--data-cache-path c: has no meaning for --mock-data, which reads no files"),
    ("--mock-data --mmap-bin-files", "--mmap-bin-files: has no meaning for --mock-data, which reads no files"),
    ("--data-path 0.5 a 0.5", "--data-path: has 3 words, and weights and prefixes come in pairs"),
    ("--data-path 0.5 a x b", "--data-path: has x where a weight should stand, before b"),
    ("--data-path -1 a 2 b", "--data-path: gives a the weight -1"),
    ("--data-path 0 a 2 b", "--data-path: gives a the weight 0, so nothing of it would be read"),
    ("--train-data-path a --valid-data-path b b --eval-interval 1", "--valid-data-path: names b twice"),
    ("--train-data-path a --valid-data-path 1 b 2 c --eval-interval 1 --full-validation",
     "--valid-data-path: has weights, which --full-validation does not use"),
    ("--train-data-path a --valid-data-path 1 b 2 c --eval-interval 1 --multiple-validation-sets",
     "--valid-data-path: has weights, which --multiple-validation-sets does not use"),
    ("--data-path a --split 0,1", "--split 0,1: must be up to three shares, the first above 0"),
    ("--data-path a --split 1,nan", "--split 1,nan: must be up to three shares"),
    ("--data-path a --split some", "--split some: is not a list of shares"),
    ("--train-data-path a --split 9,1", "--split 9,1: has no effect with --train-data-path"),
    ("--train-data-path a --eval-interval 5", "--eval-interval 5: needs validation data"),
    ("--data-path a --test-data-path b --eval-interval 5", "--eval-interval 5: needs validation data"),
    ("--data-path a --full-validation", "--full-validation: has no effect without --eval-interval"),
    ("--data-path a --multiple-validation-sets", "--multiple-validation-sets: has no effect without --eval-interval"),
    ("--data-path a --eval-iters 3", "--eval-iters 3: has no effect without --eval-interval"),
    ("--data-path a --eval-interval 5 --full-validation --eval-iters 3", "--eval-iters 3: has no effect with --full-validation"),
    ("--data-path a --num-workers -1", "--num-workers -1: must be at least 0"),
])  # fmt: skip
def test_problems(argv, problem):
    with pytest.raises(ConfigurationError) as caught:
        read_configuration([*BASE, *argv.split()], 1)
    (found,) = caught.value.problems
    assert str(found).startswith(problem)


@pytest.mark.parametrize("argv", [
    "--data-path a",
    "--data-path 0.7 a 0.3 b --eval-interval 5",
    "--train-data-path a b --valid-data-path c d --eval-interval 5 --multiple-validation-sets --full-validation",
    "--data-path a --test-data-path b --full-validation",
    "--data-args-path f --num-workers 0 --no-mmap-bin-files --data-cache-path c",
    "--mock-data --split 99,1,0 --no-mmap-bin-files",
    "--mock-data --split 99,1,0 --data-cache-path c --no-mmap-bin-files --megatron-defaults",
])  # fmt: skip
def test_no_problems_and_yaml_gives_the_same(argv, tmp_path):
    config = read_configuration([*BASE, *argv.split()], 1)
    (tmp_path / "run.yaml").write_text(config.to_yaml())
    assert read_configuration(["--config", str(tmp_path / "run.yaml")], 1) == config
