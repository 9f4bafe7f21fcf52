"""What makes a record fit to be used, and what is said where it is not."""

import pytest

from megatron_ext.corpus.documents import REASONS, Record, Reject, check_utf8, document, texts
from megatron_ext.corpus.readers import jsonl, text


def of(payload, *keys, reader=jsonl):
    return texts(Record("file", 1, payload), reader, keys or ("text",))


def refused(payload, *keys, reader=jsonl):
    with pytest.raises(Reject) as caught:
        of(payload, *keys, reader=reader)
    assert caught.value.reason in REASONS
    return caught.value


def test_texts_in_the_order_of_the_keys():
    assert of(b'{"b": "two", "a": "one", "n": 3}', "a", "b") == ["one", "two"]


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        (b'{"other": "x"}', "key_missing", "there is no 'text'"),
        (b'{"text": null}', "not_text", "'text' holds null"),
        (b'{"text": 5}', "not_text", "'text' holds int"),
        (b'{"text": ["x"]}', "not_text", "'text' holds list"),
        (b'{"text": ""}', "empty", "'text' is empty"),
        (b'{"text": " \\n\\u00a0"}', "empty", "'text' is empty"),
        (b'{"text": "ab\\ud800c"}', "lone_surrogate", "'text' holds U+D800 at character 2"),
        (None, "too_long", "longer"),
    ],
)
def test_reasons(payload, reason, detail):
    found = refused(payload)
    assert (found.reason, found.byte) == (reason, None)
    assert detail in found.detail


def test_one_bad_text_of_two_refuses_both():
    assert refused(b'{"a": "x"}', "a", "b").reason == "key_missing"


def test_plain_text_goes_by_any_one_name_but_not_by_two():
    assert of(b"words", "content", reader=text) == ["words"]
    assert refused(b"words", "a", "b", reader=text).reason == "key_missing"


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xb8"])
def test_the_first_bad_byte_is_named(bad):
    good = "naïve 中".encode()
    check_utf8(good)
    with pytest.raises(Reject) as caught:
        check_utf8(good + bad + b"\xff")
    assert (caught.value.reason, caught.value.byte) == ("not_utf8", len(good))


def whole(payload, *more, reader=jsonl, **named):
    return document(Record("folder/a.jsonl", 3, payload, 77), reader, *more, **named)


def test_a_whole_document():
    found = whole(b'{"text": "x", "n": [1, null], "url": "u"}')
    assert found.values == {"text": "x", "n": [1, None], "url": "u"} and not found.edited
    assert (found.text, found.id, found.source) == ("x", "folder/a.jsonl:77", "jsonl")
    assert whole(b'{"body": "x"}', "body").text == "x"
    assert whole(b"words", reader=text).values == {"text": "words"}


@pytest.mark.parametrize(
    ("own", "id"),
    [('"7"', "7"), ("7", "7"), ("null", "folder/a.jsonl:77"), ('""', "folder/a.jsonl:77"), ("[1]", "[1]"), ("1.5", "1.5")],
)
def test_its_own_id_goes_before_its_place(own, id):
    assert whole(b'{"text": "x", "id": %s}' % own.encode()).id == id


def test_its_source():
    assert whole(b'{"text": "x", "source": "wiki"}').source == "wiki"
    assert whole(b'{"text": "x", "source": null}').source == "jsonl"
    named = whole(b'{"text": "x", "source": "wiki"}', source="web")
    assert (named.source, named.values["source"], named.edited) == ("web", "web", {"source"})
    named = whole(b'{"text": "x"}', source="web")
    assert (named.source, named.values, named.edited) == ("web", {"text": "x"}, set())


@pytest.mark.parametrize(("payload", "reason"), [(b'{"a": "x"}', "key_missing"), (b'{"text": " "}', "empty"), (None, "too_long")])
def test_what_is_no_document(payload, reason):
    with pytest.raises(Reject) as caught:
        whole(payload)
    assert caught.value.reason == reason
