"""From a path to the flags of a tokenizer, of whatever kind lies there."""

import pytest

from megatron_ext.evaluation.tokenizers.flags import tokenizer_draft
from tests import texts


def test_a_folder_of_gpt2s_files(tmp_path):
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_text("{}")
    draft = tokenizer_draft(str(tmp_path), None)
    assert (draft.tokenizer_type, draft.vocab_file) == ("gpt2_bpe", str(tmp_path / "vocab.json"))
    (tmp_path / "tokenizer.json").write_text("{}")
    draft = tokenizer_draft(str(tmp_path), None)
    assert (draft.tokenizer_type, draft.vocab_file, draft.tokenizer_model) == ("huggingface", None, str(tmp_path))


@pytest.mark.parametrize(("name", "given", "taken"), [
    ("cl100k_base.tiktoken", None, "cl100k"), ("cl100k_base.tiktoken", "gpt2", "cl100k"), ("mine.tiktoken", "gpt2", "gpt2"),
    ("mine.tiktoken", None, None),
])  # fmt: skip
def test_a_files_name_says_more_than_the_flag_for_those_without(name, given, taken, tmp_path):
    (tmp_path / name).write_bytes(texts.tiktoken_file())
    assert tokenizer_draft(str(tmp_path / name), given).tiktoken_pattern == taken


def test_the_pattern_is_for_tiktoken_alone(tmp_path):
    (tmp_path / "x.model").write_bytes(texts.sentencepiece_model())
    draft = tokenizer_draft(str(tmp_path / "x.model"), "gpt2", "</s>")
    assert (draft.tokenizer_type, draft.tiktoken_pattern, draft.eod_token) == ("sentencepiece", None, "</s>")
