"""What is seen from the file, and what is said when something is missing or has no effect."""

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import LOADERS, TokenizerFlags, TrainTokenizerFlags
from tests import texts


def parse(*argv):
    return read([TokenizerFlags], argv, "x", "").tokenizer


def problems(*argv):
    with pytest.raises(ConfigurationError) as caught:
        parse(*argv)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("name", "make", "kind"),
    [
        ("tokenizer.json", lambda: texts.byte_level_bpe_json().encode(), "huggingface"),
        ("tokenizer.model", texts.sentencepiece_model, "sentencepiece"),
        ("cl100k_base.tiktoken", texts.tiktoken_file, "tiktoken"),
        ("x.tiktoken.json", texts.megatron_tiktoken_file, "tiktoken"),
    ],
)
def test_the_kind_is_seen_from_the_file_or_its_folder(tmp_path, name, make, kind):
    (tmp_path / name).write_bytes(make())
    for given in (tmp_path / name, tmp_path):
        flags = parse("--tokenizer-model", str(given))
        assert flags.tokenizer_type == kind
        assert build(flags).vocab_size > 256


def test_llama_3s_tokenizer_model_is_tiktokens(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(texts.tiktoken_file())
    assert "--tiktoken-pattern" in problems("--tokenizer-model", str(tmp_path))[0]
    flags = parse("--tokenizer-model", str(tmp_path), "--tiktoken-pattern", "llama3")
    assert flags.tokenizer_type == "tiktoken"
    assert build(flags).vocab_size == len(texts.ranks()) + 256


def test_a_size_alone_means_the_null_tokenizer():
    assert parse("--vocab-size", "50").tokenizer_type == "null"


def test_megatron_lms_names(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(texts.sentencepiece_model())
    assert (
        parse("--tokenizer-type", "SentencePieceTokenizer", "--tokenizer-model", str(tmp_path)).tokenizer_type == "sentencepiece"
    )
    for name in ("GPTSentencePieceTokenizer", "Llama2Tokenizer"):
        assert parse("--tokenizer-type", name, "--tokenizer-model", str(tmp_path)).tokenizer_type == "sentencepiece"
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    assert build(parse("--tokenizer-type", "HuggingFaceTokenizer", "--tokenizer-model", str(tmp_path))).vocab_size == 600
    null = parse("--tokenizer-type", "NullTokenizer", "--vocab-size", "9")
    assert (null.tokenizer_type, build(null).vocab_size, build(null).eod) == ("null", 9, 8)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--tokenizer-model: is missing"),
        (["--tokenizer-type", "huggingface"], "--tokenizer-model: is missing for --tokenizer-type huggingface"),
        (["--tokenizer-model", "no/such"], "--tokenizer-model no/such: is not there"),
        (["--tokenizer-model", __file__], "is of no known kind"),
        (["--tokenizer-type", "null"], "--vocab-size: is missing"),
        (["--tokenizer-type", "null", "--vocab-size", "9", "--eod-token", "x"], "--eod-token x: has no effect"),
        (["--vocab-size", "9", "--tiktoken-pattern", "gpt2"], "--tiktoken-pattern gpt2: has no effect"),
        (["--vocab-size", "9", "--tiktoken-num-special-tokens", "9"], "--tiktoken-num-special-tokens 9: has no effect"),
        (["--tokenizer-type", "sentencepiecs"], "did you mean sentencepiece?"),
    ],
)
def test_problems(argv, said):
    assert any(said in problem for problem in problems(*argv)), problems(*argv)


def test_a_folder_without_a_tokenizer_of_the_kind(tmp_path):
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    found = problems("--tokenizer-model", str(tmp_path), "--tokenizer-type", "sentencepiece")
    assert "tokenizer.model" in found[0]


def test_a_model_may_have_more_entries_than_the_tokenizer_and_not_fewer(tmp_path):
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    for size, entries in (((), 600), (("--vocab-size", "600"), 600), (("--vocab-size", "640"), 640)):
        tokenizer = build(parse("--tokenizer-model", str(tmp_path), *size))
        assert (tokenizer.vocab_size, tokenizer.model_entries) == (600, entries)
    with pytest.raises(
        UserError, match=": has 600 entries, and the model has --vocab-size 599 .typed, in run.yaml, or the vocab"
    ):
        build(parse("--tokenizer-model", str(tmp_path), "--vocab-size", "599"))


def test_the_end_token_can_be_named(tmp_path):
    (tmp_path / "cl100k.tiktoken").write_bytes(texts.tiktoken_file())
    flags = parse("--tokenizer-model", str(tmp_path), "--eod-token", "<|endofprompt|>")
    assert build(flags).eod == len(texts.ranks()) + 20


def test_every_loader_can_load():
    assert list(LOADERS) == ["gpt2_bpe", "huggingface", "null", "sentencepiece", "tiktoken"]
    assert all(callable(LOADERS.load(name).load) for name in LOADERS)


def test_the_training_tool_needs_an_output_and_an_end_token():
    with pytest.raises(ConfigurationError, match="--output: is missing"):
        read([TrainTokenizerFlags], [], "x", "")
    with pytest.raises(ConfigurationError, match="--eod-token"):
        read([TrainTokenizerFlags], ["--output", "x", "--eod-token", ""], "x", "")
