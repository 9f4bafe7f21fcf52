#!/usr/bin/env python3
"""Learn a tokenizer from text, in the format of Hugging Face's tokenizers.

python tools/train_tokenizer.py --algorithm byte_level_bpe --input 'data/*.jsonl.gz' --vocab-size 8192 --output tok
"""

from __future__ import annotations

import collections
import pathlib
import signal
import sys
from collections.abc import Iterator, Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import UserError, exit_status
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.corpus.inputs import expand_all, size_on_disk
from megatron_ext.data.flags import SampleFlags
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.files import find, sniff
from megatron_ext.tokenizers.flags import ALGORITHMS, TokenizerFlags, TrainTokenizerFlags

PROGRAM = "train_tokenizer.py"
ABOUT = "Learn a tokenizer from text (JSON lines, Parquet, plain text; .gz and .zst too) and write it as tokenizer.json."


def main(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # learning is native code, which would not look at Ctrl-C for minutes
    return exit_status(lambda: _train(read([InputFlags, SampleFlags, TrainTokenizerFlags], argv, PROGRAM, ABOUT)), PROGRAM)


def _train(config) -> None:
    input_flags, flags = config.input, config.training
    from megatron_ext.corpus.progress import Meter
    from megatron_ext.corpus.whole_file import WholeFile, write_whole

    target = pathlib.Path(flags.output)
    WholeFile(str(target / "training.json")).discard()  # find out now whether it can be written
    seen: collections.Counter = collections.Counter()
    files = expand_all(input_flags.input)
    with Meter("reading", size_on_disk(files), interval=100_000) as meter:
        learned = ALGORITHMS.load(flags.algorithm).train(_texts(files, input_flags, config.sample.json_key, meter, seen), flags)
    if not seen["documents"]:
        raise UserError(f"no document could be used ({seen['rejected']} rejected, by --json-key {config.sample.json_key})")
    for name, content in learned.items():
        write_whole(target / name, content)
    model = flags.output
    tokenizer = build(TokenizerFlags(tokenizer_type=sniff(find(model)), tokenizer_model=model, eod_token=flags.eod_token))
    print(f"{target}: {tokenizer.vocab_size:,} tokens from {seen['documents']:,} documents, {seen['bytes'] / 1e6:,.1f} MB")
    if seen["rejected"]:
        print(f"{seen['rejected']:,} records were passed over; tools/preprocess_data.py names them")
    if tokenizer.vocab_size < flags.vocab_size:
        print(
            f"fewer than the {flags.vocab_size:,} asked for: the text holds no more pairs that occur {flags.min_frequency} times"
        )


def _texts(files: list[str], input_flags, key: str, meter, seen: collections.Counter) -> Iterator[str]:
    from megatron_ext.corpus.documents import Reject, texts
    from megatron_ext.corpus.flags import READERS
    from megatron_ext.data.preprocess.batching import read_batches

    for batch in read_batches(files, [key], input_flags):
        before = collections.Counter(seen)
        for record in batch.records:
            try:
                (text,) = texts(record, READERS.load(batch.format), [key])
            except Reject:
                seen["rejected"] += 1
                continue
            seen["documents"] += 1
            seen["bytes"] += len(text.encode())
            yield text
        meter.advance(batch.read_bytes, seen["bytes"] - before["bytes"], seen["documents"] - before["documents"])
    meter.note("merging")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
