"""`--filters html_leftovers`: drops pages in which much of the page's frame was left when the text was taken out.

Counted are tags of HTML's own elements (`<div class=…>`, never `List<String>`), character references (`&nbsp;`), and lines that
a page says to its visitor and not in its text: turn on JavaScript, accept cookies, all rights reserved. Their characters as a
share of all is one bound, their number another, and "lorem ipsum", the printer's dummy text, ends it alone, as in C4
(arXiv:1910.10683, whose own rule takes lines out; this one drops the document). Bounds are ours: a manual that shows a tag now
and then stays, a page that is half markup goes. For code, which may be HTML, this rule is the wrong one.
"""

from __future__ import annotations

import re
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.corpus.filters import Verdict

REASONS = {
    "html_leftovers_share": "much of it is left-over HTML",
    "html_leftovers_count": "many left-over tags",
    "html_leftovers_lines": "many lines of a page's frame",
    "lorem_ipsum": "lorem ipsum",
}
NUMBERS = ("HTML left-overs' share", "HTML left-overs", "lines of a page's frame")
EDITS = False

_ELEMENTS = (
    "a abbr address article aside audio b blockquote body br button canvas caption center cite code col colgroup dd del details "
    "div dl dt em embed fieldset figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html i "
    "iframe img input ins kbd label legend li link main map mark menu meta nav noscript object ol optgroup option p param "
    "picture pre q s script section select small source span strike strong style sub summary sup svg table tbody td textarea "
    "tfoot th thead title tr tt u ul var video wbr"
).split()
_REFERENCES = (
    "nbsp amp lt gt quot apos copy reg laquo raquo hellip ndash mdash lsquo rsquo ldquo rdquo bull middot times euro"
).split()
_MARKUP = re.compile(
    rf"[<&](?:(?<=<)(?:/?(?:{'|'.join(_ELEMENTS)})(?:\s+(?:[a-z@:][^<>]{{0,1000}})?)?/?>|!--.{{0,1000}}?-->|!doctype[^<>]{{0,200}}>)"
    rf"|(?<=&)(?:{'|'.join(_REFERENCES)}|#\d{{1,7}}|#x[0-9a-f]{{1,6}});)",
    re.IGNORECASE | re.DOTALL,
)
_FRAME = re.compile(
    r"(?:enable|activate|turn on|requires?|disabled?) (?:your )?javascript"
    r"|javascript (?:is |seems to be )?(?:disabled|required|must)"
    r"|(?:use[sd]?|using|accept|all) (?:of |our )?cookies|cookie (?:policy|settings|preferences|consent)"
    r"|privacy policy|terms of use|all rights reserved|skip to (?:main )?content|back to top"
    r"|(?:启用|開啟|开启|啟用|打开)\s*javascript|(?:使用|接受)\s*(?:cookies?|曲奇)"
    r"|隐私政策|隱私政策|版权所有|版權所有|返回顶部|跳[至到]内容",
    re.IGNORECASE,
)
_IN_A_FRAME = (
    *("javascript", "cookie", "privacy policy", "terms of use", "all rights reserved", "skip to", "back to top"),
    *("曲奇", "隐私政策", "隱私政策", "版权所有", "版權所有", "返回顶部", "内容"),
)
"""One of these is in all that the expression finds, and a plain search for each is thirty times faster than it is."""
_SHORT = 200
"""Characters. A longer line that speaks of cookies is about them."""


@flag_group("html_leftovers", "Rule html_leftovers: what is left of a page's frame")
class Flags:
    html_leftovers_max_share: float = flag(0.05, "share of characters in left-over tags and lines", least=0, most=1, front=True)
    html_leftovers_max_count: int = flag(100, "left-over tags and character references", least=0)
    html_leftovers_max_lines: int = flag(5, "short lines about JavaScript, cookies, rights and the like", least=0)
    html_leftovers_lorem_ipsum: bool = flag(True, "drop what says lorem ipsum")


class Filter:
    def __init__(self, c: Any):
        self._share, self._count, self._lines = c.html_leftovers_max_share, c.html_leftovers_max_count, c.html_leftovers_max_lines
        self._lorem_ipsum = c.html_leftovers_lorem_ipsum

    def __call__(self, document: Any) -> Verdict:
        text = document.text
        tags = [found.end() - found.start() for found in _MARKUP.finditer(text)]
        lines = _frame_lines(text)
        share = min((sum(tags) + sum(lines)) / len(text), 1.0) if text else 0.0  # a tag in such a line counts twice
        numbers = (share, len(tags), len(lines))
        if self._lorem_ipsum and (place := text.lower().find("lorem ipsum")) >= 0:
            return Verdict("lorem_ipsum", f"at character {place:,}", numbers)
        if share > self._share:
            return Verdict("html_leftovers_share", f"{share:.1%} of the characters, at most {self._share:.1%}", numbers)
        if len(tags) > self._count:
            return Verdict("html_leftovers_count", f"{len(tags):,} tags and references, at most {self._count:,}", numbers)
        if len(lines) > self._lines:
            return Verdict("html_leftovers_lines", f"{len(lines):,} lines, at most {self._lines:,}", numbers)
        return Verdict(numbers=numbers)


def _frame_lines(text: str) -> list[int]:
    """Lengths of the short lines that speak of the page's frame, each counted once."""
    lengths, after = [], 0
    folded = text.lower()
    if not any(words in folded for words in _IN_A_FRAME):
        return lengths
    for found in _FRAME.finditer(text):
        if found.start() < after:
            continue
        start = text.rfind("\n", 0, found.start()) + 1
        end = text.find("\n", found.end())
        after = len(text) if end < 0 else end
        if after - start <= _SHORT:
            lengths.append(after - start)
    return lengths
