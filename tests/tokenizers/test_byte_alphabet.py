"""The alphabet is tokenizers' own."""

from tokenizers import pre_tokenizers

from megatron_ext.tokenizers.byte_alphabet import BYTE_OF


def test_the_alphabet_is_the_one_of_tokenizers():
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert set(BYTE_OF) == set(pre_tokenizers.ByteLevel.alphabet())
    for byte in range(128):
        assert BYTE_OF[level.pre_tokenize_str(chr(byte))[0][0]] == byte
