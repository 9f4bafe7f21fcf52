"""Reading token by token with a cache gives the logits of reading the whole text: for each text alone, by the plain model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.inference.reader import first_seen
from tests.inference.case import MODELS, WINDOW, opened, train


@given(length=st.integers(1, 500), window=st.integers(1, 60))
def test_of_a_long_text_the_model_sees_the_end(length, window):
    first = first_seen(length, window)
    seen = length - first
    assert 1 <= seen <= window
    assert first == 0 if length <= window else 2 * seen >= window, "less than half a window is seen"
    if first != first_seen(length + 1, window):
        assert seen == window, "a text is read anew before its window is full"


@pytest.fixture(scope="module")
def runs(pool, tmp_path_factory):
    return {model: train(pool, model, tmp_path_factory.mktemp(model)) for model in MODELS}


def differences(trained, flags, cached):
    """Largest |Δlogit| of each step of a batch against each text alone, in one pass without cache; rows leave and are doubled."""
    from megatron_ext.inference.reader import Reader

    generator = torch.Generator().manual_seed(0)
    texts = [torch.randint(0, 140, (size,), generator=generator).tolist() for size in (5, 1, WINDOW, 9, 9)]
    texts += [list(texts[3])]  # two samples of a prompt
    reader, found = Reader(trained.model, WINDOW, 200, trained.device, cached), []
    with torch.no_grad():
        for step in range(2 * WINDOW + 4):
            logits = reader.next_logits(texts)
            for row, text in enumerate(texts):
                seen = torch.tensor([text[first_seen(len(text), WINDOW) :]])
                alone = trained.model(seen, torch.arange(seen.shape[1])[None], None)[0, -1, :140]
                found.append((logits[row] - alone).abs().max().item())
            for row, text in enumerate(texts):
                text.append(int(logits[row].argmax() + row) % 140)
            if step % 10 == 9:
                kept = [row for row in range(len(texts)) if row != step // 10]
                reader.select(kept)
                texts = [texts[row] for row in kept]
    return found, max(alone.abs().max().item(), 1.0)


def prefix_differences(trained, flags, cached):
    """The same with prompts seen both ways, each text alone in one pass: what was given of it, and what grew behind."""
    from megatron_ext.inference.reader import Beside, Reader
    from megatron_ext.models.attention.tokens import Tokens

    generator = torch.Generator().manual_seed(0)
    texts = [torch.randint(0, 140, (size,), generator=generator).tolist() for size in (5, 1, 11, 9)]
    given, found, plain = [len(text) for text in texts], [], []
    reader = Reader(trained.model, WINDOW, 200, trained.device, cached, [Beside(prefix=size) for size in given])
    with torch.no_grad():
        for _ in range(2 * WINDOW):
            logits = reader.next_logits(texts)
            for row, text in enumerate(texts):
                first = first_seen(len(text), WINDOW)
                seen = torch.tensor([text[first:]])
                index = torch.arange(seen.shape[1])
                tokens = Tokens(index, len(index), prefix=(index < given[row] - first)[None])
                alone, causal = (
                    trained.model(seen, index[None], None, extra_block_kwargs={"attention_bias": each})[0, -1, :140]
                    for each in (tokens, None)
                )
                found.append((logits[row] - alone).abs().max().item())
                plain.append((logits[row] - causal).abs().max().item())
                text.append(int(logits[row].argmax() + row) % 140)
    return found, plain


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])
def test_a_prompt_is_a_prefix_of_a_prefix_decoder(cached, runs, pool):
    found, plain = pool.run(opened, 1, ["--load", runs["prefix"], "--prompt", "1"], prefix_differences, cached)[0]
    assert max(found) <= 1e-5 and max(plain) > 1e-3


@pytest.mark.parametrize("model", [name for name in MODELS if name != "prefix"])
@pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])
def test_every_step_equals_the_whole_text_alone(model, cached, runs, pool):
    found, scale = pool.run(opened, 1, ["--load", runs[model], "--prompt", "1"], differences, cached)[0]
    assert max(found) <= 1e-5 * scale
    assert scale > 1.0, "logits so small tell little"


def fed(trained, flags):
    """Tokens that go through the model in each step of a text that outgrows its window, and the cache's slots."""
    from megatron_ext.inference.reader import Reader

    reader, text, sizes = Reader(trained.model, WINDOW, 1000, trained.device), [1, 2, 3], []
    trained.model.embedding.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    with torch.no_grad():
        for _ in range(3 * WINDOW):
            text.append(int(reader.next_logits([text]).argmax()))
    kept = [tensor.shape for layer in reader._cache.memory.values() for tensor in layer.values()]
    return sizes, kept


def test_a_step_is_one_token_and_memory_is_bounded_by_the_window(runs, pool):
    sizes, kept = pool.run(opened, 1, ["--load", runs["llama"], "--prompt", "1"], fed)[0]
    again = [step for step, size in enumerate(sizes) if size > 1]
    assert set(sizes) == {3, WINDOW // 2 + 1, 1}
    assert again == [0, *range(WINDOW - 2, 3 * WINDOW, WINDOW // 2)]
    assert set(kept) == {(1, 2, WINDOW, 16)}
