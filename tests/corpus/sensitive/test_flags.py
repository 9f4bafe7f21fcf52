"""corpus/sensitive/flags.py and the folder of kinds: a file's stem is the flag's value, and each offers what a kind must."""

import inspect
import pathlib

import pytest

from megatron_ext.arguments.flags import flags_of
from megatron_ext.corpus.sensitive import KINDS
from megatron_ext.corpus.sensitive.flags import SensitiveFlags
from tests.corpus.sensitive.case import flags, make

HERE = pathlib.Path(__file__).parent


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_kind_is_a_file_that_says_what_it_is(kind):
    module = KINDS.load(kind)
    assert module.__name__ == f"megatron_ext.corpus.sensitive.kinds.{kind}"
    assert f"`--scrub {kind}`" in module.__doc__
    assert module.TITLE and module.TITLE != kind
    assert list(inspect.signature(module.check).parameters) == ["text", "start", "end", "c"]
    assert list(inspect.signature(module.fake).parameters) == ["found", "draw"]
    assert (HERE / "kinds" / f"test_{kind}.py").is_file()


def test_names_are_read_folded():
    assert flags("--scrub", "Phone-Number", "IBAN").scrub == ("phone_number", "iban")


def test_each_flag_stands_in_a_test():
    """The proofs are in test_scrub.py and kinds/test_*.py."""
    proofs = "".join(path.read_text(encoding="utf-8") for path in HERE.rglob("test_*.py") if path.name != "test_flags.py")
    for flag in flags_of(SensitiveFlags):
        assert f'"--{flag.name.replace("_", "-")}"' in proofs or flag.name == "scrub"


def test_a_kind_twice_is_a_kind_once():
    assert make(kinds=["email", "email"])("a@b.org").counts == {"email": 1}
