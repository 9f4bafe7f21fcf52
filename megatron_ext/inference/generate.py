"""Generation: texts continued in batches, token by token, the same on any layout.

Every process runs the same loop; the model's last stage draws the tokens and gives them to all. Processes beyond one model's
share the batches among them. Rows that are finished leave the batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import torch
from megatron.core import parallel_state

from megatron_ext.arguments.problems import UserError
from megatron_ext.inference.prompts import Request
from megatron_ext.inference.reader import Reader
from megatron_ext.inference.sampling import NOT_FINITE, next_tokens, uniform
from megatron_ext.inference.stages import is_last_stage, share
from megatron_ext.inference.text import Decoder, StopWords


@dataclasses.dataclass
class Continuation:
    """What was generated for a request so far.

    Attributes:
        text: only what is certain: whole characters, and nothing that may be the beginning of a stop word.
        ids: of all new tokens, those of a stop word too, without the token that ends a document.
        finish_reason: `eod` (the document's end, or the answer's), `stop` or `length`; None while it grows.
    """

    request: Request
    text: str = ""
    ids: list[int] = dataclasses.field(default_factory=list)
    finish_reason: str | None = None


class _Growing:
    """A continuation and what it takes to go on with it."""

    def __init__(self, request: Request, tokenizer, flags):
        self.result = Continuation(request)
        self.ids = list(request.ids)
        self._ends = {*request.ends, *(() if flags.ignore_eod else (tokenizer.eod,))}
        self._most = flags.max_new_tokens
        self._decoder = Decoder(tokenizer, request.ids if request.behind is None else request.behind)
        self._stops = StopWords((*flags.stop, *request.stops))

    def add(self, token: int) -> None:
        if token in self._ends:
            return self._finish("eod")
        self.ids.append(token)
        self.result.ids.append(token)
        certain, stopped = self._stops.add(self._decoder.add(token))
        self.result.text += certain
        if stopped:
            self.result.finish_reason = "stop"
        elif len(self.result.ids) == self._most:
            self._finish("length")

    def _finish(self, reason: str) -> None:
        certain, stopped = self._stops.add(self._decoder.rest(), last=True)
        self.result.text += certain
        self.result.finish_reason = "stop" if stopped else reason


@torch.no_grad()
def grow(trained, requests: Sequence[Request], flags, cached: bool = True) -> Iterator[list[Continuation]]:
    """Generate a batch; after each step, its continuations. All processes that hold the model call it.

    Args:
        trained: `model`, `tokenizer`, `device` and `window` of an open run.
        flags: GenerationFlags, or what has its fields.
        cached: False computes every text anew for each token.
    """
    rows = [_Growing(request, trained.tokenizer, flags) for request in requests]
    results = [row.result for row in rows]
    longest = max(len(row.ids) for row in rows) + flags.max_new_tokens
    beside = [request.beside for request in requests]
    reader = Reader(trained.model, trained.window, longest, trained.device, cached, beside)
    step = 0
    while rows:
        logits = reader.next_logits([row.ids for row in rows])
        for row, token in zip(rows, _choose(logits, rows, step, flags, trained.device)):
            row.add(token)
        yield results
        kept = [number for number, row in enumerate(rows) if row.result.finish_reason is None]
        if kept and len(kept) < len(rows):
            reader.select(kept)
        rows = [rows[number] for number in kept]
        step += 1


def _choose(logits: torch.Tensor | None, rows: list[_Growing], step: int, flags, device: torch.device) -> list[int]:
    """The next token of each row, the same on all processes that hold the model."""
    tokens = torch.empty(len(rows), dtype=torch.long, device=device)
    if is_last_stage() and parallel_state.get_tensor_model_parallel_rank() == 0:
        asked = [row.result.request for row in rows]
        uniforms = [uniform(flags.seed, request.number, request.sample, step) for request in asked]
        tokens = next_tokens(logits, [row.ids for row in rows], uniforms, flags)
    found = share(tokens).tolist()
    if NOT_FINITE in found:
        number = rows[found.index(NOT_FINITE)].result.request.number
        raise UserError(f"prompt {number}: the model's logits are not finite; its weights are damaged", shared=True)
    return found


def in_order(steps: Iterable[list[Continuation]]) -> Iterator[tuple[Continuation, str]]:
    """`(continuation, new text)`: the first continuation as it grows, the next once that is finished, and so on."""
    at = told = 0
    for results in steps:
        while at < len(results):
            result = results[at]
            if len(result.text) > told or result.finish_reason is not None:
                yield result, result.text[told:]
            told = len(result.text)
            if result.finish_reason is None:
                break
            at, told = at + 1, 0


def generate(trained, requests: Sequence[Request], flags, cached: bool = True) -> Iterator[tuple[Continuation, str]]:
    """`(continuation, new text)` of all requests in their order, on rank 0; the last of a continuation has a finish_reason.

    Data-parallel processes take a batch each, and give theirs when all have finished: only the first streams. The other
    ranks see their own batch's.
    """
    batches = [requests[first : first + flags.batch_size] for first in range(0, len(requests), flags.batch_size)]
    groups, mine = parallel_state.get_data_parallel_world_size(), parallel_state.get_data_parallel_rank()
    for first in range(0, len(batches), groups):
        done: list[Continuation] = []
        steps = grow(trained, batches[first + mine], flags, cached) if first + mine < len(batches) else ()
        for result, piece in in_order(steps):
            yield result, piece
            done += [result] if result.finish_reason is not None else []
        if groups > 1:
            for result in gathered(done, mine):
                yield result, result.text


def gathered(done: list, mine: int) -> list:
    """On rank 0, what the other data-parallel processes found, in their requests' order; each model's first process speaks for
    it."""
    speaks = mine > 0 and torch.distributed.get_rank() == min(
        torch.distributed.get_process_group_ranks(parallel_state.get_model_parallel_group())
    )
    everyone = [None] * torch.distributed.get_world_size() if torch.distributed.get_rank() == 0 else None
    torch.distributed.gather_object(done if speaks else [], everyone, dst=0)
    found = [result for part in everyone or () for result in part]
    return sorted(found, key=lambda result: (result.request.number, result.request.sample))
