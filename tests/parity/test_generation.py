"""Generated text equals what transformers' `generate` makes with the same weights: greedy, penalised, alone and in a batch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tests.parity.families import deepseek_v3, deepseek_v3_direct_queries, gpt2, llama, mistral, mixtral, olmo2, qwen3
from tests.parity.reference import opened
from tests.parity.test_parity import perturbed

PROMPTS = [[5, 17, 99, 3], [42], [7, 7, 120, 64, 31, 8, 2, 90, 11]]
NEW = 25  # with the longest prompt within GPT-2's 40 positions


def ours(launch, folder, settings):
    """Ids of the continuations, all prompts in one batch and each alone, with a cache and without."""
    with opened(launch, folder) as (config, model):
        from megatron_ext.inference.generate import generate
        from megatron_ext.inference.prompts import Request
        from megatron_ext.tokenizers.build import build

        trained = SimpleNamespace(
            config=config, model=model, tokenizer=build(config.tokenizer), device=torch.device("cpu"), window=40
        )
        requests = [Request(number, 0, "", tuple(ids)) for number, ids in enumerate(PROMPTS)]
        found = []
        for cached in (True, False):
            for batch_size in (len(PROMPTS), 1):
                flags = SimpleNamespace(**settings, batch_size=batch_size)
                results = {result.request.number: result.ids for result, _ in generate(trained, requests, flags, cached)}
                found.append([results[number] for number in range(len(PROMPTS))])
        return found


@pytest.mark.parametrize("family", [llama, gpt2, mistral, qwen3, olmo2, mixtral, deepseek_v3, deepseek_v3_direct_queries])
def test_greedy_text_is_transformers(family, pool, tmp_path):
    torch.manual_seed(0)
    reference = perturbed(family(), 0.3)  # far from each other, so that rounding decides nothing
    reference.save_pretrained(tmp_path)
    for penalty in (1.0, 1.5):
        settings = dict(temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=penalty, stop=(), ignore_eod=True,
                        max_new_tokens=NEW, seed=0)  # fmt: skip
        theirs = [
            reference.generate(torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False, repetition_penalty=penalty,
                      eos_token_id=None, pad_token_id=0, use_cache=True)[0, len(prompt) :].tolist()
            for prompt in PROMPTS
        ]  # fmt: skip
        assert len({tuple(text) for text in theirs}) == len(PROMPTS)
        for found in pool.run(ours, 1, tmp_path, settings)[0]:
            assert found == theirs
