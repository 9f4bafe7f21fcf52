"""Writes receipt.json and receipt.html, and says what in a tally a person should look at twice."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from megatron_ext.arguments.problems import did_you_mean
from megatron_ext.corpus.cleaning.steps import READ, SCRUB, reasons
from megatron_ext.corpus.cleaning.tally import StepTally, Tally
from megatron_ext.corpus.receipt import charts
from megatron_ext.corpus.whole_file import write_whole

DISTRIBUTIONS = "before: what came to the step; after: what all rules keep, before duplicates are looked for"
RECEIPTS = ("receipt.json", "receipt.html")


def write_receipt(
    prefix: str,
    c: SimpleNamespace,
    tally: Tally,
    shards: int,
    seconds: float,
    whole: bool = True,
    warnings: Sequence[str] = (),
) -> list[str]:
    """Write both files; the warnings that they hold.

    Args:
        prefix: what their paths begin with.
        seconds: of all workers together.
        whole: whether no shard was set aside.
        warnings: a sentence each, to go before those of the tally.
    """
    warnings = [*warnings, *warnings_of(tally, c.dedup_priority)]
    about = {
        "whole": whole,
        "warnings": warnings,
        "input": list(c.input),
        "shards": shards,
        "worker_seconds": round(seconds, 3),
        "distributions": DISTRIBUTIONS,
    }
    write_whole(prefix + RECEIPTS[0], _bytes(json.dumps(about | tally.as_dict(), ensure_ascii=False, indent=1) + "\n"))
    write_whole(prefix + RECEIPTS[1], _bytes(page(about, tally)))
    return warnings


def _bytes(text: str) -> bytes:
    """In UTF-8, which half a surrogate pair in an id cannot be."""
    return text.encode("utf-8", "replace")


def warnings_of(tally: Tally, priority: Sequence[str] = ()) -> list[str]:
    """A step that drops nothing or everything is most often one that was set up wrongly. Args: priority: --dedup-priority."""
    found = []
    for step in tally.steps:
        dropped = sum(documents for documents, _ in step.dropped.values())
        if step.name == SCRUB:
            if step.documents and not step.found.total():
                found.append(f"{step.name} found nothing in {step.documents:,} documents")
        elif step.documents and dropped == step.documents:
            found.append(f"{step.name} dropped every one of {step.documents:,} documents")
        elif step.name != READ and step.documents and not dropped and not step.edited:
            found.append(f"{step.name} dropped nothing of {step.documents:,} documents")
        elif tally.kept[0] and not step.documents:
            found.append(f"{step.name} looked at no document: --filters-for names no source that there is")
    if not tally.steps[0].documents:
        found.append("the input holds no document")
    for source in priority if tally.sources else ():
        if source not in tally.sources:
            there = did_you_mean(source, tally.sources) or f"there is {', '.join(sorted(tally.sources)[:10])}"
            found.append(f"--dedup-priority {source}: is the source of no document; {there}")
    return found


def page(about: Mapping[str, Any], tally: Tally) -> str:
    """The HTML page."""
    import jinja2

    loader = jinja2.FileSystemLoader(pathlib.Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "size": size, "share": share, "time": time, "count": _count}
    reading = tally.steps[0]
    rest = about["worker_seconds"] - sum(step.seconds for step in tally.steps)
    return environment.get_template("receipt.html").render(
        about=about,
        tally=tally,
        reading=reading,
        rows=[_row(step, reading.documents, rest if step is reading else step.seconds) for step in tally.steps],
        kept_width=_percent(tally.kept[0], reading.documents),
        charts=[_charts(step) for step in tally.steps],
        reasons=[
            (step.name, reason, _told(step.name, reason), few, step.dropped[reason][0])
            for step in tally.steps
            for reason, few in sorted(step.samples.items(), key=lambda item: -step.dropped[item[0]][0])
        ],
        languages=_by_size(tally.languages),
        sources=_by_size(tally.sources),
    )


def _row(step: StepTally, whole: int, seconds: float) -> dict[str, Any]:
    """A line of the waterfall, with its reasons. Args: whole: documents of the run."""
    reasons = [
        {"reason": reason, "told": _told(step.name, reason), "documents": documents, "bytes": size}
        for reason, (documents, size) in sorted(step.dropped.items(), key=lambda item: -item[1][0])
    ]
    dropped = sum(reason["documents"] for reason in reasons)
    return {
        "step": step,
        "reasons": reasons,
        "sources": _hit(step.sources),
        "documents": dropped,
        "bytes": sum(reason["bytes"] for reason in reasons),
        "stay": _percent(step.documents - dropped, whole),
        "lost": _percent(dropped, whole),
        "seconds": seconds if seconds > 0 else None,
        "speed": step.bytes / seconds / 1e6 if seconds > 0 else None,
    }


def _charts(step: StepTally) -> dict[str, Any]:
    drawn = []
    for name, before in step.before.items():
        after = step.after[name]
        if before.counts:
            middles = [charts.number(charts.quantile(each, 0.5)) for each in (before, after) if each.counts]
            drawn.append({"name": name, "svg": charts.chart(before, after), "middles": middles})
    return {"name": step.name, "charts": drawn}


def _told(step: str, reason: str) -> str:
    return reasons([] if step == READ else [step])[reason]


def _hit(sources: Mapping[str, Sequence[int]]) -> list[tuple[str, Sequence[int]]]:
    """Where there are several, those of which something was dropped, the most first, and what is beyond twenty as one."""
    ordered = sorted(sources.items(), key=lambda item: (-item[1][1], item[0])) if len(sources) > 1 else []
    hit = [item for item in ordered if item[1][1]]
    rest = [*hit[20:], *ordered[len(hit) :]]
    if rest:
        hit = [*hit[:20], (f"{len(rest):,} others", [sum(column) for column in zip(*(found for _, found in rest))])]
    return hit


def _by_size(counts: Mapping[str, Sequence[int]]) -> list[tuple[str, Sequence[int]]]:
    """The largest first, and what is beyond forty as one."""
    ordered = sorted(counts.items(), key=lambda item: -item[1][1])
    rest = ordered[40:]
    if rest:
        ordered = [*ordered[:40], (f"{len(rest):,} others", [sum(column) for column in zip(*(found for _, found in rest))])]
    return ordered


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:,.1f} {unit}"
    return f"{count:,.0f} B"


def share(part: float, whole: float) -> str:
    return "–" if not whole else "< 0.1%" if 0 < part / whole < 0.0005 else f"{part / whole:.1%}"


def time(seconds: float | None) -> str:
    """As a person reads it: 0.4 s, 95 s, 12 min, 3.5 h."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _number(value: float | None) -> str:
    return "" if value is None else charts.number(value)


def _count(number: int) -> str:
    """Nothing where there is nothing, so that the eye finds what there is."""
    return f"{number:,}" if number else ""


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0
