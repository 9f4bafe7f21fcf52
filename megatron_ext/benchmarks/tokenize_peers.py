"""What tools/benchmark.py tokenize compares with, each as its own tool does it, from JSON lines to its files of tokens.

    python -m megatron_ext.benchmarks.tokenize_peers NAME INPUT.jsonl OUTPUT TOKENIZER WORKERS

`TOKENIZER` is a folder as tools/train_tokenizer.py writes it. Status 3 and a sentence where the peer is not installed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys

MISSING = 3


class _Encoder:
    """`Encoder` of Megatron-LM's tools/preprocess_data.py, with megatron-core's tokenizer."""

    def __init__(self, folder: str):
        self.folder = folder

    def initializer(self) -> None:
        from megatron.core.tokenizers.text.libraries.huggingface_tokenizer import HuggingFaceTokenizer

        _Encoder.tokenizer = HuggingFaceTokenizer(self.folder, use_fast=True, include_special_tokens=True)

    def encode(self, line: str) -> tuple[list[int], list[int], int]:
        ids = _Encoder.tokenizer.text_to_ids(json.loads(line)["text"])
        lengths = [len(ids)] if ids else []
        if ids:
            ids.append(_Encoder.tokenizer.eod)
            lengths[-1] += 1
        return ids, lengths, len(line)


def megatron_lm(source: str, output: str, folder: str, workers: int) -> None:
    """A pool of processes, a document at a time, `imap` with its chunks of 32, and megatron-core's builder."""
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

    encoder = _Encoder(folder)
    encoder.initializer()
    dtype = DType.optimal_dtype(_Encoder.tokenizer.vocab_size)
    builder = IndexedDatasetBuilder(f"{output}.bin", dtype=dtype)
    with multiprocessing.Pool(workers, initializer=encoder.initializer) as pool, open(source, encoding="utf-8") as lines:
        for ids, lengths, _ in pool.imap(encoder.encode, lines, 32):
            builder.add_document(ids, lengths)
    builder.finalize(f"{output}.idx")


def datatrove(source: str, output: str, folder: str, workers: int) -> None:
    """Its reader and its `DocumentTokenizer`, in the order of the input."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as file:
        end = json.load(file)["eos_token"]
    reader = JsonlReader(os.path.dirname(source), glob_pattern=os.path.basename(source), compression=None)
    tokenizer = os.path.join(folder, "tokenizer.json")
    writer = DocumentTokenizer(output, tokenizer, eos_token=end, shuffle_documents=False)
    LocalPipelineExecutor([reader, writer], tasks=workers, workers=workers, logging_dir=f"{output}_log").run()


PEERS = {peer.__name__: peer for peer in (megatron_lm, datatrove)}
INSTALL = {
    "megatron_lm": "pip install megatron-core transformers",
    "datatrove": "pip install datatrove, into a folder of its own with --target, and name it with --peers",
}


def main(name: str, source: str, output: str, folder: str, workers: str) -> int:
    try:
        PEERS[name](source, output, folder, int(workers))
    except ImportError as error:
        print(f"{' '.join(str(error).split())}; {INSTALL[name]}", file=sys.stderr)
        return MISSING
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
