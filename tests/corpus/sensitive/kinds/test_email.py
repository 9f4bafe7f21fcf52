"""--scrub email, against Python's own reading of addresses."""

import email.utils
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.sensitive.case import drawn, found, replaced


@pytest.mark.parametrize(
    "value", [*drawn("email", 40), "josé@müller.de", "a@b.cn", "x_y+z@sub.sub.mail.info", "q@xn--80ak6aa92e.xn--p1ai"]
)
def test_found(value):
    for text in (f"<{value}>", f"mail {value}.", f"邮箱{value}，", f"mailto:{value}?subject=x", f'"{value}"', f"({value})"):
        assert found("email", text) == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("bob＠mail.org", "bob＠mail.org"),
        ("...bob@mail.org...", "bob@mail.org"),
        ("-bob@mail.org-", "bob@mail.org"),
        ("a@b@mail.org", "b@mail.org"),
        ("bob@mail.org@x", "bob@mail.org"),
    ],
)
def test_bounds(text, value):
    assert found("email", text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        *("user@host", "@alice", "x @ y.com", "git@github.com:a/b.git", "left-pad@1.3.0", "icon@2x.png", "foo-bar@baz.py"),
        *("ssh://me@host.org/path", "https://u:pw@host.org", "a..b@mail.org", "a.@mail.org", "a@-mail.org", "a@mail-.org"),
        *(
            "a@mail.notadomain",
            "${user}@mail.org",
            "@mail.org",
            "a@mail",
            "a@.org",
            "x" * 80 + "@mail.org",
            "Foo@Bar.PY",
            "%d@mail.org",
            "to%3Dbob@mail.org",
        ),
    ],
)
def test_near_misses(text):
    assert found("email", text) == []


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
ATOM = st.from_regex(r"[A-Za-z0-9_+-]{1,10}", fullmatch=True).filter(lambda atom: atom[0].isalnum() and atom.lower() != "git")


@given(
    st.lists(ATOM, min_size=1, max_size=3), st.lists(LABEL, min_size=1, max_size=3), st.sampled_from("com de cn uk info".split())
)
def test_dot_atoms_are_found_and_python_reads_them_so(atoms, labels, top):
    value = f"{'.'.join(atoms)}@{'.'.join(labels)}.{top}"
    assert email.utils.parseaddr(f"Bob <{value}>") == ("Bob", value)
    assert found("email", f"Bob <{value}>") == [value]


def test_fakes_are_of_domains_that_are_reserved():
    made = {replaced("email", f"person{n}@mail.org") for n in range(50)}
    assert len(made) == 50
    assert {value.partition("@")[2] for value in made} == {"example.com", "example.net", "example.org"}
    for value in made | {"ann@example.com", "ann@mail.example.org"}:
        assert found("email", value) == [value] and replaced("email", value) == value
    value = random.Random(1).choice(sorted(made))
    assert replaced("email", f"{value}, bob@mail.org").startswith(value)
