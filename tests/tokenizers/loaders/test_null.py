"""Numbers are their own ids."""

import pytest

from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags

NULL = build(TokenizerFlags(tokenizer_type="null", vocab_size=100))


def test_ids_are_the_numbers_of_the_text():
    assert NULL.encode("5 0  99\n7") == [5, 0, 99, 7]
    assert NULL.decode([5, 0, 99, 7]) == "5 0 99 7"


def test_the_vocabulary_is_what_the_flag_says_and_its_last_id_ends_documents():
    assert (NULL.vocab_size, NULL.eod) == (100, 99)


def test_ids_stand_for_no_text():
    assert NULL.token_bytes().shape == (100,) and not NULL.token_bytes().any() and NULL.prefix_bytes == 0


@pytest.mark.parametrize("text", ["100", "-1", "five", "1.5"])
def test_what_is_no_id_is_refused(text):
    with pytest.raises(ValueError):
        NULL.encode(text)
