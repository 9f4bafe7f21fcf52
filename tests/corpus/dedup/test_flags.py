"""corpus/dedup/flags.py: every flag of signatures and bands changes them, and nonsense is refused. The engine tests its own."""

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.flags import flags_of
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.corpus.dedup.flags import NearDuplicateFlags
from megatron_ext.corpus.dedup.minhash import MinHash, bands_of

TEXTS = ["Some words, and MORE words—ﬁve or six.", "中文 没有  空格"]
SIGNING = {
    "shingle_size": 3,
    "shingle_units": "characters",
    "ignore_unicode_form": False,
    "ignore_case": False,
    "ignore_punctuation": False,
    "permutations": 64,
    "minhash_seed": 2,
}


def flags(**given):
    argv = []
    for name, value in given.items():
        option = name.replace("_", "-")
        argv += [f"--no-{option}"] if value is False else [f"--{option}", str(value)]
    return read([NearDuplicateFlags], argv, "test", "test").near_duplicates


def signed(**given):
    return MinHash.of(flags(**given)).sign(TEXTS).values.tolist()


@pytest.mark.parametrize("name", SIGNING)
def test_flags_of_signatures_change_them(name):
    assert signed() == MinHash().sign(TEXTS).values.tolist()
    assert signed(**{name: SIGNING[name]}) != signed()


def test_whitespace_counts_where_asked_among_characters():
    assert signed(shingle_units="characters", ignore_whitespace=False) != signed(shingle_units="characters")
    assert signed(ignore_whitespace=False) == signed()


def test_bands_follow_or_are_given():
    assert bands_of(flags()) == (14, 9)
    assert bands_of(flags(similarity=0.8)) == (9, 13)
    assert bands_of(flags(permutations=256)) != (14, 9)
    assert bands_of(flags(bands=20, rows=5)) == (20, 5)


def test_no_flag_is_forgotten_here():
    engine = {"keep_copy", "exact_similarity", "representatives"}
    assert {flag.name for flag in flags_of(NearDuplicateFlags)} == {
        *SIGNING,
        *engine,
        "ignore_whitespace",
        "similarity",
        "bands",
        "rows",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(similarity=1), "--similarity 1.*is not below 1"),
        (dict(bands=20), "--bands 20.*no effect without --rows"),
        (dict(rows=20), "--rows 20.*no effect without --bands"),
        (dict(bands=20, rows=8), "--bands 20.*more than --permutations 128.*at most 16"),
        (dict(keep_copy="best"), "--keep-copy best.*first, longest"),
    ],
)
def test_nonsense_is_refused(given, said):
    with pytest.raises(ConfigurationError, match=f"(?s){said}"):
        flags(**given)
