"""WordPiece's vocabulary beside a naive oracle, its encoding beside transformers' BERT; its byte-level form loses nothing."""

import functools
import itertools
import json
from collections import Counter
from pydoc_data import topics

import pytest
import regex
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError
from megatron_ext.tokenizers.byte_alphabet import BYTE_OF
from megatron_ext.tokenizers.flags import TrainTokenizerFlags
from megatron_ext.tokenizers.training import wordpiece
from megatron_ext.tokenizers.training._huggingface import LONGEST_TOKEN, pattern
from tests import texts
from tests.tokenizers.merge_oracle import oracle

CHINESE = (
    "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。汉朝自高祖斩白蛇而起义，"
    "一统天下，后来光武中兴，传至献帝，遂分为三国。推其致乱之由，殆始于桓、灵二帝。桓帝禁锢善类，崇信宦官。及桓帝崩，灵帝即位，"
    "大将军窦武、太傅陈蕃共相辅佐。时有宦官曹节等弄权，窦武、陈蕃谋诛之，机事不密，反为所害，中涓自此愈横。"
)


def real_texts():
    """English, code, and the beginning of the Romance of the Three Kingdoms."""
    return [topics.topics["typesseq"], *texts.library_texts(10), CHINESE]


@functools.cache
def learned(**flags):
    return wordpiece.train(real_texts(), TrainTokenizerFlags(algorithm="wordpiece", **{"vocab_size": 1500, **flags}))


def load(files):
    return tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())


def learn(some, **flags):
    return load(wordpiece.train(some, TrainTokenizerFlags(algorithm="wordpiece", **flags)))


def encode(tokenizer, text):
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, add_special_tokens=False)


def bytes_of(token):
    return bytes(BYTE_OF[character] for character in token)


def test_the_byte_level_vocabulary_is_the_oracles():
    some, flags = texts.library_texts(10)[:1], TrainTokenizerFlags(vocab_size=330, min_frequency=4)
    words = Counter(itertools.chain.from_iterable(regex.findall(pattern(flags), text) for text in some))
    cut = Counter()
    for word, count in words.items():
        for piece in regex.findall(r"[\s\S]{1,16}", word):
            cut[piece.encode()] += count
    expected = [bytes([byte]) for byte in range(256)]
    for left, right, *_ in oracle(cut, cut.values(), 256, 73, "ratio", 4):
        expected.append(expected[left] + expected[right])
    vocab = learn(some, vocab_size=330, min_frequency=4).get_vocab()
    assert [bytes_of(token) for token in sorted(vocab, key=vocab.get)[1:]] == expected


@pytest.mark.parametrize("lowercase", [False, True])
def test_berts_vocabulary_is_the_oracles(lowercase):
    """Words as tokenizers' own pre-tokenizer has them, not by our regular expression."""
    some = [topics.topics["typesseq"][:6000], CHINESE, "Éa ÉA éb é"]
    cut = pre_tokenizers.BertPreTokenizer()
    normal = normalizers.BertNormalizer(lowercase=lowercase)
    counts = Counter(word for text in some for word, _ in cut.pre_tokenize_str(normal.normalize_str(text)))
    rows = [[character if not place else "##" + character for place, character in enumerate(word)] for word in counts]
    tokens = sorted({token for row in rows for token in row}, key=lambda token: (len(token), token))
    alphabet = len(tokens)
    words = [[tokens.index(token) for token in row] for row in rows]
    for left, right, *_ in oracle(words, counts.values(), alphabet, 80, "ratio", 3):
        tokens.append(tokens[left] + tokens[right].removeprefix("##"))
    assert len(tokens) == alphabet + 80
    flags = dict(wordpiece_form="bert", wordpiece_lowercase=lowercase, character_coverage=1.0, min_frequency=3)
    vocab = learn(some, vocab_size=alphabet + 82, **flags).get_vocab()
    assert sorted(vocab, key=vocab.get) == ["<|endoftext|>", "[UNK]", *tokens]
    assert ("é" in tokens) != lowercase


@pytest.mark.parametrize("lowercase", [False, True])
def test_berts_form_encodes_as_transformers_bert_does(tmp_path, lowercase):
    transformers = pytest.importorskip("transformers")
    from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

    files = learned(wordpiece_form="bert", wordpiece_lowercase=lowercase, special_tokens=("masks",), vocab_size=2000)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    file = str(tmp_path / "vocab.txt")
    slow = BertTokenizerLegacy(file, do_lower_case=lowercase)
    fast = transformers.BertTokenizer(vocab=file, do_lower_case=lowercase)
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ours = load(files)
    unknown = 0
    for text in (*real_texts(), *texts.library_texts(40)[1::8], "Ünïcode: naïve, 2x ½ 한국어 日本語 'ſ", "a" * 101 + " b", ""):
        ids = ours.encode(text).ids
        assert slow(text, add_special_tokens=False).input_ids == ids
        assert fast(text, add_special_tokens=False).input_ids == ids
        assert auto(text, add_special_tokens=False).input_ids == ids
        unknown += ids.count(ours.token_to_id("[UNK]"))
    assert 0 < unknown < 2000


def test_berts_vocabulary_file_is_that_of_its_tokenizer():
    files = learned(wordpiece_form="bert", make_vocab_size_divisible_by=128)
    vocab = load(files).get_vocab()
    assert files["vocab.txt"].decode().split("\n")[:-1] == sorted(vocab, key=vocab.get)
    assert len(vocab) % 128 == 0
    assert "vocab.txt" not in learned()


def lossless(text):
    tokenizer = load(learned())
    ids = encode(tokenizer, text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert sum(len(bytes_of(tokenizer.id_to_token(number))) for number in ids) == len(text.encode())


def test_the_byte_level_form_loses_nothing_of_real_and_hard_texts():
    for text in (*real_texts(), *texts.library_texts(40), *texts.HARD, CHINESE * 50):
        lossless(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=200, deadline=None)
def test_the_byte_level_form_loses_nothing_of_any_text(text):
    lossless(text)


def test_the_longest_piece_is_taken_and_no_word_is_long():
    """Longest match first costs the square of a word's length: a run of a million characters is cut."""
    tokenizer = load(learned())
    vocab = set(tokenizer.get_vocab())
    for text in ("x" * 5000, CHINESE.replace("，", "") * 5, "-" * 5000, " " * 5000, "12345", topics.topics["typesseq"]):
        tokens = []
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
            assert len(bytes_of(word).decode()) <= wordpiece.LONGEST_WORD
            while word:
                size = max(size for size in range(1, len(word) + 1) if word[:size] in vocab)
                tokens.append(word[:size])
                word = word[size:]
        assert encode(tokenizer, text).tokens == tokens


def test_size_end_token_and_bytes():
    tokenizer = load(learned(eod_token="<end>", special_tokens=("fim",)))
    vocab = tokenizer.get_vocab()
    assert len(vocab) == 1500 and sorted(vocab.values()) == list(range(1500))
    assert tokenizer.token_to_id("<end>") == 0 and tokenizer.token_to_id("<|fim_prefix|>") == 1
    assert set(BYTE_OF) <= set(vocab)
    assert tokenizer.token_to_id("[UNK]") is None


@pytest.mark.parametrize("form", ["byte_level", "bert"])
def test_no_piece_has_a_control_tokens_name(form):
    """`the` would be learned; for BERT's form also from `The`."""
    some = ["The end of the world is the end of the story, the other one is not"] * 20
    flags = dict(wordpiece_form=form, wordpiece_lowercase=form == "bert", vocab_size=280 if form == "byte_level" else 60)
    assert "the" in learn(some, **flags).get_vocab()
    tokenizer = learn(some, **flags, additional_special_tokens=("the",))
    assert sorted(tokenizer.get_vocab().values()) == list(range(tokenizer.get_vocab_size()))
    assert tokenizer.token_to_id("the") == (1 if form == "byte_level" else 2)


def test_by_default_pairs_are_as_frequent_as_the_vocabulary_allows(capsys):
    found = learned(vocab_size=1501)
    least = int(capsys.readouterr().err.split("--min-frequency ")[1].split(",")[0])
    assert least > 5
    assert load(found).get_vocab() == load(learned(vocab_size=1501, min_frequency=least)).get_vocab()
    assert load(learned(vocab_size=1501, min_frequency=least + 1)).get_vocab_size() < 1501
    text = "\n".join(texts.library_texts(40)[1::8])
    short, long = (len(encode(load(files), text)) for files in (found, learned(vocab_size=1501, min_frequency=2)))
    assert short < 0.7 * long


def test_too_little_text_gives_a_smaller_vocabulary():
    assert learn(["ab ab", "c"], vocab_size=400).get_vocab_size() == 1 + 256 + 1  # ab
    assert learn([], vocab_size=400).get_vocab_size() == 257
    assert learn(["abc"], vocab_size=257, min_frequency=1).get_vocab_size() == 257
    assert learn([], vocab_size=400, wordpiece_form="bert").get_vocab_size() == 2


def test_tokens_are_not_endless():
    assert max(map(len, learn(["-" * 500] * 50, vocab_size=800, min_frequency=1).get_vocab())) <= LONGEST_TOKEN


@pytest.mark.parametrize("split", [True, False])
def test_digits(split):
    years = [f"{number} " for number in range(100, 400)] * 5
    tokens = learn(years, vocab_size=400, split_digits=split, min_frequency=2).get_vocab()
    assert all(sum(character.isdigit() for character in token) <= 1 for token in tokens) == split


def test_rare_characters_get_no_piece_in_berts_form():
    some = ["abab " * 500 + "q"]
    every, most = (
        learn(some, vocab_size=300, wordpiece_form="bert", character_coverage=share).get_vocab() for share in (1.0, 0.999)
    )
    assert "q" in every and "q" not in most and "ab" in most
    with pytest.raises(UserError, match="--character-coverage"):
        learn(["".join(map(chr, range(0x4E00, 0x4F00)))], vocab_size=257, wordpiece_form="bert", character_coverage=1.0)


@pytest.mark.parametrize(
    ("argv", "option"),
    [
        (["--wordpiece-lowercase"], "--wordpiece-lowercase"),
        (["--character-coverage", "0.99"], "--character-coverage"),
        (["--wordpiece-form", "bert", "--no-split-digits"], "--no-split-digits"),
        (["--algorithm", "byte_level_bpe", "--wordpiece-form", "bert"], "--wordpiece-form"),
        (["--additional-special-tokens", "Ġthe"], "--additional-special-tokens"),
    ],
)
def test_flags_of_the_other_form_are_refused(argv, option):
    with pytest.raises(ConfigurationError) as caught:
        read([TrainTokenizerFlags], ["--algorithm", "wordpiece", "--output", "x", *argv], "x", "")
    assert [problem.flag for problem in caught.value.problems] == [option]


def test_what_is_written_names_its_kind():
    model = json.loads(learned()["tokenizer.json"])["model"]
    assert model["type"] == "WordPiece" and model["continuing_subword_prefix"] == ""
    assert json.loads(learned(wordpiece_form="bert")["tokenizer_config.json"])["unk_token"] == "[UNK]"
