"""Against tiktoken's own encodings and megatron-core's reader of the JSON form."""

import base64

import pytest
import tiktoken

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers import patterns
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.byte_pairs import LONGEST_RUN, BytePairs
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.tokenizers.loaders.tiktoken import TiktokenTokenizer
from megatron_ext.tokenizers.patterns import CONTROL_TOKENS, PATTERNS, pattern_of_file
from tests import texts


def write(folder, content, name="x.tiktoken"):
    file = folder / name
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("pattern", PATTERNS)
def test_ids_are_those_of_tiktoken(tmp_path, pattern):
    ours = TiktokenTokenizer(write(tmp_path, texts.tiktoken_file()), pattern)
    ranks = {token: rank for rank, token in enumerate(texts.ranks())}
    theirs = tiktoken.Encoding("x", pat_str=PATTERNS[pattern], mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 9999})
    for text in (*texts.library_texts(), *texts.HARD):
        assert ours.encode(text) == theirs.encode(text, disallowed_special=())


def test_the_pattern_decides_what_may_be_merged(tmp_path):
    """Numbers: GPT-2 takes them whole, Llama 3 three digits at a time, Megatron-LM's v2 one."""
    ranks = [bytes([byte]) for byte in range(256)] + [b"12", b"34", b"1234"]
    file = write(tmp_path, b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(ranks)))
    ids = {name: TiktokenTokenizer(file, name).encode("1234") for name in ("gpt2", "llama3", "v2")}
    assert ids == {"gpt2": [258], "llama3": [256, ord("3"), ord("4")], "v2": list(b"1234")}
    assert TiktokenTokenizer(file, "12|.").encode("1234") == [256, ord("3"), ord("4")]


def test_megatron_cores_reader_gives_the_same_ids(tmp_path):
    from megatron.core.tokenizers.text.libraries.tiktoken_tokenizer import TikTokenTokenizer

    file = write(tmp_path, texts.megatron_tiktoken_file(), "x.json")
    size = 1000 + len(texts.ranks())
    for pattern in ("v1", "v2"):
        ours, theirs = TiktokenTokenizer(file, pattern), TikTokenTokenizer(str(file), pattern=pattern, vocab_size=size)
        assert (ours.vocab_size, ours.eod) == (theirs.vocab_size, theirs.eod) == (size, 2)
        for text in texts.library_texts():
            assert ours.encode(text) == theirs.text_to_ids(text)
    assert TiktokenTokenizer(file, "v2", vocab_size=size - 100).vocab_size == size - 100


def test_the_number_of_special_tokens_can_be_told(tmp_path):
    from megatron.core.tokenizers.text.libraries.tiktoken_tokenizer import TikTokenTokenizer

    file = write(tmp_path, texts.megatron_tiktoken_file(), "x.json")
    argv = ["--tokenizer-type", "TikTokenizer", "--tokenizer-model", str(file), "--tiktoken-pattern", "v2"]
    ours = build(read([TokenizerFlags], [*argv, "--tiktoken-num-special-tokens", "20"], "x", "").tokenizer)
    size = 20 + len(texts.ranks())
    theirs = TikTokenTokenizer(str(file), pattern="v2", vocab_size=size, num_special_tokens=20)
    assert (ours.vocab_size, ours.eod) == (theirs.vocab_size, theirs.eod) == (size, 2)
    for text in texts.library_texts(5):
        assert ours.encode(text) == theirs.text_to_ids(text)
    with pytest.raises(UserError, match="--tiktoken-num-special-tokens 20: .* is not of Megatron-LM's JSON form"):
        TiktokenTokenizer(write(tmp_path, texts.tiktoken_file()), "gpt2", control_count=20)


def test_control_tokens_lie_where_the_published_encodings_have_them(tmp_path):
    published = {
        "cl100k": (100_256, 100_257, 100_277),
        "o200k": (199_998, 199_999, 200_019),
        "llama3": (128_000, 128_001, 128_256),
    }
    for name, (ranks, end, size) in published.items():
        places = CONTROL_TOKENS[name]
        assert ranks + places.get("<|endoftext|>", places.get("<|end_of_text|>")) == end
        assert ranks + max(places.values()) + 1 == size
    assert 128_000 + CONTROL_TOKENS["llama3"]["<|eot_id|>"] == 128_009
    assert 128_000 + CONTROL_TOKENS["llama3"]["<|reserved_special_token_250|>"] == 128_255
    ours = TiktokenTokenizer(write(tmp_path, texts.tiktoken_file()), "gpt2")
    assert (ours.eod, ours.vocab_size) == (len(texts.ranks()), len(texts.ranks()) + 1)


def test_unused_ids_stand_for_no_text(tmp_path):
    ours = TiktokenTokenizer(write(tmp_path, texts.tiktoken_file()), "cl100k")
    unused = len(texts.ranks())
    assert ours.token_bytes()[unused] == 0
    assert ours.decode([unused, ord("a")]) == "a"


def test_endless_white_space_is_refused_by_tiktoken_and_nothing_less_is(tmp_path):
    ours = TiktokenTokenizer(write(tmp_path, texts.tiktoken_file()), "llama3")
    just = " " * (LONGEST_RUN - 1) + "x"
    assert ours.decode(ours.encode(" " + just)) == " " + just
    ours.take_the_slow_way()
    assert ours.decode(ours.encode(just)) == just
    with pytest.raises(ValueError, match="white-space"):
        ours.encode(" " + just)


def test_both_ways_agree_and_a_difference_is_found_by_text_and_byte(tmp_path):
    ours = TiktokenTokenizer(write(tmp_path, texts.tiktoken_file()), "llama3")
    some = [*texts.HARD, *texts.library_texts(5)]
    assert ours.difference(some) is None
    quick = ours.encode_flat(some, ours.eod)
    ours._encoding._native = BytePairs(
        patterns.PATTERNS["gpt2"], {token: rank for rank, token in enumerate(texts.ranks())}
    )._native
    assert ours.difference(["a b", "ab:\nx"]) == (1, 2)  # GPT-2 cuts before the line end, Llama 3 behind it
    ours.take_the_slow_way()
    assert ours.difference(some) is None
    assert all((ours.encode_flat(some, ours.eod)[part] == quick[part]).all() for part in (0, 1))


def test_patterns_by_the_files_name():
    assert pattern_of_file("a/cl100k_base.tiktoken") == "cl100k"
    assert pattern_of_file("a/o200k_base.tiktoken") == "o200k"
    assert pattern_of_file("a/multiMixV8.json") == "v2"
    assert pattern_of_file("a/tokenizer.model") is None


@pytest.mark.parametrize("content", [b"", b"hello", b"aGk= x\n", b"?? 1\n", b"[{}]", b"[1"])
def test_a_broken_file_is_one_sentence(tmp_path, content):
    with pytest.raises(UserError, match="is not a file of tiktoken ranks"):
        TiktokenTokenizer(write(tmp_path, content), "gpt2")


def test_a_pattern_that_is_none_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="--tiktoken-pattern"):
        TiktokenTokenizer(write(tmp_path, texts.tiktoken_file()), "(")
