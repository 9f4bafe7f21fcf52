"""A comparison as tables (for a terminal, in Markdown) and as JSON. All figures but the speed are the same on every machine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.table import Table

from megatron_ext.evaluation.tokenizers.compare import ALL, Compared, Comparison
from megatron_ext.evaluation.tokenizers.measures import Measures

SUMMARY = 6
"""Sources that the first table has a column for."""


class Titled(NamedTuple):
    """A table. Attributes: rows: the first cell of each names the tokenizer."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(found: Comparison, alpha: float, hidden_size: int | None) -> list[Titled]:
    """One of the tokenizers as they are, one of each source, and one of all texts where there are several sources."""
    return [_tokenizers(found, hidden_size), *(_of_source(found, source, alpha) for source in shown(found))]


def shown(found: Comparison) -> list[str]:
    """The sources, and all texts together."""
    return [*found.sources, *([ALL] if len(found.sources) > 1 else [])]


def measures_of(compared: Compared, source: str) -> Measures:
    return compared.whole if source == ALL else compared.by_source[source]


def _tokenizers(found: Comparison, hidden_size: int | None) -> Titled:
    """The summary: what is true of all texts, and how short text of each source becomes."""
    sources = found.sources if len(found.sources) <= SUMMARY else [ALL]
    scored = any(each.model_scores for each in found.tokenizers)
    columns = [
        "tokenizer",
        "entries",
        *(f"bytes a token, {source}" for source in sources),
        "unused",
        "lossless",
        "unknown tokens",
    ]
    columns += ["MB/s a core", *([f"embedding of {hidden_size:,}"] if hidden_size else [])]
    columns += ["model's bits a byte"] if scored else []
    rows = []
    for each in found.tokenizers:
        whole, entries = each.whole, each.tokenizer.vocab_size
        cells = [each.name, f"{entries:,}", *(f"{measures_of(each, source).bytes_per_token:.2f}" for source in sources)]
        cells += [percent(whole.unused), percent(whole.lossless), percent(whole.unknown_tokens), f"{whole.mb_per_second:.1f}"]
        cells += [f"{entries * hidden_size / 1e6:.1f} M"] if hidden_size else []
        rows.append([*cells, *([spread(each.model_scores.get(ALL, ()))] if scored else [])])
    return Titled("The tokenizers", columns, rows)


def _of_source(found: Comparison, source: str, alpha: float) -> Titled:
    """How text of one source is cut."""
    scored = any(source in each.model_scores for each in found.tokenizers)
    columns = ["tokenizer", "bytes a token", "characters a token", "tokens a word", "continued words", "lossless"]
    columns += ["entropy (bits)", "Shannon efficiency", f"Rényi {alpha:g} efficiency"]
    columns += ["model's bits a byte"] if scored else []
    rows = []
    for each in found.tokenizers:
        its = measures_of(each, source)
        cells = [each.name, f"{its.bytes_per_token:.2f}", f"{its.characters_per_token:.2f}", f"{its.fertility:.2f}"]
        cells += [percent(its.continued_words), percent(its.lossless), f"{its.entropy(1):.2f}", f"{its.efficiency(1):.3f}"]
        cells.append(f"{its.efficiency(alpha):.3f}")
        rows.append([*cells, *([spread(each.model_scores.get(source, ()))] if scored else [])])
    its = found.texts_of(source)
    title = f"{source}: {its['documents']:,} documents, {its['bytes'] / 1e6:,.2f} MB, {its['words']:,} words"
    return Titled(title, columns, rows)


def percent(share: float) -> str:
    """As far as it tells: 100% and 0% are exact."""
    text = f"{share:.1%}"
    if share < 1 and text == "100.0%":
        return ">99.9%"
    if share > 0 and text == "0.0%":
        return "<0.1%"
    return text.replace("100.0%", "100%") if share == 1 else text if share else "0%"


def spread(values: Sequence[float]) -> str:
    """Mean ± half of the span."""
    if not values:
        return "–"
    mean = f"{math.fsum(values) / len(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {(max(values) - min(values)) / 2:.3f}"


def losses(found: Comparison) -> list[str]:
    """A line for each tokenizer that does not keep every document."""
    lines = []
    for each in found.tokenizers:
        whole = each.whole
        if whole.lost is None:
            continue
        first = f"the first: {whole.lost.document}" + (f", {whole.lost.loss}" if whole.lost.loss else "")
        not_kept = f"{each.name} does not keep {whole.documents - whole.kept:,} of {whole.documents:,} documents"
        lines.append(not_kept + (f" ({whole.refused:,} it cannot encode)" if whole.refused else "") + f"; {first}")
    return lines


def for_terminal(table: Titled) -> Table:
    drawn = Table(title=table.title, title_justify="left")
    for number, column in enumerate(table.columns):
        drawn.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=not number)
    for row in table.rows:
        drawn.add_row(*row)
    return drawn


def markdown(all_tables: Sequence[Titled]) -> str:
    parts = []
    for table in all_tables:
        lines = [f"**{table.title}**", "", _line(table.columns), "|---" + "|---:" * (len(table.columns) - 1) + "|"]
        parts.append("\n".join([*lines, *map(_line, table.rows)]))
    return "\n\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_json(found: Comparison, alpha: float, hidden_size: int | None) -> dict[str, Any]:
    """All figures. Shares are from 0 to 1, entropies in bits; what cannot be said (of no words) is null."""
    return {
        "renyi_alpha": alpha,
        "hidden_size": hidden_size,
        "rejected": found.rejected,
        "texts": {source: dict(found.texts_of(source)) for source in shown(found)},
        "tokenizers": [_one(each, found, alpha, hidden_size) for each in found.tokenizers],
    }


def _one(each: Compared, found: Comparison, alpha: float, hidden_size: int | None) -> dict[str, Any]:
    whole, entries = each.whole, each.tokenizer.vocab_size
    return {
        "name": each.name,
        "path": each.path,
        "type": each.kind,
        "fingerprint": each.tokenizer.fingerprint(),
        "vocab_size": entries,
        "embedding_parameters": entries * hidden_size if hidden_size else None,
        "mb_per_cpu_second": _number(whole.mb_per_second),
        "lost": _lost(whole),
        "texts": {source: _figures(measures_of(each, source), alpha) for source in shown(found)},
        "model_bits_per_byte": each.model_scores,
    }


def _lost(whole: Measures) -> dict[str, Any] | None:
    """The first document that did not come back: where, and from which character on what comes back as what."""
    if whole.lost is None:
        return None
    return {"document": whole.lost.document, **(dataclasses.asdict(whole.lost.loss) if whole.lost.loss else {})}


def _figures(its: Measures, alpha: float) -> dict[str, Any]:
    figures = {
        "bytes_per_token": its.bytes_per_token,
        "characters_per_token": its.characters_per_token,
        "fertility": its.fertility,
        "continued_words": its.continued_words,
        "lossless": its.lossless,
        "unknown_tokens": its.unknown_tokens,
        "unused": its.unused,
        "shannon_entropy": its.entropy(1),
        "shannon_efficiency": its.efficiency(1),
        "renyi_entropy": its.entropy(alpha),
        "renyi_efficiency": its.efficiency(alpha),
    }
    return {"tokens": its.tokens, "refused": its.refused, **{name: _number(value) for name, value in figures.items()}}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
