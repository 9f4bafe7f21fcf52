"""The benchmark of learning: each algorithm and its peer give a row. Nothing is timed."""

import re

from megatron_ext.arguments.config import read
from megatron_ext.benchmarks import train_tokenizer
from megatron_ext.benchmarks.flags import TrainTokenizerBenchmarkFlags
from tests import texts


def test_rows(tmp_path):
    source = texts.write_jsonl(tmp_path / "in.jsonl", texts.library_texts())
    argv = ["--input", str(source), "--vocab-size", "600", "--algorithms", "bpe", "unigram", "sentencepiece_bpe"]
    found = dict(train_tokenizer.run(read([TrainTokenizerBenchmarkFlags], argv, "", "").benchmark))
    names = [
        "text",
        "bpe",
        "unigram",
        "unigram, tokenizers' UnigramTrainer",
        "sentencepiece_bpe",
        "sentencepiece_bpe, from lines",
    ]
    assert list(found) == names
    assert re.fullmatch(r"0.1 MB, held out 0.0 MB, 600 entries", found.pop("text"))
    bytes_a_token = [re.fullmatch(r"\d+\.\d s, (\d\.\d{3}) bytes a token", row)[1] for row in found.values()]
    assert all(1.2 < float(each) < 4 for each in bytes_a_token)
