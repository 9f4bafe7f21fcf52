"""`--filters url`: drops records that come from places on a block list, as RefinedWeb does (arXiv:2306.01116, G.1).

Three lists, each of plain or .gz files, an entry a line, `#` begins a comment:

--url-domains   `example.com` takes its sub-domains too; the lines of a hosts file (`0.0.0.0 example.com`) will do
--url-pages     one page each: `example.com/a/page`; scheme, `www.`, port, fragment and a slash at the end do not count
--url-words     whole words of the address, cut at whatever is no letter or digit: `casino` is in `/best-casino/`, not in
                `/casinos/`; so many different ones as `--url-words-needed` must be there

Records without an address are kept, and counted: the number "has an address" is 0 for them. Millions of domains are held as
sorted 64-bit hashes (xxh3), 8 bytes each; among 5 million a stranger is taken for one of them once in 10^12 questions.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, UserError, option
from megatron_ext.corpus.filters import Verdict

REASONS = {
    "url_domain": "from a blocked domain",
    "url_page": "a blocked page",
    "url_words": "blocked words in its address",
}
NUMBERS = ("has an address",)
EDITS = False


@flag_group("url", "Rule url: block lists of addresses")
class Flags:
    url_domains: tuple[str, ...] = flag((), "files of domains whose pages are dropped, sub-domains too; plain or .gz", front=True)
    url_pages: tuple[str, ...] = flag((), "files of single pages that are dropped; plain or .gz")
    url_words: tuple[str, ...] = flag((), "files of words that an address must not hold; plain or .gz")
    url_words_needed: int = flag(1, "different words of --url-words that make an address bad", least=1)
    url_key: str = flag("url", "where a record's address lies; `metadata.url`: in what the key `metadata` holds")

    @staticmethod
    def check(c):
        if "url" in getattr(c, "filters", ("url",)) and not (c.url_domains or c.url_pages or c.url_words):
            yield Problem("--url-domains", None, "is missing for --filters url", "or give --url-pages or --url-words")
        for name in ("url_domains", "url_pages", "url_words"):
            for path in getattr(c, name):
                if not os.path.isfile(path):
                    yield Problem(option(name), path, "is not there", "give files, plain or .gz")


class Filter:
    def __init__(self, c: Any):
        self._keys, self._needed = c.url_key.split("."), c.url_words_needed
        self._domains = _Hashes(host for line in _lines(c.url_domains) for host in [_parts(line.split()[-1])[0]])
        self._pages = _Hashes("/".join(_parts(line)) for line in _lines(c.url_pages))
        self._words = frozenset(line.casefold() for line in _lines(c.url_words))

    def __call__(self, document: Any) -> Verdict:
        url: Any = document.values
        for key in self._keys:
            url = url.get(key) if isinstance(url, dict) else None
        if not isinstance(url, str) or not url.strip():
            return Verdict(numbers=(0.0,))
        host, page = _parts(url.strip())
        labels = host.split(".")
        for start in range(len(labels)):
            if (domain := ".".join(labels[start:])) in self._domains:
                return Verdict("url_domain", f"{domain} is blocked", (1.0,))
        if f"{host}/{page}" in self._pages:
            return Verdict("url_page", f"{host}/{page} is blocked", (1.0,))
        if self._words:
            found = sorted(self._words.intersection(re.findall(r"[^\W_]+", unquote(url).casefold())))
            if len(found) >= self._needed:
                return Verdict("url_words", f"{', '.join(found[:5])} in the address, fewer than {self._needed} may be", (1.0,))
        return Verdict(numbers=(1.0,))


class _Hashes:
    """A set of texts that one can only ask."""

    def __init__(self, texts: Iterable[str]):
        import numpy as np
        from xxhash import xxh3_64_intdigest

        self._hash = lambda text: np.uint64(xxh3_64_intdigest(text.encode("utf-8", "replace")))
        self._sorted = np.unique(np.fromiter((self._hash(text) for text in texts), np.uint64))

    def __contains__(self, text: str) -> bool:
        wanted = self._hash(text)
        place = self._sorted.searchsorted(wanted)
        return place < len(self._sorted) and self._sorted[place] == wanted


def _parts(url: str) -> tuple[str, str]:
    """`(host, page)`: the host in lower case and ASCII, without `www.`; the page with its query, undone of %xx."""
    rest = re.sub(r"^[a-z][a-z0-9+.-]*://|^//", "", url, flags=re.IGNORECASE).partition("#")[0]
    host, slash, page = re.match(r"([^/?]*)([/?]?)(.*)", rest, re.DOTALL).groups()
    host = re.sub(r":\d*$", "", host.rpartition("@")[2]).lower().rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:  # no host of the network's, and on no list
            pass
    return host.removeprefix("www."), unquote(page if slash != "?" else "?" + page).rstrip("/")


def _lines(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        try:
            with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", errors="replace") as file:
                for line in file:
                    if entry := line.partition("#")[0].strip():
                        yield entry
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
