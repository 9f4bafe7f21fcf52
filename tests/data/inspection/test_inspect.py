"""What is known of a pair, with the tokenizer of its sidecar, of flags, or none."""

from __future__ import annotations

import shutil

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.data.inspection.flags import InspectFlags, OptionalTokenizerFlags
from megatron_ext.data.inspection.inspect import inspect, lines
from megatron_ext.data.preprocess.flags import PreprocessFlags
from megatron_ext.data.preprocess.pipeline import preprocess
from megatron_ext.tokenizers.flags import TokenizerFlags
from tests import texts
from tests.data.pairs import write_pair

TEXTS = ["one 中文", "  two\n", "three three"]


@pytest.fixture
def prefix(tmp_path):
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    source = texts.write_jsonl(tmp_path / "a.jsonl", TEXTS)
    flags = TokenizerFlags(tokenizer_type="huggingface", tokenizer_model=str(tmp_path / "tokenizer.json"))
    output = PreprocessFlags(output_prefix=str(tmp_path / "x"), append_eod=True, workers=1)
    preprocess(InputFlags(input=(str(source),)), flags, output)
    return str(tmp_path / "x_text_document")


def found(*argv):
    config = read([InspectFlags, OptionalTokenizerFlags], ["--data-path", *map(str, argv)], "x", "")
    return inspect(config.inspection, config.tokenizer)


def test_documents_as_text_by_the_sidecars_tokenizer(prefix):
    shown = found(prefix, "--document", 2, 0)
    assert [each["text"] for each in shown["texts"]] == [TEXTS[2], TEXTS[0]]
    assert [each["ids"][-1] for each in shown["texts"]] == [0, 0]
    assert (shown["documents"], shown["dtype"], shown["append_eod"], shown["note"]) == (3, "uint16", True, None)
    assert dict(lines(shown))["tokenizer"].startswith(shown["tokenizer"]["flags"]["tokenizer_model"])


def test_everything_at_once(prefix):
    shown = found(prefix, "--statistics", "--checksum", "--verify")
    assert shown["damage"] is None and len(shown["checksum"]) == 32
    assert shown["statistics"]["tokens"]["documents_that_end_with_eod"] == 1
    assert {"verified", "checksum", "percentiles", "eod"} <= dict(lines(shown)).keys()
    assert all(isinstance(row[2], str) for row in shown["statistics"]["tokens"]["most_common"])


def test_ids_where_the_tokenizer_is_gone_or_changed_and_text_where_flags_name_it(prefix, tmp_path):
    shutil.move(tmp_path / "tokenizer.json", tmp_path / "moved.json")
    shown = found(prefix, "--document", 0)
    assert shown["texts"][0]["text"] is None and "is not there; name it with --tokenizer-model" in shown["note"]
    assert " ".join(map(str, shown["texts"][0]["ids"])) in [line for _, line in lines(shown)]
    assert found(prefix, "--document", 0, "--tokenizer-model", tmp_path / "moved.json")["texts"][0]["text"] == TEXTS[0]
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json(500))
    assert "has changed since" in found(prefix, "--document", 0)["note"]
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "cannot be loaded" in found(prefix, "--document", 0)["note"]
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json(500))
    with pytest.raises(UserError, match="made with another tokenizer"):
        found(prefix, "--tokenizer-model", tmp_path / "tokenizer.json")


def test_pairs_without_a_sidecar(tmp_path):
    prefix = write_pair(tmp_path / "a", [[1, 2], [3]])
    shown = found(prefix, "--document", 1, "--verify", "--statistics")
    assert (shown["texts"][0]["ids"], shown["damage"], shown["tokenizer"]) == ([3], None, None)
    assert dict(lines(shown))["tokenizer"] == "not known: no .json beside it names it"


def test_what_is_not_there_is_a_sentence(prefix):
    with pytest.raises(UserError, match="--document 3: there are 3 documents, 0 to 2"):
        found(prefix, "--document", 3)
    with pytest.raises(ConfigurationError, match="must be at least 0"):
        found(prefix, "--document", -1)
    with pytest.raises(ConfigurationError, match="--data-path: is missing"):
        read([InspectFlags, OptionalTokenizerFlags], [], "x", "")
    with pytest.raises(ConfigurationError, match="--tokenizer-model none: is not there"):
        found(prefix, "--tokenizer-model", "none")
