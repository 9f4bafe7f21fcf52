"""What transformers makes of the folder."""

import json

import pytest

from tests import texts

FLAGS = dict(special_tokens=("fim", "masks"), additional_special_tokens=("<mine>",), make_vocab_size_divisible_by=256)


@pytest.mark.parametrize("algorithm", ["byte_level_bpe", "bpe", "unigram"])
def test_autotokenizer_reads_it_with_the_same_ids_and_control_tokens(algorithm, tmp_path):
    import transformers

    ours = texts.load(texts.learned(algorithm, **FLAGS), tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in (*texts.library_texts(), *texts.HARD):
        if "<|endoftext|>" not in text and "<unk>" not in text:  # which transformers takes for the control token
            ids = theirs(text, add_special_tokens=False)["input_ids"]
            assert ids == ours.encode(text) and theirs.decode(ids) == text
    assert (len(theirs), theirs.eos_token_id) == (ours.vocab_size, ours.eod) and len(theirs) % 256 == 0
    roles = (theirs.pad_token, theirs.mask_token, theirs.cls_token, theirs.sep_token)
    assert roles == ("[PAD]", "[MASK]", "[CLS]", "[SEP]")
    special = {theirs.convert_ids_to_tokens(number): number for number in theirs.all_special_ids}
    special.pop(theirs.unk_token, None)
    assert special == ours.control_tokens
    text = "a <|fim_middle|> b [gMASK] <mine> <|reserved_1|>"
    assert theirs.decode(theirs(text)["input_ids"], skip_special_tokens=True).split() == ["a", "b"]


def test_the_config_names_each_control_token_once():
    config = json.loads(texts.learned("unigram", **FLAGS)["tokenizer_config.json"])
    roles = [config[role] for role in ("eos_token", "unk_token", "pad_token", "mask_token", "cls_token", "sep_token")]
    names = roles + config["additional_special_tokens"]
    assert len(set(names)) == len(names) and {"<|fim_pad|>", "<mine>", "<eop>", "<|reserved_0|>"} <= set(names)
