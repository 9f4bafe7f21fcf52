"""What tokens are, by what they decode to."""

from types import SimpleNamespace

from megatron_ext.objectives.reading.tokens import begins_word

BEGIN = [" the", "(", " 3", "中", "国人", "\n", "\U00020000", " 中", "##"]
GO_ON = ["the", "ing", "3", "é", "##ing", "か"]


class Tokenizer(SimpleNamespace):
    __hash__ = object.__hash__

    def decode(self, ids):
        return self.texts[ids[0]]


def test_a_word_begins_with_a_space_a_sign_or_an_ideograph():
    texts = BEGIN + GO_ON
    found = begins_word(Tokenizer(texts=texts, vocab_size=len(texts)))
    assert [text for text, begins in zip(texts, found) if begins] == BEGIN
