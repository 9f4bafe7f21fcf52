#!/usr/bin/env python3
"""Learn a tokenizer from text, and write the folder that pretraining and transformers read.

python tools/train_tokenizer.py --algorithm byte_level_bpe --input 'data/*.jsonl.gz' --vocab-size 8192 --output tok
python tools/train_tokenizer.py --algorithm unigram --input 'web/*.jsonl.zst' 'code/*.jsonl.zst' --weights 0.7 0.3 \
    --sample-megabytes 500 --special-tokens fim span_corruption --make-vocab-size-divisible-by 128 --output tok
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import signal
import sys
import tempfile
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import UserError, exit_status
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.data.flags import SampleFlags
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.files import find, sniff
from megatron_ext.tokenizers.flags import ALGORITHMS, TokenizerFlags, TrainTokenizerFlags

PROGRAM = "train_tokenizer.py"
ABOUT = "Learn a tokenizer from text (JSON lines, Parquet, plain text …; .gz and .zst too) and write its folder."
RECORD = "training.json"
MODELS = ("tokenizer.json", "tokenizer.model")


def main(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # learning is native code, which would not look at Ctrl-C for minutes
    return exit_status(lambda: _train(read([InputFlags, SampleFlags, TrainTokenizerFlags], argv, PROGRAM, ABOUT)), PROGRAM)


def _train(config) -> None:
    flags = config.training
    from megatron_ext.corpus.whole_file import WholeFile
    from megatron_ext.data.sampling import Sample
    from megatron_ext.tokenizers import extending

    target = pathlib.Path(flags.output)
    learner = extending if flags.extend else ALGORITHMS.load(flags.algorithm)
    _refuse_another_model(target, extending.model(flags) if flags.extend else learner.MODEL)
    WholeFile(str(target / RECORD)).discard()  # find out now whether it can be written
    sample = Sample(config.input, config.sample)
    learned = learner.train(sample, flags)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in learned.items():
            (pathlib.Path(folder) / name).write_bytes(content)
        kind = sniff(find(folder))
        eod = None if flags.extend else flags.eod_token
        tokenizer = build(TokenizerFlags(tokenizer_type=kind, tokenizer_model=folder, eod_token=eod))
        lossy = _lossy(tokenizer, sample, flags)
    learned[RECORD] = _record(config, sample, tokenizer, lossy)
    _publish(target, learned)
    taken, size = (sum(getattr(source, name) for source in sample.sources) for name in ("taken", "taken_size"))
    print(f"{target}: {tokenizer.vocab_size:,} entries from {taken:,} documents, {size / 1e6:,.1f} MB")
    if len(sample.sources) > 1:
        for source in sample.sources:
            share = f"{source.taken_size / 1e6:,.1f} MB, {source.taken_size / size:.1%}"
            print(f"  {source.pattern}: {source.taken:,} documents, {share}")
    rejected = sum(source.rejected for source in sample.sources)
    if rejected:
        print(f"{rejected:,} records were passed over; tools/preprocess_data.py names them")
    if tokenizer.vocab_size < flags.vocab_size:
        print(f"fewer than the {flags.vocab_size:,} asked for: the text holds no more that could be learned")


def _refuse_another_model(target: pathlib.Path, model: str) -> None:
    """UserError: a folder with two models would be read as the wrong one."""
    there = next((name for name in MODELS if name != model and (target / name).exists()), None)
    if there is not None:
        raise UserError(f"--output {target}: holds the {there} of another tokenizer; remove it, or name another folder")


def _lossy(tokenizer, sample, flags) -> int:
    """How many documents of the sample do not come back as they were. UserError: any does not, and that was not allowed."""
    from megatron_ext.tokenizers.round_trip import loss

    lost = documents = 0
    for text in sample.texts("checking"):
        documents += 1
        found = loss(tokenizer, text)
        if found is None:
            continue
        lost += 1
        if lost == 1:
            source = next(source for source in reversed(sample.sources) if source.taken)
            said = f"document {source.taken} of {source.pattern} does not come back from its tokens: {found}"
            if not flags.allow_lossy:
                how = f"--extend {flags.extend}" if flags.extend else f"--algorithm {flags.algorithm}"
                raise UserError(f"{how}: {said}. {_way_out(flags)}, or take it so with --allow-lossy")
    if lost:
        print(f"warning: {lost / documents:.2%} of the documents are not kept; {said}", file=sys.stderr)
    return lost


def _way_out(flags) -> str:
    if flags.extend:
        return "The earlier tokenizer changes texts, too: extend another one"
    if not flags.byte_fallback:
        return "Nothing stands for what the vocabulary lacks: leave --no-byte-fallback out"
    return "Learn with another --algorithm, such as byte_level_bpe, which keeps every text"


def _record(config, sample, tokenizer, lossy: int) -> bytes:
    """What it was learned from, for whoever finds the folder."""
    import sentencepiece
    import tokenizers

    without = ("output", "allow_lossy")
    flags = {**dataclasses.asdict(config.training), **dataclasses.asdict(config.sample)}
    keys = {"input": "pattern", "documents": "taken", "bytes": "taken_size", "rejected": "rejected"}
    sources = [{key: getattr(source, name) for key, name in keys.items()} for source in sample.sources]
    content = {
        "flags": {name: value for name, value in flags.items() if name not in without},
        "sources": sources,
        "documents_lost": lossy,
        "vocab_size": tokenizer.vocab_size,
        "fingerprint": tokenizer.fingerprint(),
        "libraries": {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__},
    }
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"


def _publish(target: pathlib.Path, contents: dict[str, bytes]) -> None:
    """All files, or, where one cannot be written, none."""
    from megatron_ext.corpus.whole_file import WholeFile

    files = []
    try:
        for name, content in contents.items():
            files.append(WholeFile(str(target / name)))
            files[-1].write(content)
            files[-1].seal()
        for file in files:
            file.publish()
    finally:
        for file in files:
            file.discard()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
