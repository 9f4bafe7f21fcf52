"""A tokenizer extended by another language: ids stay, text without new tokens is what it was, nothing is lost."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers import extending
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags, TrainTokenizerFlags
from megatron_ext.tokenizers.training import byte_level_bpe
from tests import texts
from tests.tokenizers.loaders.test_gpt2_bpe import write as write_gpt2

BYTE_LEVEL = ("tokenizer.json", "ranks", "Megatron-LM's ranks", "GPT-2's two files", "literal tokens", "ignore_merges")
SENTENCEPIECE = {
    "bpe": {}, "unigram": {"model_type": "unigram"}, "bpe without prefix": {"add_dummy_prefix": False},
    "normalised": {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
}  # fmt: skip
MORE = 250


def flags(extend, vocab_size, **more):
    given = dict(min_frequency=2, character_coverage=1.0, split_digits=True)
    return SimpleNamespace(extend=str(extend), vocab_size=vocab_size, **{**given, **more})


def write(kind, folder):
    """The earlier tokenizer of a kind."""
    if kind in SENTENCEPIECE:
        (folder / "tokenizer.model").write_bytes(texts.sentencepiece_model(**SENTENCEPIECE[kind]))
    elif kind == "ranks":
        (folder / "cl100k.tiktoken").write_bytes(texts.tiktoken_file())
    elif kind == "Megatron-LM's ranks":
        (folder / "v2.tiktoken.json").write_bytes(texts.megatron_tiktoken_file())
    elif kind == "GPT-2's two files":
        write_gpt2(folder)
    else:
        whole = tokenizers.Tokenizer.from_str(texts.byte_level_bpe_json())
        if kind == "literal tokens":
            whole.add_tokens(["中国", "    "])
            whole.add_special_tokens(["<|more|>"])
        whole.model.ignore_merges = kind == "ignore_merges"
        (folder / "tokenizer.json").write_text(whole.to_str(), encoding="utf-8")


def load(folder):
    return build(read([TokenizerFlags], ["--tokenizer-model", str(folder)], "", "").tokenizer)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """`extended(kind)`: the earlier tokenizer and the one that it became."""
    known = {}

    def of(kind):
        if kind not in known:
            old, new = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
            write(kind, old)
            earlier = build(extending.earlier_flags(flags(old, 0)))
            for name, content in extending.train(texts.chinese_texts(), flags(old, earlier.vocab_size + MORE)).items():
                (new / name).write_bytes(content)
            known[kind] = earlier, load(new)
        return known[kind]

    return of


@pytest.mark.parametrize("kind", [*BYTE_LEVEL, *SENTENCEPIECE])
def test_every_id_stays(kind, extended):
    earlier, new = extended(kind)
    assert new.vocab_size == earlier.vocab_size + MORE and new.eod == earlier.eod
    before, after = earlier.entries(), new.entries()
    assert all(ours == theirs or theirs.kind == "unused" for ours, theirs in zip(after, before))
    assert not {entry for entry in before if entry.kind != "unused"} & set(after[earlier.vocab_size :])
    assert len(set(after)) == len(after)
    assert earlier.control_tokens.items() <= new.control_tokens.items()


@pytest.mark.parametrize("kind", [*BYTE_LEVEL, *SENTENCEPIECE])
def test_text_without_new_tokens_is_what_it_was(kind, extended):
    earlier, new = extended(kind)
    lines = [line for text in (*texts.library_texts(), *texts.HARD) for line in text.split("\n")]
    same = [line for line in lines if max(new.encode(line), default=0) < earlier.vocab_size]
    assert len(same) > 0.99 * len(lines)
    assert all(new.encode(text) == earlier.encode(text) for text in same)
    chinese = texts.chinese_texts()
    assert sum(len(new.encode(text)) for text in chinese) < 0.4 * sum(len(earlier.encode(text)) for text in chinese)
    assert all(new.decode(new.encode(text)) == earlier.decode(earlier.encode(text)) for text in chinese)


ANY = st.text(st.one_of(st.sampled_from("".join(texts.chinese_texts(2))), st.characters(exclude_categories=["Cs"])))


@pytest.mark.parametrize("kind", BYTE_LEVEL)
def test_a_text_is_what_it_was_with_some_tokens_joined(kind, extended):
    earlier, new = extended(kind)
    entries = new.entries()

    @given(ANY)
    @settings(max_examples=100, deadline=None)
    def holds(text):
        ids = new.encode(text)
        taken_apart = [piece for token in ids for piece in ([token] if token < earlier.vocab_size else parts(token))]
        assert taken_apart == earlier.encode(text) and new.decode(ids) == text

    def parts(token):
        return earlier.pieces(entries[token])

    holds()
    assert (new._fast is not None) == (kind != "literal tokens")


@pytest.mark.parametrize("kind", ["bpe", "unigram", "bpe without prefix"])
def test_sentencepiece_stays_lossless(kind, extended):
    earlier, new = extended(kind)

    @given(ANY.filter(lambda text: "\u2581" not in text))
    @settings(max_examples=100, deadline=None)
    def holds(text):
        ids = new.encode(text)
        assert new.decode(ids) == text
        if max(ids, default=0) < earlier.vocab_size:
            assert ids == earlier.encode(text)

    holds()


def test_from_bytes_alone_it_learns_what_byte_pair_encoding_does(tmp_path):
    """tokenizers' own trainer, on the same text and the same pieces: the same merges in the same order."""
    documents = texts.library_texts(20)
    bare = byte_level_bpe.train(documents, TrainTokenizerFlags(vocab_size=257))["tokenizer.json"]
    (tmp_path / "tokenizer.json").write_bytes(bare)
    found = json.loads(extending.train(documents, flags(tmp_path, 600))["tokenizer.json"])
    expected = json.loads(byte_level_bpe.train(documents, TrainTokenizerFlags(vocab_size=600))["tokenizer.json"])
    assert found["model"]["merges"] == expected["model"]["merges"]
    assert found["model"]["vocab"] == expected["model"]["vocab"]


def test_of_unigram_only_what_the_earlier_model_does_not_know_is_added(tmp_path):
    """Words of a language that it knows would change how it cuts that language's text."""
    write("unigram", tmp_path)
    earlier = load(tmp_path)
    mixed = [*texts.chinese_texts(), *(text.replace("self", "selfhood") for text in texts.library_texts())]
    content = extending.train(mixed, flags(tmp_path, earlier.vocab_size + MORE))["tokenizer.model"]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "tokenizer.model").write_bytes(content)
    new = load(tmp_path / "new")
    known = {entry.text for entry in earlier.entries() if entry.kind == "text"}
    for entry in new.entries()[earlier.vocab_size :]:
        text = entry.text.decode()
        assert any(character.encode() not in known for character in text) or len(earlier.pieces(entry)) == len(text)


@pytest.mark.parametrize(("content", "name", "words"), [
    (texts.unigram_json, "tokenizer.json", "is Unigram; what can be extended is byte-level BPE and SentencePiece's two kinds"),
    (lambda: texts.sentencepiece_model(model_type="char"), "tokenizer.model", "is a model of words or characters"),
    (texts.tiktoken_file, "words.tiktoken", "words.tiktoken does not tell how it splits text"),
    (lambda: "", "README.md", "there is no tokenizer; give its file, or the folder that holds it"),
    (texts.byte_level_bpe_json, "tokenizer.json", "--vocab-size 600: "),
])  # fmt: skip
def test_what_cannot_be_extended_is_refused_by_name(content, name, words, tmp_path):
    data = content()
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(UserError) as error:
        extending.train(texts.chinese_texts(), flags(tmp_path, 600 if words.startswith("--vocab") else 9000))
    assert words in str(error.value)


def test_the_text_may_hold_too_little(tmp_path):
    write("tokenizer.json", tmp_path)
    found = json.loads(extending.train(["中国中国"], flags(tmp_path, 900))["tokenizer.json"])
    assert 600 < len(found["model"]["vocab"]) < 610
    write("bpe", tmp_path / "bpe" if (tmp_path / "bpe").mkdir() is None else tmp_path)
    with pytest.raises(UserError, match="characters of the text are new, and there is room for 5"):
        extending.train(texts.chinese_texts(), flags(tmp_path / "bpe", 605))
