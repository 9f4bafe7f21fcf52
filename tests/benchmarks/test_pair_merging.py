"""The benchmark of learning merges gives its rows, from texts that are named."""

from megatron_ext.benchmarks import pair_merging
from megatron_ext.benchmarks.flags import PairMergingBenchmarkFlags
from tests import texts


def test_rows(tmp_path):
    path = texts.write_jsonl(tmp_path / "texts.jsonl", texts.library_texts(10))
    flags = PairMergingBenchmarkFlags(input=str(path), megabytes=1.0, vocab_size=(400, 500))
    rows = dict(pair_merging.run(flags))
    assert rows["texts"].startswith("10, 0.0")
    assert rows["400, by count"].endswith("; 143 merges") and rows["500, by ratio"].endswith("; 243 merges")
    assert {"words counted", "words counted, tokenizers", "500, by count, tokenizers"} <= set(rows)
