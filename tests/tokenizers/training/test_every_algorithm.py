"""What holds for every algorithm: lossless, names of control tokens are text, ids in their order, the same bytes every time."""

import hashlib
import os
import pathlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.flags import ALGORITHMS, TrainTokenizerFlags, control_names
from megatron_ext.tokenizers.special_tokens import FAMILIES
from tests import texts

ROOT = pathlib.Path(__file__).resolve().parents[3]
LOSSLESS = ("bpe", "byte_level_bpe", "sentencepiece_bpe", "sentencepiece_unigram", "unigram", "wordpiece")
WITH_UNKNOWN = ("sentencepiece_bpe", "sentencepiece_unigram", "unigram")
# A word of the texts as a control token: only by cutting it up is it not learned.
FLAGS = dict(special_tokens=tuple(FAMILIES), extra_ids=5, additional_special_tokens=("self", "<a b>"))
NAMES = control_names(TrainTokenizerFlags(**FLAGS))
TRICKY = [
    *NAMES,
    *(
        "<unk>",
        "[UNK]",
        "<|reserved_0|>",
        "<0x41>",
        "<0xE2><0x96>",
        "\u2581",
        " \u2581 ",
        "\u2585",
        "\x00",
        "\U000f0000",
        "\U000f0002",
    ),
    *(
        "\U0010ffff",
        "\ufeff",
        "e\u0301\u0302",
        "\u202eabc\u202c",
        "שלום",
        "👩‍👩‍👧‍👦",
        "\t\t",
        "\r\n",
        "   ",
        "selfself",
        "<<sop>",
        "12 34",
    ),
]


@pytest.fixture(scope="module", params=LOSSLESS)
def named(request, tmp_path_factory):
    return request.param, texts.load(texts.learned(request.param, **FLAGS), tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def tokenizer(named):
    return named[1]


def check(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.token_bytes()[ids].sum() == len(text.encode())
    assert not set(ids) & set(tokenizer.control_tokens.values())
    assert tokenizer.encode_batch([text, "a\u2581b"])[0] == ids


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(TRICKY), max_size=8).map("".join))
@settings(max_examples=120, deadline=None)
def test_any_text_comes_back_and_gives_no_control_token(tokenizer, text):
    check(tokenizer, text)


def test_real_and_hard_texts_come_back(tokenizer):
    for text in (*TRICKY, *texts.HARD, *texts.library_texts(), "".join(TRICKY)):
        check(tokenizer, text)


@pytest.mark.parametrize("text", ["\ud800", "ab\udfffcd", "中\udc00"])
def test_half_a_surrogate_pair_is_refused(tokenizer, text):
    for encode in (tokenizer.encode, lambda text: tokenizer.encode_batch(["a", text])):
        with pytest.raises(ValueError, match=r"half a surrogate pair, U\+D[8CF]..?, at character [012] is no text"):
            encode(text)


def test_ids_the_end_of_a_document_then_control_tokens_then_the_rest(named):
    algorithm, tokenizer = named
    first = 2 if algorithm in WITH_UNKNOWN else 1
    expected = {name: number for number, name in enumerate(NAMES[1:], first)} | {NAMES[0]: 0}
    assert tokenizer.eod == 0 and tokenizer.control_tokens == expected
    assert tokenizer.vocab_size == 800
    sizes = tokenizer.token_bytes()
    assert not sizes[: len(NAMES) + first - 1].any() and sizes[len(NAMES) + first - 1 :].all()


def test_all_of_its_entries_are_learned_for_a_reason(tokenizer):
    """Of what is not a byte or a control token, nearly all is used by the texts that it was learned from."""
    used = set().union(*map(set, tokenizer.encode_batch(texts.library_texts())))
    learned = {number for number, size in enumerate(tokenizer.token_bytes()) if size > 1}
    assert len(learned & used) > 0.85 * len(learned)


@pytest.mark.parametrize("algorithm", LOSSLESS)
def test_the_vocabulary_is_filled_with_reserved_control_tokens(tmp_path, algorithm):
    found = texts.learned(algorithm, make_vocab_size_divisible_by=64, tensor_model_parallel_size=3)
    padded, plain = texts.load(found, tmp_path), texts.load(texts.learned(algorithm), tmp_path)
    more = padded.vocab_size - plain.vocab_size
    assert padded.vocab_size == 960 and more == 160
    assert [padded.control_tokens[f"<|reserved_{number}|>"] for number in range(more)] == list(range(800, 960))
    assert not padded.token_bytes()[800:].any()
    assert [padded.encode(text) for text in texts.HARD] == [plain.encode(text) for text in texts.HARD]
    assert padded.decode([1, 900, *padded.encode("abc"), 959]).endswith("abc")


@pytest.mark.parametrize("algorithm", LOSSLESS)
def test_digits(algorithm, tmp_path):
    years = [f"year {number} and " for number in range(100, 400)] * 5
    longest = {}
    for split in (True, False):
        flags = TrainTokenizerFlags(vocab_size=420, split_digits=split)
        tokenizer = texts.load(ALGORITHMS.load(algorithm).train(years, flags), tmp_path)
        longest[split] = max(sum(c.isdigit() for c in tokenizer.decode([number])) for number in range(tokenizer.vocab_size))
    assert longest[True] == 1 and longest[False] > 1


@pytest.mark.parametrize("algorithm", [name for name in LOSSLESS if name not in ("byte_level_bpe", "wordpiece")])
def test_rare_characters_are_bytes_and_without_bytes_unknown(algorithm, tmp_path):
    documents = ["the common words of a text " * 40, "ж"]
    train = ALGORITHMS.load(algorithm).train
    for coverage, entries in ((0.99, 0), (1.0, 1)):
        tokenizer = texts.load(train(documents, TrainTokenizerFlags(vocab_size=330, character_coverage=coverage)), tmp_path)
        check(tokenizer, "aж中")
        assert (len(tokenizer.encode("ж")) == 1) == bool(entries)
    flags = TrainTokenizerFlags(vocab_size=330, character_coverage=1.0, byte_fallback=False)
    tokenizer = texts.load(train(documents, flags), tmp_path)
    assert tokenizer.vocab_size < 256
    check(tokenizer, "the ж")
    assert "中" not in tokenizer.decode(tokenizer.encode("a中"))
    assert tokenizer.token_bytes()[tokenizer.encode("中")].sum() == 0
    assert "<unk>" not in tokenizer.control_tokens


@pytest.mark.parametrize("algorithm", [name for name in LOSSLESS if name not in ("byte_level_bpe", "wordpiece")])
def test_more_characters_than_entries_is_said(algorithm):
    chinese = ["".join(map(chr, range(0x4E00, 0x4E00 + 500)))]
    with pytest.raises(UserError, match="--vocab-size 600: is too small .* --character-coverage below 1.0"):
        ALGORITHMS.load(algorithm).train(chinese, TrainTokenizerFlags(vocab_size=600, character_coverage=1.0))


def test_the_same_bytes_in_any_process_with_any_number_of_threads():
    code = (
        "import hashlib; from tests import texts; from tests.tokenizers.training.test_every_algorithm import *\n"
        "for name in LOSSLESS: print(digest(name))"
    )
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "5", "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [digest(name) for name in LOSSLESS]


def digest(algorithm):
    return hashlib.sha256(repr(sorted(texts.learned(algorithm, **FLAGS).items())).encode()).hexdigest()


@pytest.mark.parametrize("algorithm", LOSSLESS)
def test_a_text_without_spaces_gives_a_tokenizer_that_keeps_them(algorithm, tmp_path):
    """SentencePiece writes a space as U+2581, whose bytes would come back as U+2581."""
    for documents in (["天地玄黄宇宙洪荒" * 40], ["天地玄黄宇宙洪荒" * 400 + " "]):
        found = ALGORITHMS.load(algorithm).train(documents, TrainTokenizerFlags(vocab_size=340))
        check(texts.load(found, tmp_path), "天 地 and  \u2581 more ")


def test_what_sentencepiece_learns_nothing_from_is_said():
    with pytest.raises(UserError, match="the text holds nothing that SentencePiece learns from"):
        ALGORITHMS.load("sentencepiece_bpe").train(["\t\0\u2581"], TrainTokenizerFlags())
