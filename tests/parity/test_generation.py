"""Generated text equals what transformers' `generate` makes with the same weights: greedy, penalised, alone and in a batch.

A decoder goes on with a prompt; behind an encoder, which reads it, it writes from its first token on.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tests.parity.encoder_decoders import bart, t5, t5_v1_1, umt5
from tests.parity.families import deepseek_v3, deepseek_v3_direct_queries, gpt2, llama, mistral, mixtral, olmo2, qwen3
from tests.parity.reference import opened
from tests.parity.test_parity import perturbed

PROMPTS = [[5, 17, 99, 3], [42], [7, 7, 120, 64, 31, 8, 2, 90, 11]]
BEHIND_ENCODERS = (t5, t5_v1_1, umt5, bart)
NEW = 25  # with the longest prompt within GPT-2's 40 positions; BART's decoder has 20


def ours(launch, folder, settings):
    """Ids of the continuations, all prompts in one batch and each alone, with a cache and without."""
    with opened(launch, folder) as (config, model):
        from megatron_ext.inference.generate import generate
        from megatron_ext.inference.prompts import Request
        from megatron_ext.inference.reader import Beside
        from megatron_ext.tokenizers.build import build

        trained = SimpleNamespace(model=model, tokenizer=build(config.tokenizer), device=torch.device("cpu"), window=40)
        requests = [Request(number, 0, "", tuple(ids)) for number, ids in enumerate(PROMPTS)]
        if (first := config.model.decoder_start_token_id) is not None:
            requests = [Request(number, 0, "", (first,), Beside(encoder=tuple(ids))) for number, ids in enumerate(PROMPTS)]
        found = []
        for cached in (True, False):
            for batch_size in (len(PROMPTS), 1):
                flags = SimpleNamespace(**settings, batch_size=batch_size)
                results = {result.request.number: result.ids for result, _ in generate(trained, requests, flags, cached)}
                found.append([results[number] for number in range(len(PROMPTS))])
        return found


@pytest.mark.parametrize("family", [
    llama, gpt2, mistral, qwen3, olmo2, mixtral, deepseek_v3, deepseek_v3_direct_queries, *BEHIND_ENCODERS,
])  # fmt: skip
def test_greedy_text_is_transformers(family, pool, tmp_path):
    torch.manual_seed(0)
    reference = perturbed(family(), 0.3)  # far from each other, so that rounding decides nothing
    reference.save_pretrained(tmp_path)
    new = 18 if family is bart else NEW
    for penalty in (1.0, 1.5):
        settings = dict(temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=penalty, stop=(), ignore_eod=True,
                        max_new_tokens=new, seed=0)  # fmt: skip
        behind = {"decoder_start_token_id": reference.config.decoder_start_token_id} if family in BEHIND_ENCODERS else {}
        theirs = [
            reference.generate(torch.tensor([prompt]), max_new_tokens=new, do_sample=False, repetition_penalty=penalty,
                      eos_token_id=None, pad_token_id=0, use_cache=True,
                      forced_eos_token_id=None, **behind)[0, 1 if behind else len(prompt) :].tolist()
            for prompt in PROMPTS
        ]  # fmt: skip
        assert len({tuple(text) for text in theirs}) == len(PROMPTS)
        for found in pool.run(ours, 1, tmp_path, settings)[0]:
            assert found == theirs
