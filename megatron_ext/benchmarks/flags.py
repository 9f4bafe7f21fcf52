"""Flags of tools/benchmark.py, a group for each benchmark."""

from __future__ import annotations

from megatron_ext.arguments.config import PRESETS
from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.tokenizers.flags import ALGORITHMS


@flag_group("benchmark", "What is measured")
class DataBenchmarkFlags:
    folder: str = flag("benchmark_data", "where the made-up data goes; removed at the end", front=True)
    documents: int = flag(100_000_000, "documents of the large data set, 20 bytes each on disk", least=1, front=True)
    tokens_per_document: int = flag(500, "mean of their lengths, from 1 to twice as many", least=1, front=True)
    seconds: float = flag(5.0, "how long each loader is measured", positive=True, front=True)
    num_workers: int = flag(2, "threads of the loader", least=0, front=True)


@flag_group("benchmark", "What is measured")
class CheckpointBenchmarkFlags:
    folder: str = flag(".", "where checkpoints are written for the while", front=True)
    preset: str = flag("gpt3_125m", "the model", choices=PRESETS, front=True)


@flag_group("benchmark", "What is measured")
class GenerationBenchmarkFlags:
    preset: str = flag("tiny", "the model", choices=PRESETS, front=True)
    vocab_size: int = flag(8192, "entries of the vocabulary", least=2, front=True)
    prompt_tokens: int = flag(128, "tokens of each prompt", least=1, front=True)
    max_new_tokens: int = flag(128, "tokens added to it", least=1, front=True)
    batch_size: int = flag(8, "texts together, beside one alone", least=1, front=True)
    bf16: bool = flag(False, "compute in bfloat16", front=True)
    device: str = flag("auto", "where the model runs", choices=("auto", "cpu", "cuda"), front=True)


NEAR_ROWS = ("signatures", "whole", "many")


@flag_group("benchmark", "What is measured")
class NearDuplicatesBenchmarkFlags:
    rows: tuple[str, ...] = flag(NEAR_ROWS, "what is measured", choices=NEAR_ROWS, front=True)
    input: str | None = flag(None, "JSONL with the texts (default: Python's manual, library and packages)", front=True)
    megabytes: float = flag(5.0, "MB of text at most", positive=True, front=True)
    peers: tuple[str, ...] = flag((), "folders with peers, as pip install --target makes them", front=True)
    documents: int = flag(1_000_000, "made-up short documents of the row `many`", least=1, front=True)
    memory: float = flag(2.0, "GB for a job that looks at all of them, as --dedup-memory", positive=True, front=True)
    workers: int = flag(2, "processes", least=1, front=True)
    folder: str = flag(".", "where they are written for the while, a kilobyte a document", front=True)


CORPUS_ROWS = ("rules", "each_rule", "language", "personal_data", "engine", "workers", "memory")


@flag_group("benchmark", "What is measured")
class CorpusBenchmarkFlags:
    rows: tuple[str, ...] = flag(CORPUS_ROWS, "what is measured", choices=CORPUS_ROWS, front=True)
    input: str | None = flag(None, "JSONL with the texts (default: Python's manual, library and packages)", front=True)
    megabytes: float = flag(10.0, "MB of text at most", positive=True, front=True)
    peer_megabytes: float = flag(1.0, "MB of it that the peers get, which are slow", positive=True, front=True)
    rounds: int = flag(3, "times that each is measured; the best counts", least=1, front=True)
    peers: tuple[str, ...] = flag((), "folders with peers, as pip install --target makes them", front=True)
    folder: str = flag(".", "where texts are written for the while", front=True)


TOKENIZE_ROWS = ("speed", "encoding", "workers", "memory")


@flag_group("benchmark", "What is measured")
class TokenizeBenchmarkFlags:
    rows: tuple[str, ...] = flag(TOKENIZE_ROWS, "what is measured", choices=TOKENIZE_ROWS, front=True)
    input: str | None = flag(None, "JSONL with the texts (default: Python's manual, library and packages)", front=True)
    megabytes: float = flag(20.0, "MB of text at most", positive=True, front=True)
    tokenizer_model: str | None = flag(
        None, "folder of a byte-level BPE, as tools/train_tokenizer.py writes it (default: learned from the texts)", front=True
    )
    vocab_size: int = flag(32_000, "entries of the one that is learned", least=257, front=True)
    rounds: int = flag(2, "times that each is measured; the best counts", least=1, front=True)
    peers: tuple[str, ...] = flag((), "folders with peers, as pip install --target makes them", front=True)
    folder: str = flag(".", "where texts and tokens are written for the while", front=True)


@flag_group("benchmark", "What is measured")
class TrainTokenizerBenchmarkFlags:
    algorithms: tuple[str, ...] = flag(tuple(ALGORITHMS), "what learns", choices=ALGORITHMS, front=True)
    vocab_size: int = flag(8192, "entries to learn", least=300, front=True)
    input: str | None = flag(None, "JSONL with the texts (default: Python's manual, library and packages)", front=True)
    megabytes: float = flag(5.0, "MB of text at most", positive=True, front=True)


@flag_group("benchmark", "What is measured")
class PairMergingBenchmarkFlags:
    input: str | None = flag(None, "JSONL with the texts (default: Python's manual, library and packages)", front=True)
    megabytes: float = flag(30.0, "MB of text at most", positive=True, front=True)
    vocab_size: tuple[int, ...] = flag((8000, 16_000, 32_000), "entries to learn", least=258, front=True)


GROUPS = {
    "data": DataBenchmarkFlags,
    "corpus": CorpusBenchmarkFlags,
    "near_duplicates": NearDuplicatesBenchmarkFlags,
    "tokenize": TokenizeBenchmarkFlags,
    "train_tokenizer": TrainTokenizerBenchmarkFlags,
    "checkpoint": CheckpointBenchmarkFlags,
    "generation": GenerationBenchmarkFlags,
    "pair_merging": PairMergingBenchmarkFlags,
}
