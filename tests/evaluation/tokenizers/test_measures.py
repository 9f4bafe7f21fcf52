"""Each measure against its definition, computed the slow way, on texts of all scripts and with tokenizers of all kinds."""

from __future__ import annotations

import collections
import functools
import math
import pathlib

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.corpus.analysis import Plain
from megatron_ext.corpus.words import lengths, runs
from megatron_ext.evaluation.tokenizers.measures import Measurer, Measures, cut_words, text_with_words
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.loaders.huggingface import HuggingFaceTokenizer
from megatron_ext.tokenizers.loaders.sentencepiece import SentencePieceTokenizer
from megatron_ext.tokenizers.loaders.tiktoken import TiktokenTokenizer
from tests import texts

PARTS = ["word", "Mr. O'Neill's", " ", "  ", "\n", "\t", "\u00a0", "naïve", "don't", "U.S.", "3.14", "x=1;"]
PARTS += ["中文，混排", "日本語テキスト", "👩‍💻"]
SOME = st.lists(st.sampled_from(PARTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=12).map("".join)


class Bytes(Tokenizer):
    """A token a byte: all that is measured of it is known beforehand."""

    vocab_size, eod = 257, 256

    def encode(self, text):
        return list(text.encode())

    def decode(self, ids):
        return bytes(ids).decode()

    def token_bytes(self):
        return np.array([1] * 256 + [0], np.int32)

    def entries(self):
        raise NotImplementedError

    def pieces(self, entry):
        raise NotImplementedError

    def control_tokens(self):
        return {}

    def fingerprint(self):
        return "bytes"


class Letters(Bytes):
    """Keeps nothing but small letters, and cannot encode a text with a zero."""

    def encode(self, text):
        if "\0" in text:
            raise ValueError("a zero")
        return [ord(character) for character in text if "a" <= character <= "z"]


@functools.cache
def loaded(kind: str, folder: str) -> Tokenizer:
    file = pathlib.Path(folder) / kind
    if kind == "wordpiece":
        file.write_text(wordpiece())
    elif kind.startswith("sentencepiece"):
        lossy = dict(normalization_rule_name="nmt_nfkc", byte_fallback=False, remove_extra_whitespaces=True)
        file.write_bytes(texts.sentencepiece_model(**(lossy if "lossy" in kind else {})))
        return SentencePieceTokenizer(file)
    elif kind == "tiktoken":
        file.write_bytes(texts.tiktoken_file())
        return TiktokenTokenizer(file, "llama3")
    else:
        file.write_text(texts.byte_level_bpe_json())
    return HuggingFaceTokenizer(file, "[SEP]" if kind == "wordpiece" else None)


def wordpiece() -> str:
    """BERT's: drops spaces, has a token for what it does not know."""
    learned = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    learned.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    learned.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    learned.decoder = tokenizers.decoders.WordPiece()
    trainer = tokenizers.trainers.WordPieceTrainer(vocab_size=500, special_tokens=["[UNK]", "[SEP]"], show_progress=False)
    learned.train_from_iterator(texts.library_texts(), trainer)
    return learned.to_str()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("tokenizers"))


@given(SOME)
def test_words_lie_where_the_splitter_found_them(text):
    spans = Plain(text, lengths(runs(text)) if runs(text) else ()).spans
    found = text_with_words("x", text)
    raw = text.encode()
    assert found.words == [text[start:end] for start, end, _ in spans]
    assert [raw[start:end].decode() for start, end in zip(found.starts, found.ends)] == found.words
    assert found.starts.tolist() == [len(text[:start].encode()) for start, _, _ in spans]
    assert found.spaced.tolist() == [text[:start].endswith(" ") for start, _, _ in spans]
    assert found.size == len(raw)


@given(SOME, st.data())
def test_words_that_are_cut(text, data):
    found = text_with_words("x", text)
    ends = sorted(data.draw(st.sets(st.integers(0, found.size))) | {found.size})
    naive = sum(any(start < end < stop for end in ends) for start, stop in zip(found.starts, found.ends))
    assert cut_words(found, np.array(ends)) == naive


@given(st.lists(SOME, min_size=1, max_size=4))
def test_of_bytes_everything_is_known(some):
    found = Measurer(Bytes())([text_with_words("x", text) for text in some])
    raw = "".join(some).encode()
    spans = [text_with_words("x", text) for text in some]
    assert (found.documents, found.kept, found.refused, found.lost) == (len(some), len(some), 0, None)
    assert found.size == found.tokens == len(raw) and found.characters == len("".join(some))
    assert found.words == sum(len(each.words) for each in spans)
    assert found.continued == sum(len(word.encode()) > 1 for each in spans for word in each.words)
    assert found.tokens_of.tolist() == [raw.count(bytes([byte])) for byte in range(256)] + [0]
    assert found.unused == pytest.approx(1 - len(set(raw)) / 257)


@pytest.mark.parametrize("kind", ["byte_level", "tiktoken", "sentencepiece"])
def test_of_real_tokenizers_the_slow_way(kind, folder):
    """Where each token ends by decoding one token more at a time; a half character ends inside its word."""
    tokenizer = loaded(kind, folder)
    some = [text for text in texts.HARD if len(text) < 1000 and "\0" not in text]
    found = Measurer(tokenizer)([text_with_words(str(number), text) for number, text in enumerate(some)])
    counts, cut = collections.Counter(), 0
    for text in some:
        ids = tokenizer.encode(text)
        counts.update(ids)
        sizes = tokenizer.token_bytes()
        ends = set(np.cumsum([sizes[token] for token in ids]) - tokenizer.prefix_bytes)
        spans = text_with_words("x", text)
        cut += sum(any(end in ends for end in range(start + 1, stop)) for start, stop in zip(spans.starts, spans.ends))
    assert found.kept == found.documents == len(some)
    assert found.continued == cut > 10
    assert {token: count for token, count in enumerate(found.tokens_of) if count} == counts
    assert found.bytes_per_token == sum(len(text.encode()) for text in some) / counts.total()
    assert found.characters_per_token == sum(map(len, some)) / counts.total()
    assert found.fertility == counts.total() / sum(len(text_with_words("x", text).words) for text in some)


def test_whole_words_and_cut_ones(folder):
    """Known words are whole in every kind of tokenizer, whatever it does with the space before them."""
    for kind in ("byte_level", "tiktoken", "sentencepiece", "sentencepiece_lossy", "wordpiece"):
        found = Measurer(loaded(kind, folder))([text_with_words("x", "file return the class")])
        assert (found.words, found.continued) == (4, 0), kind
        cut = Measurer(loaded(kind, folder))([text_with_words("x", "file xyzzyqwv")])
        assert (cut.words, cut.continued) == (2, 1), kind


def test_a_lossy_tokenizer_shows_as_lossy(folder):
    """WordPiece drops two spaces and capitals; a normaliser rewrites full-width letters; what is lost is shown."""
    some = [text_with_words("plain", "the return of self"), text_with_words("lost", "some words before it: The  END of it")]
    found = Measurer(loaded("wordpiece", folder))(some)
    assert (found.documents, found.kept, found.lossless) == (2, 1, 0.5)
    assert found.lost.document == "lost" and found.lost.loss.given != found.lost.loss.back
    found = Measurer(loaded("sentencepiece_lossy", folder))([text_with_words("wide", "return ＡＢＣ")])
    assert found.kept == 0 and (found.lost.loss.place, found.lost.loss.given, found.lost.loss.back) == (7, "ＡＢＣ", "ABC")


def test_what_cannot_be_encoded_is_counted_apart():
    some = [text_with_words("good", "abc"), text_with_words("bad", "a\0"), text_with_words("lossy", "aBc")]
    found = Measurer(Letters())(some)
    assert (found.documents, found.kept, found.refused) == (3, 1, 1)
    assert found.lost == ("bad", None)
    assert (found.size, found.tokens, found.words) == (6, 5, 2), "a refused text has no tokens, and does not count as bytes"


@given(st.lists(st.integers(0, 50), min_size=2, max_size=30).filter(any))
def test_entropy_by_its_formula(counts):
    found = Measures(np.array(counts))
    total = sum(counts)
    p = [count / total for count in counts if count]
    shannon = -sum(x * math.log2(x) for x in p)
    assert found.entropy(1) == pytest.approx(shannon, abs=1e-9)
    assert found.entropy(1.000001) == pytest.approx(shannon, abs=1e-4), "Rényi's tends to Shannon's"
    assert found.entropy(2) == pytest.approx(-math.log2(sum(x * x for x in p)), abs=1e-9), "of collisions"
    assert found.entropy(0.0001) == pytest.approx(math.log2(len(p)), abs=1e-2)
    assert found.entropy(2.5) <= found.entropy(1) + 1e-9
    assert found.efficiency(2.5) == pytest.approx(found.entropy(2.5) / math.log2(len(counts)))


def test_a_uniform_distribution_is_fully_efficient():
    found = Measures(np.full(64, 7))
    assert found.entropy(1) == pytest.approx(6) and found.efficiency(2.5) == pytest.approx(1)
    assert math.isnan(Measures(np.zeros(64, int)).entropy(1)) and math.isnan(Measures(np.zeros(64, int)).fertility)


@given(st.lists(SOME, min_size=2, max_size=5))
def test_measures_add_up(some):
    """However documents lie in batches."""
    measure = Measurer(Letters())
    each = [text_with_words(str(number), text) for number, text in enumerate(some)]
    together, apart = measure(each), measure(each[:1]) + measure(each[1:])
    for name, value in vars(together).items():
        if name != "seconds":
            assert np.array_equal(value, getattr(apart, name)), name


def test_seconds_are_those_of_encoding(folder):
    tokenizer = loaded("byte_level", folder)
    some = [text_with_words("x", text) for text in texts.library_texts() * 20]
    found = Measurer(tokenizer)(some)
    assert 0 < found.seconds < 60 and found.mb_per_second == pytest.approx(found.size / found.seconds / 1e6)
