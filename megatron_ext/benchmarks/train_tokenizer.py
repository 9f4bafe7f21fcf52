"""Learning tokenizers: CPU time, and how short held-out text becomes, beside what the libraries' own trainers give.

Nine tenths of the texts are learned from, the rest is held out. Seconds are of CPU time, all cores together. Peers:
tokenizers' `UnigramTrainer` on the same split as `unigram`, all of its entries pieces, none of them a byte; sentencepiece's own
trainer from lines, as its users call it, with the settings of `sentencepiece_bpe` and `sentencepiece_unigram`.
"""

from __future__ import annotations

import io
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator

from megatron_ext.benchmarks.corpus_text import size_of, texts
from megatron_ext.benchmarks.flags import TrainTokenizerBenchmarkFlags
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import ALGORITHMS, TokenizerFlags, TrainTokenizerFlags

Encode = Callable[[list[str]], list[list[int]]]


def run(flags: TrainTokenizerBenchmarkFlags) -> Iterator[tuple[str, str]]:
    found = [each.text for each in texts(flags.input, flags.megabytes)]
    held_out, learned_from = found[::10], [text for number, text in enumerate(found) if number % 10]
    yield "text", f"{size_of(learned_from) / 1e6:.1f} MB, held out {size_of(held_out) / 1e6:.1f} MB, {flags.vocab_size:,} entries"
    for algorithm in flags.algorithms:
        peer = PEERS.get(algorithm)
        ways = {algorithm: _ours, f"{algorithm}, {peer[0]}": peer[1]} if peer else {algorithm: _ours}
        for name, way in ways.items():
            before = time.process_time()
            encode = way(algorithm, learned_from, flags.vocab_size)
            seconds = time.process_time() - before
            tokens = sum(map(len, encode(held_out)))
            yield name, f"{seconds:.1f} s, {size_of(held_out) / tokens:.3f} bytes a token"


def _ours(algorithm: str, documents: list[str], vocab_size: int) -> Encode:
    contents = ALGORITHMS.load(algorithm).train(documents, TrainTokenizerFlags(algorithm=algorithm, vocab_size=vocab_size))
    kind = "sentencepiece" if ALGORITHMS.load(algorithm).MODEL == "tokenizer.model" else "huggingface"
    with tempfile.TemporaryDirectory() as folder:
        for name, content in contents.items():
            (pathlib.Path(folder) / name).write_bytes(content)
        return build(TokenizerFlags(tokenizer_type=kind, tokenizer_model=folder)).encode_batch


def _unigram_trainer(_: str, documents: list[str], vocab_size: int) -> Encode:
    """Without bytes: unknown characters are a token each."""
    import tokenizers
    from tokenizers import Regex, models, pre_tokenizers, trainers

    from megatron_ext.tokenizers.training._huggingface import pattern

    learned = tokenizers.Tokenizer(models.Unigram())
    learned.pre_tokenizer = pre_tokenizers.Split(Regex(pattern(TrainTokenizerFlags())), "isolated")
    trainer = trainers.UnigramTrainer(vocab_size=vocab_size, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    learned.train_from_iterator(documents, trainer)
    return lambda held_out: [found.ids for found in learned.encode_batch(held_out)]


def _from_lines(algorithm: str, documents: list[str], vocab_size: int) -> Encode:
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in documents for line in text.split("\n") if line),
        model_writer=written,
        model_type=algorithm.removeprefix("sentencepiece_"),
        vocab_size=vocab_size,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        byte_fallback=True,
        split_digits=True,
        hard_vocab_limit=False,
        minloglevel=3,
    )
    return lambda held_out: sentencepiece.SentencePieceProcessor(model_proto=written.getvalue()).encode(held_out, out_type=int)


PEERS = {
    "unigram": ("tokenizers' UnigramTrainer", _unigram_trainer),
    "sentencepiece_bpe": ("from lines", _from_lines),
    "sentencepiece_unigram": ("from lines", _from_lines),
}
