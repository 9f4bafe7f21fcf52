"""HTML to text: of a web page its main content (`--html-extractor`), of a fragment (an answer, a book's chapter) all of it.

Resiliparse (in C++) reads 23 MB/s a core; trafilatura 1.3 to 1.9, and is stricter about what is main content (arXiv:2306.01116
chose it for RefinedWeb). Both keep paragraphs, lists and preformatted code as lines.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from megatron_ext.corpus.packages import package

EXTRACTORS = ("resiliparse", "trafilatura")

_SAID = re.compile(rb"""(?:<meta\b[^>]*?\bcharset|<\?xml\b[^>]*?\bencoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I)
_WHERE_IT_IS_SAID = 4096
_LINKED_HEADING = re.compile(r"<(?:h[1-6]|dt)\b[^<>]*>\s*<a\s[^<>]*href=[\"']?#", re.I)
_LINKED_HEADINGS = ", ".join(f"{element} > a[href^='#']" for element in ("h1", "h2", "h3", "h4", "h5", "h6", "dt"))


class Page(NamedTuple):
    """A web page. Attributes: language: as the page itself says; url: its canonical address, as it says."""

    text: str
    title: str | None
    language: str | None
    url: str | None

    def known(self) -> dict[str, str]:
        """What is there of it, by key."""
        return {key: value for key, value in self._asdict().items() if value or key == "text"}


def decode(html: bytes, charset: str | None = None) -> str:
    """As browsers do (WHATWG): a byte order mark, then `charset` (of the HTTP header), then what the page says; then UTF-8 where
    all of it is that, then a guess. Bytes that mean nothing in that charset become U+FFFD.
    """
    for mark, name in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if html.startswith(mark):
            return html[len(mark) :].decode(name, "replace")
    said = _SAID.search(html, 0, _WHERE_IT_IS_SAID)
    name = _known(charset) or _known(said and said[1].decode())
    if name is None:
        try:
            return html.decode()
        except UnicodeDecodeError:
            encoding = package("resiliparse.parse.encoding", "HTML files")
            name = encoding.detect_encoding(html, max_len=2**17, html5_compatible=True) or "utf-8"
    return html.decode(name, "replace")


def _known(charset: str | None) -> str | None:
    """The name under which Python knows a charset of the WHATWG. A page that can say it is UTF-16 in ASCII is not."""
    if not charset:
        return None
    name = package("resiliparse.parse.encoding", "HTML files").map_encoding_to_html5(charset, fallback_utf8=False)
    return "utf-8" if name and name.startswith("utf-16") else name


def page(html: str, extractor: str) -> Page:
    """A page's main content, and what it says of itself. Its text is empty where it has no content."""
    tree = package("resiliparse.parse.html", "HTML files").HTMLTree.parse(html)
    if extractor == "trafilatura":
        text = package("trafilatura", "pages by --html-extractor trafilatura").extract(html, include_comments=False) or ""
    else:
        if _LINKED_HEADING.search(html):
            _unlink_headings(tree)
        if "classifier" in html:
            _set_types_apart(tree)
        text = _plain(tree, main_content=not _is_deep(tree.body), comments=False, alt_texts=False)
    root = tree.document.query_selector("html")
    canonical = tree.document.query_selector("link[rel=canonical]")
    return Page(
        text,
        " ".join((tree.title or "").split()) or None,
        (root.getattr("lang") if root else None) or None,
        (canonical.getattr("href") if canonical else None) or None,
    )


def _unlink_headings(tree: Any) -> None:
    """Take headings and terms that link to themselves out of their links: what is nothing but a link is no content to extractors,
    and a manual would lose the names of its options. A mark beside a heading (¶, #) stays a link."""
    for link in tree.document.query_selector_all(_LINKED_HEADINGS):
        if any(map(str.isalnum, link.text)):
            for child in list(link.child_nodes):
                link.parent.insert_before(child, link)
            link.decompose()


def _set_types_apart(tree: Any) -> None:
    """`axis : int` where docutils and Sphinx write term and type side by side, and leave the colon to the style sheet."""
    for kind in tree.document.query_selector_all("dt > .classifier"):
        kind.parent.insert_before(tree.create_text_node(" : "), kind)


def _is_deep(element: Any) -> bool:
    """Whether elements lie in each other 2,000 deep, by way of their last children: a page of tags that nobody closed.

    Looking for main content takes time by the square of that, a minute at 40,000; such a page is taken whole.
    """
    for _ in range(2000):
        if element is None:
            return False
        element = element.last_element_child
    return True


def whole_text(html: str) -> str:
    """All the text of a page or fragment, without menus being looked for: nothing of it is left out."""
    tree = package("resiliparse.parse.html", "HTML texts").HTMLTree.parse(html)
    return _plain(tree, main_content=False, comments=True, alt_texts=False, hidden_elements=True)


def _plain(tree: Any, **options: bool) -> str:
    extract = package("resiliparse.extract.html2text", "HTML files").extract_plain_text
    return extract(tree, preserve_formatting=True, list_bullets=True, links=False, **options).strip()
