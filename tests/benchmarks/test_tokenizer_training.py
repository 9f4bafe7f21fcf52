"""The benchmark of learning vocabularies gives its rows, from texts that are named."""

from megatron_ext.benchmarks import tokenizer_training
from megatron_ext.benchmarks.flags import TokenizerTrainingBenchmarkFlags
from tests import texts


def test_rows(tmp_path):
    path = texts.write_jsonl(tmp_path / "texts.jsonl", texts.library_texts(10))
    flags = TokenizerTrainingBenchmarkFlags(input=str(path), megabytes=1.0, vocab_size=(400, 500))
    rows = dict(tokenizer_training.run(flags))
    assert rows["texts"].startswith("10, 0.0")
    assert rows["400, by count"].endswith("; 143 merges") and rows["500, by ratio"].endswith("; 243 merges")
    assert {"words counted", "words counted, tokenizers", "500, by count, tokenizers", "400, wordpiece, whole"} <= set(rows)
