"""C++ gives tiktoken's ids, by every rule that it knows: any text, every character, pieces of any length, seen before or not."""

from __future__ import annotations

import functools
import random
import time

import numpy as np
import pytest
import regex
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.tokenizers import byte_pairs
from megatron_ext.tokenizers.byte_pairs import LONGEST_RUN, RULES, BytePairs
from megatron_ext.tokenizers.patterns import PATTERNS
from tests import texts

BYTES = {bytes([byte]): byte for byte in range(256)}
PATTERN_IDS = [
    next((name for name, known in PATTERNS.items() if known == pattern), f"rule{at}") for at, pattern in enumerate(RULES)
]


@functools.cache
def learned(pattern):
    """Both ways, with a vocabulary learned from text."""
    ranks = {token: rank for rank, token in enumerate(texts.ranks())}
    return BytePairs(pattern, ranks), tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


@functools.cache
def every_pair(pattern):
    """Both ways, with a vocabulary that has all pairs of bytes, so that ids show where pieces end."""
    order = random.Random(1).sample(range(2**16), 2**16)
    ranks = BYTES | {bytes(divmod(pair, 256)): 256 + at for at, pair in enumerate(order)}
    return BytePairs(pattern, ranks), tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def same(both, text):
    ours, theirs = both
    assert ours.quick and ours.encode(text) == theirs.encode_ordinary(text)


@pytest.fixture(scope="module", params=list(RULES), ids=PATTERN_IDS)
def pattern(request):
    return request.param


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
HARD = st.text(st.sampled_from("aestrvlmdSTE'\u017f’12½Ⅷ \n\r\t\u00a0\u2003\u0085.,-/_()中é\u0301ǅʰ"), max_size=60)


@given(ANY | HARD)
@settings(max_examples=150, deadline=None)
def test_same_ids_on_any_text(pattern, text):
    for both in (learned(pattern), every_pair(pattern)):
        same(both, text)


@given(HARD)
@settings(max_examples=150, deadline=None)
def test_pieces_are_those_of_the_regular_expression(pattern, text):
    """By a third implementation of it."""
    ends = learned(pattern)[0]._native.pieces(text.encode())
    assert ends == [len(text[: found.end()].encode()) for found in regex.finditer(pattern, text)]


def test_same_ids_on_real_and_hard_text(pattern):
    for text in (*texts.library_texts(120), *texts.HARD, ""):
        same(learned(pattern), text)


@pytest.mark.parametrize("step", [pytest.param(97, id="some"), pytest.param(1, id="all", marks=pytest.mark.full)])
def test_same_ids_around_every_character(pattern, step):
    codes = [*range(0, 0x32400, step), *range(0x32400, 0x110000, 997)]  # assigned ones, and a few of the empty planes
    characters = [chr(code) for code in codes if not 0xD800 <= code < 0xE000]
    for start in range(0, len(characters), 5000):
        part = characters[start : start + 5000]
        same(every_pair(pattern), "".join(f"e{c}n 1{c}1 {c} '{c} .{c}.\n{c}\nA{c}A{c}a {c}a" for c in part))


@pytest.mark.full
def test_classes_are_tiktokens_for_every_code_point():
    """Those that are not asked about have none."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    table = np.frombuffer(byte_pairs._classes(), np.uint8)
    for expression, bit in byte_pairs._CLASSES.items():
        only = tiktoken.Encoding("x", pat_str=expression, mergeable_ranks=BYTES, special_tokens={})
        found = bytes(only.encode_ordinary(everything)).decode()
        assert np.flatnonzero(table & bit).tolist() == sorted(map(ord, found))


@given(st.text("ab", min_size=100, max_size=700), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_long_pieces_are_merged_alike(text, seed):
    """Beyond 128 bytes by a heap, below by looking at all."""
    draw, tokens = random.Random(seed), dict.fromkeys([b"ab", b"aa", b"ba"])
    while len(tokens) < 40:
        tokens[draw.choice([*tokens]) + draw.choice([*tokens, b"a", b"b"])] = None
    ranks = BYTES | {token: 256 + rank for rank, token in enumerate(tokens)}
    pattern = PATTERNS["llama3"]
    theirs = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    for length in (20, 64, 127, 128, 129, len(text)):
        assert BytePairs(pattern, ranks).encode(text[:length]) == theirs.encode_ordinary(text[:length])


def test_an_endless_piece_takes_no_quadratic_time():
    ours = learned(PATTERNS["llama3"])[0]
    start = time.process_time()
    ids = ours.encode("ab" * 1_000_000)
    assert time.process_time() - start < 20  # under a second; squared it were hours
    tokens = texts.ranks()
    assert sum(len(tokens[token]) for token in ids) == 2_000_000


def test_what_was_seen_before_gives_the_same_ids_again():
    """More pieces than the table holds, so that slots change hands, twice; lengths around those that it holds."""
    draw = random.Random(3)
    words = [
        "".join(draw.choices("abcdefghij", k=draw.choice([1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 24, 25]))) for _ in range(150_000)
    ]
    text = " ".join(words + words)
    ours, theirs = learned(PATTERNS["llama3"])
    assert ours.encode(text) == theirs.encode_ordinary(text)
    assert ours.encode(text) == theirs.encode_ordinary(text)


@pytest.mark.parametrize("twin", [False, True])
def test_many_texts_at_once(twin):
    ranks = {token: rank for rank, token in enumerate(texts.ranks())}
    ours, some = BytePairs(PATTERNS["llama3"], ranks, twin=twin), [*texts.HARD, "", *texts.library_texts(3)]
    theirs = learned(PATTERNS["llama3"])[1]
    for end in (None, 7):
        ids, lengths = ours.encode_flat(some, end)
        expected = [theirs.encode_ordinary(text) + ([] if end is None else [end]) for text in some]
        assert (ids.dtype, lengths.dtype) == (np.uint32, np.uint32)
        assert (ids.tolist(), lengths.tolist()) == (sum(expected, []), list(map(len, expected)))
    assert [part.tolist() for part in ours.encode_flat([])] == [[], []]


@pytest.mark.parametrize("twin", [False, True])
def test_halves_of_surrogate_pairs_are_refused(twin):
    ours = BytePairs(PATTERNS["llama3"], BYTES, twin=twin)
    for encode in (ours.encode, lambda text: ours.encode_flat(["good", text])):
        with pytest.raises(ValueError, match=r"half a surrogate pair, U\+D800, at character 2 is no text"):
            encode("a \ud800 b")


def test_rules_that_are_not_known_are_left_to_tiktoken():
    ours = BytePairs(r"\w+|\W", BYTES)
    assert not ours.quick and ours.encode("a-b") == [97, 45, 98]
    assert not BytePairs(PATTERNS["llama3"], BYTES | {b"ab": 2**21}).quick
    with pytest.raises(ValueError):
        BytePairs("(", BYTES)


def test_endless_white_space_is_too_long_for_tiktoken_alone():
    text = " " * (LONGEST_RUN + 1)
    assert len(BytePairs(PATTERNS["llama3"], BYTES).encode(text)) == len(text)
    with pytest.raises(ValueError, match="white-space"):
        BytePairs(PATTERNS["llama3"], BYTES, twin=True).encode(text)


def test_the_256_bytes_must_be_there():
    with pytest.raises(ValueError, match="the 256 bytes"):
        BytePairs(PATTERNS["llama3"], {b"a": 0})
