"""A text without its personal data: what is found is removed, masked or replaced, and everything else stays byte for byte.

One pass proposes spans of all kinds (`candidates.py`), each kind checks its own. Of spans that overlap, the kind with the
higher CERTAINTY stays, then the longer one, then the first. Once something was taken out its neighbours may read otherwise,
so the text is looked at again until nothing more is found: scrubbing twice changes nothing that once did not.
"""

from __future__ import annotations

import bisect
import collections
import hashlib
from typing import NamedTuple

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.sensitive import KINDS
from megatron_ext.corpus.sensitive.candidates import FORMS, Candidates

_ROUNDS = 32  # never reached in practice: each round takes out what only the one before laid open


class Span(NamedTuple):
    """`text[start:end]` is of this kind."""

    start: int
    end: int
    kind: str


class Scrubbed(NamedTuple):
    """`text` is None where nothing was found; `counts`: how many of each kind were taken out."""

    text: str | None
    counts: dict[str, int]


class Scrubber:
    """Made once in each worker from the flat configuration; called with a text, it gives a `Scrubbed`."""

    def __init__(self, c, implementation: str = "auto"):
        self._c = c
        kinds = dict.fromkeys(c.scrub)
        try:
            self._modules = {kind: KINDS.load(kind) for kind in kinds}
            if "phone_number" in kinds:
                for region in c.scrub_phone_regions:
                    self._modules["phone_number"].known(region)
            if {"iban", "chinese_id"} & kinds.keys():
                import stdnum  # noqa: F401
        except ImportError as error:
            raise UserError(f"--scrub needs the package {error.name}; install megatron-ext[data]") from None
        self._by_number = [self._modules.get(kind) for kind in FORMS]
        self._candidates = Candidates(kinds, implementation)
        form = c.scrub_placeholder if c.scrub_mode == "mask" else ""
        self._placeholders = {kind: form.format(kind=kind, KIND=kind.upper()) for kind in kinds}
        for text in self._placeholders.values():
            if self.spans(text):
                raise UserError(f"--scrub-placeholder {text}: is found as personal data itself; choose another text")

    def __call__(self, text: str) -> Scrubbed:
        counts: collections.Counter[str] = collections.Counter()
        scrubbed = text
        for _ in range(_ROUNDS):
            changes = self._fakes(scrubbed) if self._c.scrub_mode == "replace" else self._masks(scrubbed)
            if not changes:
                break
            scrubbed = _put(scrubbed, changes)
            counts.update(span.kind for span, _ in changes)
        return Scrubbed(scrubbed if counts else None, dict(counts))

    def _masks(self, text: str) -> list[tuple[Span, str]]:
        return [(span, self._placeholders[span.kind]) for span in self.spans(text)]

    def _fakes(self, text: str) -> list[tuple[Span, str]]:
        """Fakes have the form of what they replace: what was found is covered, so that it does not hide its neighbours."""
        spans, covered = [], text
        while new := self.spans(covered):
            spans = sorted(spans + new)
            covered = _put(covered, [(span, "\0" * (span.end - span.start)) for span in new])
        return [(span, made) for span in spans if (made := self._fake(text, span)) != text[span.start : span.end]]

    def spans(self, text: str) -> list[Span]:
        """What is found, in order, without overlaps."""
        found = []
        for number, start, end in self._candidates(text):
            checked = self._by_number[number].check(text, start, end, self._c)
            if checked is not None:
                found.append(Span(*checked, FORMS[number]))
        return self._apart(found) if len(found) > 1 else found

    def _apart(self, found: list[Span]) -> list[Span]:
        """Those that stay where some overlap."""
        found.sort()
        if all(a.end <= b.start for a, b in zip(found, found[1:])):
            return found
        kept: list[Span] = []
        for span in sorted(found, key=lambda s: (-self._modules[s.kind].CERTAINTY, s.start - s.end, s.start)):
            place = bisect.bisect(kept, span)
            if (not place or kept[place - 1].end <= span.start) and (place == len(kept) or span.end <= kept[place].start):
                kept.insert(place, span)
        return kept

    def _fake(self, text: str, span: Span) -> str:
        return self._modules[span.kind].fake(text[span.start : span.end], lambda normal: self._draw(span.kind, normal))

    def _draw(self, kind: str, normal: str) -> int:
        seen = f"{kind}\0{normal}".encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(self._c.scrub_salt.encode()).digest()
        return int.from_bytes(hashlib.blake2b(seen, digest_size=16, key=key).digest(), "big")


def _put(text: str, changes: list[tuple[Span, str]]) -> str:
    """The text with other words where the spans are, which come in order and do not overlap."""
    parts, last = [], 0
    for span, new in changes:
        parts += text[last : span.start], new
        last = span.end
    return "".join(parts) + text[last:]
