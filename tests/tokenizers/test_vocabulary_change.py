"""Which rows go where, against what each package's own file and encoder say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.tokenizers.loaders.sentencepiece import model_proto
from megatron_ext.tokenizers.vocabulary_change import vocabulary_change
from tests import texts
from tests.tokenizers.test_contract import make


def load(folder, content, name="tokenizer.json", *more):
    folder.mkdir()
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return build(read([TokenizerFlags], ["--tokenizer-model", str(folder), *more], "", "").tokenizer)


def rows_of(change):
    return [change.old[begin:end].tolist() for begin, end in zip(change.starts, change.starts[1:])]


def naive_byte_level(old_json, new_json, old_eod, new_eod):
    """Sources of each new row, by the two files and tokenizers' own encoder; None where that has no say (part of a character)."""
    old, new = (json.loads(each)["model"]["vocab"] for each in (old_json, new_json))
    encoder = tokenizers.Tokenizer.from_str(old_json)
    plain = tokenizers.Tokenizer.from_str(new_json)
    found = [None] * len(new)
    for token, number in new.items():
        if token in old:
            found[number] = [old[token]]
        elif token in ("<|pad|>", "<|end_of_text|>"):
            found[number] = [old_eod] if number == new_eod else []
        elif "\ufffd" not in (text := plain.decode([number])):
            found[number] = encoder.encode(text, add_special_tokens=False).ids
    return found


def test_byte_level_rows_are_those_of_the_files(tmp_path):
    old_json, new_json = texts.byte_level_bpe_json(), texts.bilingual_bpe_json()
    old, new = load(tmp_path / "old", old_json), load(tmp_path / "new", new_json)
    change = vocabulary_change(old, new)
    expected = naive_byte_level(old_json, new_json, old.eod, new.eod)
    got = rows_of(change)
    assert len(got) == len(expected) == change.rows == 700
    assert all(theirs is None or ours == theirs for ours, theirs in zip(got, expected))
    parts = [ours for ours, theirs in zip(got, expected) if theirs is None]
    assert len(parts) > 20 and all(len(each) >= 2 for each in parts)  # the bytes of a part of a character
    assert got[new.eod] == [old.eod] and got[0] == []
    vocab, theirs = (json.loads(each)["model"]["vocab"] for each in (old_json, new_json))
    both = len(vocab.keys() & theirs.keys()) + 1  # and what ends a document
    assert (change.kept, change.plain, change.means) == (both, 1, 700 - both - 1)
    assert change.dropped == 600 - both and change.old_rows == 600
    words = f"vocabulary of 700 rows, from one of 600: {both} keep their row"
    assert change.sentence("random").startswith(f"{words}, {700 - both} begin at random, ")
    assert change.sentence("mean") == (
        f"vocabulary of 700 rows, from one of 600: {both} keep their row, {699 - both} are means of the rows of their pieces, "
        f"1 are the mean of all (control tokens, and what the earlier tokenizer cannot write), {600 - both} earlier rows are "
        "dropped, whose tokens the new tokenizer lacks"
    )


def test_parts_of_characters_are_made_of_the_old_ones_parts(tmp_path):
    """A token that holds a part of a character: the old tokenizer's pieces stand for the same bytes."""
    old, new = load(tmp_path / "old", texts.byte_level_bpe_json()), load(tmp_path / "new", texts.bilingual_bpe_json())
    entries = old.entries()
    for entry, pieces in zip(new.entries(), rows_of(vocabulary_change(old, new))):
        if entry.kind == "text":
            assert b"".join(entries[piece].text for piece in pieces) == entry.text


def test_it_does_not_matter_how_a_byte_level_vocabulary_is_written(tmp_path):
    """The same tokens as tokenizer.json and as tiktoken's ranks, whose control tokens lie elsewhere: none is new."""
    old, new = load(tmp_path / "old", texts.byte_level_bpe_json()), make("tiktoken", tmp_path)
    change = vocabulary_change(old, new)
    ids = {entry: number for number, entry in enumerate(old.entries())}
    assert rows_of(change)[:599] == [[ids[entry]] for entry in new.entries()[:599]]
    assert rows_of(change)[new.eod] == [old.eod]
    assert (change.means, change.dropped) == (0, 0) and change.plain == new.vocab_size - 600


def test_the_same_tokenizer_changes_nothing(tmp_path):
    for kind in ("byte_level_bpe", "unigram", "sentencepiece", "tiktoken", "megatron_tiktoken"):
        (tmp_path / kind).mkdir()
        one = make(kind, tmp_path / kind)
        change = vocabulary_change(one, one)
        used = [number for number, entry in enumerate(one.entries()) if entry.kind != "unused"]
        assert [rows_of(change)[number] for number in used] == [[number] for number in used], kind
        assert change.kept == len(used) and (change.means, change.dropped) == (0, 0)


@pytest.mark.parametrize("settings", [{}, {"add_dummy_prefix": False}, {"model_type": "unigram"}])
def test_sentencepiece_rows(settings, tmp_path):
    """New words are made of the bytes that the old model falls back to; no space is put before a piece."""
    content = texts.sentencepiece_model(**settings)
    proto = model_proto(content)
    for piece in ("\u2581中国", "国人", "\u2581therefore", "zzgreat"):
        proto.pieces.add(piece=piece, score=-50.0)
    proto.pieces.add(piece="<new>", score=0.0, type=3)  # a control piece
    old = load(tmp_path / "old", content, "tokenizer.model")
    new = load(tmp_path / "new", proto.SerializeToString(), "tokenizer.model")
    rows, size = rows_of(vocabulary_change(old, new)), old.vocab_size
    assert rows[:size] == [[number] for number in range(size)] and rows[-1] == []
    pieces = {piece.piece: number for number, piece in enumerate(proto.pieces)}
    in_bytes = [[pieces[f"<0x{byte:02X}>"] for byte in text.encode()] for text in ("中国", "国人")]
    assert rows[size] == [pieces["\u2581"], *in_bytes[0]] and rows[size + 1] == in_bytes[1]
    for number, text in ((size + 2, "\u2581therefore"), (size + 3, "zzgreat")):
        assert "".join(proto.pieces[each].piece for each in rows[number]) == text


def test_spaces_in_tokenizer_json_and_in_sentencepiece_are_the_same(tmp_path):
    old, new = load(tmp_path / "old", texts.sentencepiece_model(model_type="unigram"), "tokenizer.model"), None
    new = load(tmp_path / "new", texts.unigram_json())
    pieces = {entry: number for number, entry in enumerate(old.entries())}
    change = vocabulary_change(old, new)
    same = [(pieces[entry], rows) for entry, rows in zip(new.entries(), rows_of(change)) if entry in pieces]
    assert len(same) > 50 and all(rows == [number] for number, rows in same)


def wordpiece(words, alphabet):
    vocab = {word: number for number, word in enumerate(["[UNK]", "[EOS]", *alphabet, *words])}
    learned = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    learned.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    learned.add_special_tokens(["[UNK]", "[EOS]"])
    return learned.to_str()


def test_wordpiece_knows_what_goes_on_within_a_word(tmp_path):
    letters = [*"abcdefg", *(f"##{letter}" for letter in "abcdefg")]
    old = load(tmp_path / "old", wordpiece(["be", "##ad", "##ed"], letters))
    new = load(tmp_path / "new", wordpiece(["bead", "##beaded", "##be", "中"], letters[::-1]))
    change, names = vocabulary_change(old, new), json.loads(wordpiece(["be", "##ad", "##ed"], letters))["model"]["vocab"]
    got = dict(zip(json.loads(wordpiece(["bead", "##beaded", "##be", "中"], letters[::-1]))["model"]["vocab"], rows_of(change)))
    assert got["a"] == [names["a"]] and got["##a"] == [names["##a"]]
    assert got["bead"] == [names["be"], names["##ad"]]
    assert got["##beaded"] == [names[each] for each in ("##b", "##e", "##ad", "##ed")]
    assert got["##be"] == [names["##b"], names["##e"]] and got["中"] == [names["[UNK]"]]
    assert change.dropped == 3


def test_entries_of_the_model_beyond_the_tokenizers_are_means_of_all(tmp_path):
    old = load(tmp_path / "old", texts.byte_level_bpe_json(400), "tokenizer.json", "--vocab-size", "500")
    new = load(tmp_path / "new", texts.byte_level_bpe_json(), "tokenizer.json", "--vocab-size", "640")
    change = vocabulary_change(old, new)
    assert (change.old_rows, change.rows, change.plain) == (500, 640, 40) and rows_of(change)[600:] == [[]] * 40
    assert np.array_equal(change.all, np.arange(400))


def test_what_cannot_be_compared_is_refused(tmp_path):
    byte_level = load(tmp_path / "a", texts.byte_level_bpe_json())
    sentencepiece = load(tmp_path / "b", texts.sentencepiece_model(), "tokenizer.model")
    null = build(read([TokenizerFlags], ["--vocab-size", "9"], "", "").tokenizer)
    expected = "tokens of the earlier tokenizer are bytes, those of the new one characters"
    with pytest.raises(UserError, match=expected):
        vocabulary_change(byte_level, sentencepiece)
    for other in (byte_level, null):
        with pytest.raises(UserError, match="numbers: no token of one is known to be one of the other"):
            vocabulary_change(other, null)
