"""What is said of a text that did not come back."""

import pytest

from megatron_ext.tokenizers.round_trip import loss
from tests import texts


class Made:
    """A tokenizer whose decoding is a given function of the text."""

    def __init__(self, back):
        self._back = back

    def encode(self, text):
        return list(map(ord, text))

    def decode(self, ids):
        return self._back("".join(map(chr, ids)))


@pytest.mark.parametrize(
    ("back", "text", "said"),
    [
        (str.lower, "say Hello", "character 4, 'H' (U+0048): 'Hello' comes back as 'hello'"),
        (str.strip, "end\n", "character 3, '\\n' (U+000A), does not come back"),
        (lambda text: text + " ", "end", "at its end ' ' is added"),
        (lambda text: text.replace("é", "e\u0301"), "né", "character 1, 'é' (U+00E9): 'é' comes back as 'e\u0301'"),
    ],
)
def test_the_first_place_is_told(back, text, said):
    assert str(loss(Made(back), text)) == said


def test_of_a_real_tokenizer(tmp_path):
    tokenizer = texts.load(texts.learned("bpe", byte_fallback=False), tmp_path)
    assert loss(tokenizer, "import this") is None
    assert loss(tokenizer, "import 中").place == 7
