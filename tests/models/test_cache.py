"""The cache alone: who sees which slot, what padding leaves behind, rows that leave and are doubled, its end."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.models.cache import Cache

HEADS, WIDTH = 2, 3


def tensor(values):
    """`[b, s]` numbers as `[b, heads, s, width]`."""
    return torch.tensor(values, dtype=torch.float32)[:, None, :, None].expand(-1, HEADS, -1, WIDTH)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_row_sees_its_own_tokens_in_order(data):
    """Against lists: after any steps and selections, a row's visible slots hold what it was given, and nothing of padding."""
    counts = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    slots = max(counts) + 6
    cache, number = Cache(slots, slots, torch.device("cpu")), 0
    cache.read(counts)
    assert cache.tokens is None
    rows = []
    for count in counts:
        rows.append(list(range(number + 1, number + 1 + count)))
        number += count
    (seen,) = cache.extend(1, key=tensor([row + [-1] * (max(counts) - len(row)) for row in rows]))
    assert seen.shape == (len(counts), HEADS, max(counts), WIDTH)
    hidden = torch.arange(max(counts) * len(rows)).reshape(max(counts), len(rows), 1)
    assert cache.last_of_rows(hidden)[0, :, 0].tolist() == [hidden[len(row) - 1, i, 0] for i, row in enumerate(rows)]
    for _ in range(5):
        if data.draw(st.booleans()):
            chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=5))
            cache.select(chosen)
            rows = [list(rows[row]) for row in chosen]
        cache.next()
        number += 1
        for row in rows:
            row.append(number)
        key, value = cache.extend(1, key=tensor([[number]] * len(rows)), value=tensor([[-number]] * len(rows)))
        assert cache.positions.tolist() == [[len(row) - 1] for row in rows]
        slots = torch.arange(cache.tokens.keys)
        for row, text in enumerate(rows):
            visible = slots <= cache.tokens.queries[row]
            assert key[row, 0, visible, 0].tolist() == text and torch.equal(key[row, 0], key[row, 1])
            assert value[row, 1, visible, 2].tolist()[-1] == -number


def test_layers_keep_apart_and_their_memory_is_the_slots():
    cache = Cache(7, 20, torch.device("cpu"))
    cache.read([2])
    cache.extend(1, key=tensor([[1, 2]]))
    cache.extend(2, key=tensor([[3, 4]]), latent=tensor([[5, 6]])[:, :1])
    assert {(layer, name): tuple(kept.shape) for layer, names in cache.memory.items() for name, kept in names.items()} == {
        (1, "key"): (1, HEADS, 7, WIDTH), (2, "key"): (1, HEADS, 7, WIDTH), (2, "latent"): (1, 1, 7, WIDTH),
    }  # fmt: skip


def test_a_text_beyond_the_slots_is_an_error():
    cache = Cache(3, 20, torch.device("cpu"))
    cache.read([3])
    with pytest.raises(ValueError, match="a row of 4 tokens does not fit into the cache's 3 slots"):
        cache.next()
