"""Tokens a second of generation: with a cache and without, one text and several, on one model with random weights.

Greedy, `--ignore-eod`: every text gets all its tokens. What is measured is the whole step, the draw and the decoding of the
text included; the first step, which reads the prompt, too.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

from megatron_ext.backend.distributed import Launch


def run(flags) -> list[tuple[str, str]]:
    """`(what, how much)`, line by line."""
    return list(_measure(flags))


def _measure(flags):
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    argv = ["--preset", flags.preset, "--mock-data", "--train-iters", "1", "--tokenizer-type", "null", "--device", flags.device]
    argv += ["--vocab-size", str(flags.vocab_size), "--seq-length", str(flags.prompt_tokens + flags.max_new_tokens)]
    config = read_configuration([*argv, "--bf16" if flags.bf16 else "--no-bf16"], 1)
    with processes(Launch(), config) as device:
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config
        from megatron_ext.planner.parameters import count
        from megatron_ext.tokenizers.build import build

        tokenizer = build(config.tokenizer)
        model = gpt.build(config.model, model_config(config, tokenizer.vocab_size, "local"), seed=1)[0].eval()
        trained = SimpleNamespace(model=model, tokenizer=tokenizer, device=device, window=config.model.max_position_embeddings)
        yield "model", f"{count(config.model, tokenizer.vocab_size).total:,} parameters, {'bf16' if flags.bf16 else 'fp32'}"
        yield "each text", f"{flags.prompt_tokens} tokens of prompt and {flags.max_new_tokens} new ones"
        for texts in sorted({1, flags.batch_size}):
            rates = {cached: _rate(trained, texts, flags, cached) for cached in (True, False)}
            for cached, rate in rates.items():
                yield f"{texts} text(s), {'with' if cached else 'without'} cache", f"{rate:,.1f} tokens/s"
            yield f"{texts} text(s), the cache gives", f"{rates[True] / rates[False]:.1f} ×"


def _rate(trained, texts: int, flags, cached: bool) -> float:
    from megatron_ext.inference.generate import grow
    from megatron_ext.inference.prompts import Request

    settings = SimpleNamespace(
        max_new_tokens=flags.max_new_tokens, temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.0, stop=(),
        ignore_eod=True, seed=0,
    )  # fmt: skip
    ids = [tuple((text + place) % flags.vocab_size for place in range(flags.prompt_tokens)) for text in range(texts)]
    requests = [Request(number, 0, "", row) for number, row in enumerate(ids)]
    list(grow(trained, requests, SimpleNamespace(**{**vars(settings), "max_new_tokens": 2}), cached))  # to warm up
    began = time.perf_counter()
    *_, results = grow(trained, requests, settings, cached)
    return sum(len(result.ids) for result in results) / (time.perf_counter() - began)
