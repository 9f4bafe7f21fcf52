"""Generated text equals what transformers' `generate` makes with the same weights: greedy, penalised, alone and in a batch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tests.parity.families import LENGTH, VOCAB, deepseek_v3, deepseek_v3_direct_queries, gpt2, llama, mistral, olmo2, qwen3
from tests.parity.reference import filled
from tests.parity.test_parity import padded

PROMPTS = [[5, 17, 99, 3], [42], [7, 7, 120, 64, 31, 8, 2, 90, 11]]
NEW = 25  # with the longest prompt within GPT-2's 40 positions


def ours(launch, argv, weights, settings):
    """Ids of the continuations, all prompts in one batch and each alone, with a cache and without."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration(["--mock-data", "--train-iters", "1", "--device", "cpu", *argv], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.inference.generate import generate
        from megatron_ext.inference.prompts import Request
        from megatron_ext.tokenizers.build import build

        model, _ = filled(config, weights)
        trained = SimpleNamespace(model=model, tokenizer=build(config.tokenizer), device=device, window=40)
        requests = [Request(number, 0, "", tuple(ids)) for number, ids in enumerate(PROMPTS)]
        found = []
        for cached in (True, False):
            for batch_size in (len(PROMPTS), 1):
                flags = SimpleNamespace(**settings, batch_size=batch_size)
                results = {result.request.number: result.ids for result, _ in generate(trained, requests, flags, cached)}
                found.append([results[number] for number in range(len(PROMPTS))])
        return found


@pytest.mark.parametrize("family", [llama, gpt2, mistral, qwen3, olmo2, deepseek_v3, deepseek_v3_direct_queries])
def test_greedy_text_is_transformers(family, pool):
    torch.manual_seed(0)
    reference, argv, names = family()
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # far from each other, so that rounding decides nothing
    weights = padded(names({name: tensor.detach() for name, tensor in reference.state_dict().items()}))
    argv = [*argv, "--seq-length", str(LENGTH), "--tokenizer-type", "null", "--vocab-size", str(VOCAB)]
    argv += [] if "--max-position-embeddings" in argv else ["--max-position-embeddings", "40"]
    for penalty in (1.0, 1.5):
        settings = dict(temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=penalty, stop=(), ignore_eod=True,
                        max_new_tokens=NEW, seed=0)  # fmt: skip
        theirs = [
            reference.eval()
            .generate(torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False, repetition_penalty=penalty,
                      eos_token_id=None, pad_token_id=0, use_cache=True)[0, len(prompt) :].tolist()
            for prompt in PROMPTS
        ]  # fmt: skip
        assert len({tuple(text) for text in theirs}) == len(PROMPTS)
        for found in pool.run(ours, 1, argv, weights, settings)[0]:
            assert found == theirs
