"""A result's key is another one exactly where the result may be."""

import os

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine import keys
from tests.corpus.engine.runs import good, write


@pytest.mark.parametrize("flags", [["--source", "web"], ["--filters", "keywords", "--keywords", "web"]])
def test_a_word_that_is_called_as_the_output_is_just_a_word(flags, tmp_path):
    write(tmp_path / "in.jsonl", [{"text": "one web"}])
    command = ["--input", "in.jsonl", "--output", "web", "--workers", "1", *flags]
    good(*command, cwd=tmp_path)
    assert "1 of them done before" in good(*command, cwd=tmp_path).stdout


def test_more_below_the_folder_of_sources_does_not_touch_what_is_done(tmp_path):
    write(tmp_path / "raw" / "a" / "1.jsonl", [{"text": "one"}])
    command = ["--input", "raw/**/*.jsonl", "--sources-below", "raw", "--output", "out", "--workers", "1"]
    good(*command, cwd=tmp_path)
    write(tmp_path / "raw" / "b" / "1.jsonl", [{"text": "two"}])
    assert "1 of them done before" in good(*command, cwd=tmp_path).stdout


def test_files_count_by_what_they_are_now_and_folders_where_they_are_read(tmp_path):
    path = write(tmp_path / "sets" / "a.jsonl", [{"text": "one"}])
    values = {"keyword_files": (str(path),), "decontaminate": (str(path.parent),), "source": str(path.parent)}
    told = [list(keys.said({name: value})) for name, value in values.items()]
    os.utime(path, ns=(1, 1))
    again = [list(keys.said({name: value})) for name, value in values.items()]
    assert [one == other for one, other in zip(told, again)] == [False, False, True]


def test_what_lies_beside_a_model_is_a_part_of_it(tmp_path):
    """Percentiles, thresholds and tokenizers are written beside it; an encoder is a folder."""
    model, folder = write(tmp_path / "en.arpa", [{}]), tmp_path / "encoder"
    write(folder / "config.json", [{}])
    for name, value, beside in [
        ("perplexity_models", (str(model),), tmp_path / "en.arpa.json"),
        ("perplexity_models", (str(model),), tmp_path / "en.arpa.tokenizer"),
        ("classifier_model", (str(folder),), tmp_path / "encoder.json"),
        ("classifier_model", (f"{folder}/",), folder / "model.safetensors"),
    ]:
        before = list(keys.said({name: value}))
        write(beside, [{"threshold": 0.5}])
        assert list(keys.said({name: value})) != before


def test_versions_of_what_looks_at_texts_count():
    assert {each.split()[0] for each in keys.versions()} >= {"megatron-ext", "resiliparse", "phonenumbers", "icu4py"}
    before = keys.digest("x")
    keys.versions().append("another 1.0")
    try:
        assert keys.digest("x") != before
    finally:
        keys.versions().pop()


def test_other_versions_are_told_by_name():
    keys.check_versions(keys.versions())
    old = ["regex 2020.1.1" if each.startswith("regex ") else each for each in keys.versions()]
    with pytest.raises(UserError, match=r"has other versions .*: newer missing and not 1, regex \S+ and not 2020.1.1; install"):
        keys.check_versions([*old, "newer 1"])
