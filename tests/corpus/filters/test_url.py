"""--filters url."""

import gzip

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.filters import url
from tests.corpus.filters.case import judge, make, problems


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "domains.gz").write_bytes(
        gzip.compress(b"# a list\nBad.example\n0.0.0.0 ads.example.org\n\nb\xc3\xbccher.example\n")
    )
    (tmp_path / "pages").write_text("good.example/one/bad/page\nhttps://www.good.example:443/q?id=7\n")
    (tmp_path / "words").write_text("Casino\nviagra\n博彩\n")
    return tmp_path


DOMAINS = ("--url-domains", "{}/domains.gz")
PAGES = ("--url-pages", "{}/pages")
WORDS = ("--url-words", "{}/words")


@pytest.mark.parametrize(
    ("address", "argv", "reason"),
    [
        ("https://bad.example/x", DOMAINS, "url_domain"),
        ("HTTP://user:pw@Deep.Sub.BAD.example.:8080?x", DOMAINS, "url_domain"),
        ("bad.example", DOMAINS, "url_domain"),
        ("//www.bad.example/", DOMAINS, "url_domain"),
        ("https://notbad.example/", DOMAINS, None),
        ("https://good.example/bad.example", DOMAINS, None),
        ("https://bad.example.com/", DOMAINS, None),
        ("https://example.org/", DOMAINS, None),
        ("https://ads.example.org/", DOMAINS, "url_domain"),
        ("https://xn--bcher-kva.example/", DOMAINS, "url_domain"),
        ("https://BÜCHER.example/", DOMAINS, "url_domain"),
        ("https://www.good.example/one/bad/page/#top", PAGES, "url_page"),
        ("http://good.example/one/%62ad/page", PAGES, "url_page"),
        ("http://good.example/one/bad", PAGES, None),
        ("http://good.example/q?id=7", PAGES, "url_page"),
        ("http://good.example/q?id=8", PAGES, None),
        ("https://good.example/best-casino/", WORDS, "url_words"),
        ("https://good.example/casinos/", WORDS, None),
        ("https://good.example/a?q=%E5%8D%9A%E5%BD%A9", WORDS, "url_words"),
        ("https://good.example/best-casino/", (*WORDS, "--url-words-needed", "2"), None),
        ("https://viagra.example/best_casino/", (*WORDS, "--url-words-needed", "2"), "url_words"),
        ("http://[::1", DOMAINS, None),
    ],
)
def test_addresses(lists, address, argv, reason):
    verdict = judge(url, "text", *(part.format(lists) for part in argv), url=address)
    assert verdict.reason == reason and verdict.numbers == (1.0,)


def test_a_record_without_an_address_is_kept_and_counted(lists):
    argv = [part.format(lists) for part in DOMAINS]
    for values in ({}, {"url": None}, {"url": ""}, {"url": 3}, {"url": {"deeper": "bad.example"}}):
        assert judge(url, "text", *argv, **values) == (None, "", (0.0,), None)


def test_the_key_may_lie_deeper(lists):
    argv = [part.format(lists) for part in DOMAINS]
    values = {"metadata": {"url": "https://bad.example"}}
    assert judge(url, "text", *argv, **values).reason is None
    assert judge(url, "text", *argv, "--url-key", "metadata.url", **values).reason == "url_domain"


def test_a_large_list(tmp_path):
    (tmp_path / "many").write_text("\n".join(f"host{number}.example" for number in range(0, 200_000, 2)))
    block = make(url, "--url-domains", tmp_path / "many")
    verdicts = [block(doc(f"https://a.host{number}.example/")).reason for number in range(1000)]
    assert verdicts == ["url_domain", None] * 500


def doc(address):
    from megatron_ext.corpus.documents import Document

    return Document("1", "web", {"text": "text", "url": address})


def test_what_is_wrong_is_one_sentence(tmp_path):
    assert "--url-domains: is missing for --filters url" in problems(url)[0]
    assert problems(url, "--url-pages", tmp_path / "none") == [
        f"--url-pages {tmp_path}/none: is not there; give files, plain or .gz"
    ]
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"bad.example\n" * 100)[:-9])
    with pytest.raises(UserError, match="cut.gz: cannot be read"):
        make(url, "--url-domains", tmp_path / "cut.gz")
