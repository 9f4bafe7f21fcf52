"""The way from input files to `.bin/.idx`: read, tokenize in workers, write in the input's order, publish.

Memory does not grow with the input: batches of about a megabyte, a few a worker in flight, and nothing kept afterwards.
Files get their names only when all of them are complete on disk; whatever fails before that leaves the folder as it was.
An older output of the same prefix is replaced then (Megatron-LM overwrites too).
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from megatron_ext.arguments.config import Config
from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.steps import empty_tally, reasons
from megatron_ext.corpus.engine.clean import clean
from megatron_ext.corpus.engine.flags import EngineFlags
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.corpus.inputs import expand_all, size_on_disk
from megatron_ext.corpus.progress import Meter
from megatron_ext.corpus.receipt.write import write_receipt
from megatron_ext.corpus.utf8 import scan
from megatron_ext.data.preprocess.batching import read_batches
from megatron_ext.data.preprocess.encoding import Encoder, boundary
from megatron_ext.data.preprocess.flags import PreprocessFlags
from megatron_ext.data.preprocess.outputs import Outputs, names
from megatron_ext.data.preprocess.totals import Totals
from megatron_ext.data.preprocess.trial import difference
from megatron_ext.data.preprocess.workers import ordered_map
from megatron_ext.data.sidecar import source
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags


def preprocess(
    flags: InputFlags, tokenizer_flags: TokenizerFlags, output: PreprocessFlags, cleaning: SimpleNamespace | None = None
) -> Totals:
    """Tokenize and write. UserError: something that the user can mend; then nothing was written.

    Args:
        cleaning: the flat configuration of the steps that documents go through before; then there is a receipt, too.
    """
    scan(b"")  # where only its slow twin can serve, it says so, and the workers do not
    tokenizer = build(tokenizer_flags)
    prefix, keys = output.output_prefix, output.json_keys
    before = None if output.prefix_key is None else (output.prefix_key, output.prefix_end_token)
    read = keys if before is None else (*keys, output.prefix_key)
    if before is not None:
        boundary(tokenizer, before)
    files = expand_all(flags.input, leave_out=names(prefix, keys))
    tally = None if cleaning is None else empty_tally(cleaning)
    totals = Totals(keys=keys, files=len(files), told=reasons(() if cleaning is None else cleaning.filters))
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        outputs = stack.enter_context(Outputs(prefix, keys, tokenizer.vocab_size))
        meter = stack.enter_context(Meter("tokenizing", size_on_disk(files), output.log_interval))
        batches = read_batches(files, read, flags, whole=cleaning is not None)
        first = list(itertools.islice(batches, 1))
        slow = difference(tokenizer, first[0], read) if first else None
        built = tokenizer if output.workers == 1 else None  # workers build their own
        arguments = (tokenizer_flags, keys, output.append_eod, cleaning, slow is not None, built, before)
        encoded = ordered_map(Encoder, arguments, itertools.chain(first, batches), output.workers)
        for batch in stack.enter_context(contextlib.closing(encoded)):
            if batch.rejects and output.strict:
                raise UserError(f"{told(batch.rejects[0], totals.told)}; --strict stops here, and nothing was written")
            outputs.add(batch)
            totals.add(batch)
            if tally is not None:
                tally.update(batch.tally)
            meter.advance(batch.read_bytes, batch.text_bytes, batch.documents)
        totals.seconds = time.monotonic() - start
        if not totals.documents:
            first = f"; the first: {told(totals.first_reject, totals.told)}" if totals.first_reject else ""
            raise UserError(f"no document could be used, rejected: {totals.refused}{first}; nothing was written")
        outputs.publish(totals.as_dict(), source(tokenizer, tokenizer_flags, output.append_eod))
    totals.warnings = [slow] if slow else []
    if tally is not None:
        totals.warnings += write_receipt(prefix + "_", cleaning, tally, len(files), totals.seconds)
    return totals


def deduplicated(config: Config) -> tuple[InputFlags, Sequence[str]]:
    """Clean and deduplicate into PREFIX_corpus, whose jobs that are done stay done; the clean corpus as input, and warnings.

    Duplicates are known only when all documents were seen, so here texts lie on disk before they are tokenized.
    """
    output = config.output
    engine = EngineFlags(output=f"{output.output_prefix}_corpus", workers=output.workers, text_key=output.json_keys[0])
    others = {name: group for name, group in vars(config).items() if name not in ("world_size", "derived", "tokenizer", "output")}
    warnings = clean(Config(1, engine=engine, **others)).warnings
    return InputFlags(input=(f"{glob.escape(engine.output)}/part-*",)), warnings


def told(reject: dict, reasons: Mapping[str, str]) -> str:
    """A line of the file of rejects as a person reads it: `x.jsonl, line 3: not JSON (unexpected character …)`."""
    unit = next(key for key in reject if key not in ("file", "reason", "detail", "byte"))
    where = f", byte {reject['byte']}" if "byte" in reject else ""
    return f"{reject['file']}, {unit} {reject[unit]}{where}: {reasons[reject['reason']]} ({reject['detail']})"
