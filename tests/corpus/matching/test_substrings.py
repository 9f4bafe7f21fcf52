"""corpus/dedup/substring.py: what is cut is what a set of all windows says, and what a suffix array says on real text."""

import pathlib
import sysconfig
import tracemalloc

import numpy as np
import pydivsufsort
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.matching import substrings as substring
from megatron_ext.corpus.matching.substrings import How, Shard, Spans, cut, find, on_characters, shard
from megatron_ext.corpus.matching.windows import IMPLEMENTATIONS

PIECES = ["a", "b", "ab", "aaaa", "中文", "三国演义", "👍🏽", "é", "the same words ", "\n"]
texts = st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), max_size=6)


def naive(documents, window):
    """The places of each document that are cut, by a set of all windows so far."""
    seen, marks = set(), []
    for document in documents:
        places = set()
        for at in range(len(document) - window + 1):
            content = document[at : at + window]
            if content in seen:
                places.update(range(at, at + window))
            seen.add(content)
        marks.append(places)
    return marks


def marked(found, sizes):
    marks, first = [set() for _ in range(sum(sizes))], 0
    for spans, size in zip(found, sizes):
        for document, begin, end in zip(*map(np.ndarray.tolist, spans)):
            assert begin < end and not marks[first + document].intersection(range(begin - 1, end + 1)), "spans are not merged"
            marks[first + document].update(range(begin, end))
        first += size
    return marks


@settings(max_examples=400, deadline=None)
@given(texts, st.integers(1, 15), st.booleans(), st.integers(0, 6), st.integers(1, 4), st.sampled_from([64, 64, 4, 1, 0]))
@example(["a" * 14, "b", "a" * 30], 15, True, 1, 2, 64)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_equals_a_set_of_all_windows(implementation, tmp_path_factory, documents, window, characters, first, slices, bits):
    """In bytes and in characters, over shards, slices and files; with few bits of hash nearly all hashes collide."""
    documents = documents if characters else [document.encode() for document in documents]
    shards = [shard(documents[:first]), shard(documents[first:])]
    how = How(window, 2**bits - 1, implementation)
    sizes = [len(shard.ends) for shard in shards]
    expected = naive(documents, window)
    assert marked(find(shards, how, slices), sizes) == expected
    folder = tmp_path_factory.mktemp("pairs")
    assert marked(find(shards, how, slices, folder), sizes) == expected
    assert not any(folder.iterdir())


@settings(max_examples=200, deadline=None)
@given(texts, st.integers(1, 15))
def test_cuts_of_bytes_end_at_characters_and_take_only_what_was_there(documents, window):
    encoded = [document.encode() for document in documents]
    whole = shard(encoded)
    (raw,) = find([whole], How(window))
    moved = on_characters(whole, raw)
    bytes_cut, characters_cut = (marked([spans], [len(encoded)]) for spans in (raw, moved))
    for text, before, after in zip(encoded, bytes_cut, characters_cut):
        expected, at = set(), 0
        for character in text.decode():
            places = range(at, at := at + len(character.encode()))
            expected.update(places if before.issuperset(places) else ())
        assert after == expected
        left = cut(text, runs(after))
        assert left.decode().encode() == bytes(byte for place, byte in enumerate(text) if place not in after)


def runs(places):
    begins = sorted(place for place in places if place - 1 not in places)
    return [(begin, next(end for end in range(begin, 10**6) if end not in places)) for begin in begins]


def test_by_hand():
    first, second = b"It was the best of times, it was the worst", b"so: it was the best of times. He said it was the worst!"
    whole = shard([first, second])
    (spans,) = find([whole], How(12))
    assert [(d, second[b:e]) for d, b, e in zip(*spans)] == [(1, b" it was the best of times"), (1, b" it was the worst")]
    pairs = [(int(b), int(e)) for _, b, e in zip(*spans)]
    assert cut(second, pairs) == b"so:. He said!"
    assert cut(second, pairs, least=14) is None and cut(second, pairs, least=13) is not None
    assert cut(first, [], least=1000) == first, "a document in which nothing was cut is not dropped"
    assert cut("三国演义", [(1, 3)]) == "三义"


def test_tokens_and_mapped_files(tmp_path):
    tokens = np.random.default_rng(3).integers(0, 60_000, 3000).astype(np.uint16)
    np.concatenate([tokens, tokens[100:400], tokens[:5]]).tofile(tmp_path / "tokens")
    mapped = np.memmap(tmp_path / "tokens", np.uint16, "r")
    (spans,) = find([Shard(mapped, np.array([3000, 3305], np.uint64))], How(50))
    assert [array.tolist() for array in spans] == [[1], [0], [300]]


def test_what_repeats_without_end_is_linear_in_memory():
    """A run of one letter and a file ten times over: 16 bytes a window for anchors or windows, twice that for a moment."""
    page = np.random.default_rng(1).integers(0, 256, 50_000).astype(np.uint8)
    run = Shard(np.full(500_000, 97, np.uint8), np.array([500_000], np.uint64))
    files = Shard(np.tile(page, 10), np.arange(1, 11, dtype=np.uint64) * np.uint64(50_000))
    for text, expected in ((run, [(0, 1, 500_000)]), (files, [(number, 0, 50_000) for number in range(1, 10)])):
        tracemalloc.start()
        (spans,) = find([text])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert [tuple(map(int, row)) for row in zip(*spans)] == expected
        assert peak < 60 * len(text.items)


def suffix_array_spans(whole: Shard, window: int) -> Spans:
    """The same by means of a suffix array: runs of suffixes that share `window` items, all but the first in the text."""
    order = pydivsufsort.divsufsort(np.ascontiguousarray(whole.items))
    shared = pydivsufsort.kasai(np.ascontiguousarray(whole.items), order)
    inside, begin = np.zeros(len(whole.items), bool), 0
    for end in whole.ends.tolist():
        inside[begin : max(begin, end - window + 1)] = True
        begin = end
    group, order = np.cumsum(np.append(True, shared[:-1] < window)), order.astype(np.int64)
    group, order = group[inside[order]], order[inside[order]]
    by_place = np.lexsort((order, group))
    group, order = group[by_place], order[by_place]
    return substring.spans(whole, 0, np.sort(order[1:][group[1:] == group[:-1]]).astype(np.uint64), How(window))


def library(most):
    documents, size = [], 0
    for path in sorted(pathlib.Path(sysconfig.get_path("purelib")).glob("t*/**/*.py")):
        documents.append(path.read_bytes())
        size += len(documents[-1])
        if size > most:
            break
    return documents


@pytest.mark.parametrize("megabytes", [2, pytest.param(12, marks=pytest.mark.full)])
def test_equals_a_suffix_array_on_real_text(megabytes, tmp_path):
    documents = library(megabytes * 10**6)
    whole = shard(documents)
    expected = suffix_array_spans(whole, 200)
    assert len(expected.begin) > 100 and len(whole.items) > megabytes * 10**6
    assert all(np.array_equal(*both) for both in zip(find([whole])[0], expected))
    firsts = [0, 40, 140]
    parts = [shard(documents[begin:end]) for begin, end in zip(firsts, [*firsts[1:], None])]
    found = find(parts, slices=5, folder=tmp_path)
    moved = [spans._replace(document=spans.document + first) for spans, first in zip(found, firsts)]
    assert all(np.array_equal(np.concatenate(arrays), both) for arrays, both in zip(zip(*moved), expected))
