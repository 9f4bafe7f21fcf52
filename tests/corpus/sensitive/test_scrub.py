"""corpus/sensitive/scrub.py: what is found is removed, masked or replaced, and everything else stays."""

import random
import re
import string

import pytest
from hypothesis import given, settings

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.sensitive import KINDS
from megatron_ext.corpus.sensitive.candidates import IMPLEMENTATIONS
from megatron_ext.corpus.sensitive.scrub import Span
from tests.corpus.sensitive import labelled
from tests.corpus.sensitive.case import ALL, TEXTS, make, problems, scrubbed

LETTER = "Write to bob@mail.org, or phone +44 20 7946 0958 (bob@mail.org)."
MODES = ("remove", "mask", "replace")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "Write to <EMAIL>, or phone <PHONE_NUMBER> (<EMAIL>)."),
        (["--scrub-mode", "mask"], "Write to <EMAIL>, or phone <PHONE_NUMBER> (<EMAIL>)."),
        (["--scrub-mode", "remove"], "Write to , or phone  ()."),
        (["--scrub-placeholder", "[{kind}]"], "Write to [email], or phone [phone_number] ([email])."),
        (["--scrub-placeholder", "…"], "Write to …, or phone … (…)."),
    ],
)
def test_modes_and_placeholders(argv, expected):
    result = make(*argv)(LETTER)
    assert result.text == expected
    assert result.counts == {"email": 2, "phone_number": 1}


def test_only_the_kinds_asked_for():
    assert scrubbed(LETTER, kinds=["phone_number"]) == LETTER.replace("+44 20 7946 0958", "<PHONE_NUMBER>")


@pytest.mark.parametrize("mode", MODES)
def test_where_nothing_is_found_there_is_no_text(mode):
    assert make("--scrub-mode", mode)("Nothing here, 中文 1984 too.") == (None, {})


def test_fakes_are_consistent_under_one_salt_and_others_under_another():
    text = "bob@mail.org, ann@mail.org, BOB@mail.org, +44 20 7123 4567, +442071234567"
    one, again, other = (scrubbed(text, "--scrub-mode", "replace", "--scrub-salt", salt) for salt in ("a", "a", "b"))
    assert one == again != other
    bob, ann, upper, phone, plain = one.split(", ")
    assert bob == upper != ann  # an address is the same in capitals
    assert phone.replace(" ", "") == plain and phone.startswith("+44 20 ")
    assert one.split(", ")[0] != other.split(", ")[0]


def test_values_do_not_collide():
    """Two hundred people keep two hundred addresses."""
    text = " ".join(f"{a}{b}@mail.org" for a in string.ascii_lowercase[:20] for b in range(10))
    assert len(set(scrubbed(text, "--scrub-mode", "replace").split())) == 200


@pytest.mark.parametrize(
    ("text", "kinds", "expected"),
    [
        ("13800138000@qq.com", ALL, [("email", "13800138000@qq.com")]),
        ("http://bob:s3cret!pw@mail.org/", ALL, [("secret", "s3cret!pw")]),
        ("tel 110105194912310021", ["phone_number", "chinese_id"], []),
        ("卡号6222021234567890128", ALL, [("bank_card", "6222021234567890128")]),
        ("GB33 BUKB 2020 1555 5555 55", ALL, [("iban", "GB33 BUKB 2020 1555 5555 55")]),
        ("电话13800138000，邮箱a@b.cn", ALL, [("phone_number", "13800138000"), ("email", "a@b.cn")]),
    ],
)
def test_overlaps(text, kinds, expected):
    assert [(span.kind, text[span.start : span.end]) for span in make(kinds=kinds).spans(text)] == expected


def test_of_overlapping_spans_the_surer_then_the_longer_then_the_first_stays():
    scrubber = make()
    sure = {kind: KINDS.load(kind).CERTAINTY for kind in KINDS}
    assert len(set(sure.values())) == len(sure) and all(1 <= each <= 9 for each in sure.values())
    draw = random.Random(5)
    for _ in range(300):
        spans = [
            Span(a, a + draw.randrange(1, 12), draw.choice(ALL))
            for a in (draw.randrange(40) for _ in range(draw.randrange(2, 9)))
        ]
        kept = []  # one by one, the best first
        for span in sorted(set(spans), key=lambda s: (-sure[s.kind], s.start - s.end, s.start)):
            if all(span.end <= other.start or other.end <= span.start for other in kept):
                kept.append(span)
        assert scrubber._apart(list(set(spans))) == sorted(kept)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_twice_changes_nothing_more(mode, text):
    scrubber = SCRUBBERS[mode]
    once = scrubber(text)
    assert (once.text is None) == (not once.counts)
    if once.text is not None:
        assert scrubber(once.text) == (None, {})


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_everything_else_stays(text):
    """Masked with a character that the text does not have, the rest is the text with pieces cut out, in order."""
    mark = "\ue000"
    text = text.replace(mark, "")
    result = SCRUBBERS["mark"](text)
    if result.text is None:
        return
    rest = result.text.split(mark)
    assert len(rest) - 1 <= sum(result.counts.values())  # a later round may swallow a placeholder's neighbours, never text unseen
    pattern = ".+?".join(map(re.escape, rest))
    assert re.fullmatch(pattern, text, re.DOTALL), (text, result.text)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_spans_come_in_order_apart_and_within(text):
    spans = SCRUBBERS["mask"].spans(text)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(a.end <= b.start for a, b in zip(spans, spans[1:]))


@pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native module was not built here")
def test_the_twin_scrubs_the_same():
    twin = make(implementation="python")
    for language in labelled.LANGUAGES:
        for text, _ in labelled.documents(language, 300, seed=3):
            assert twin(text) == SCRUBBERS["mask"](text)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_that_was_found_is_left(mode):
    """Over the labelled set: a value that was found stands nowhere in what is left, unless it belonged to nobody."""
    for language in labelled.LANGUAGES:
        for text, truth in labelled.documents(language, 200, seed=4):
            left = SCRUBBERS[mode](text).text or text
            spans = {(span.kind, span.start, span.end) for span in SCRUBBERS["mask"].spans(text)}
            for kind, start, end in spans & set(truth):
                value = text[start:end]
                if kind != "ip_address" and not (kind == "email" and "example" in value) and text.count(value) == 1:
                    assert value not in left or KINDS.load(kind).fake(value, lambda normal: 1) == value, (kind, value, left)


def test_what_the_flags_refuse():
    assert "braces" in problems("--scrub-placeholder", "{name}")[0]
    assert "braces" in problems("--scrub-placeholder", "{")[0]
    assert "two capital letters" in problems("--scrub-phone-regions", "usa")[0]
    assert "email" in problems("--scrub", "mails")[0]
    with pytest.raises(UserError, match="no region of phonenumbers"):
        make("--scrub-phone-regions", "XX")
    with pytest.raises(UserError, match="found as personal data itself"):
        make("--scrub-placeholder", "{kind}@mail.org")


SCRUBBERS = {mode: make("--scrub-mode", mode, "--scrub-salt", "s") for mode in MODES}
SCRUBBERS["mark"] = make("--scrub-placeholder", "\ue000")
