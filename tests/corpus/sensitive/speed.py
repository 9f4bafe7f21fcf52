"""How fast all kinds are scrubbed, beside patterns of the package regex and Presidio's recognizers: docs/personal_data.md.

python -m tests.corpus.sensitive.speed FILE.jsonl [FOLDER]

FILE has a `text` and a `source` a line, as the quickstart's corpus has. FOLDER is where presidio-analyzer was installed to, by
`pip install --target`; its pattern recognizers run alone, without a language model. Time is the processor's, the best of three.
"""

from __future__ import annotations

import collections
import json
import sys
import time
from collections.abc import Callable

import regex

from megatron_ext.corpus.sensitive import KINDS
from megatron_ext.corpus.sensitive.candidates import IMPLEMENTATIONS
from megatron_ext.corpus.sensitive.flags import SensitiveFlags
from megatron_ext.corpus.sensitive.scrub import Scrubber
from tests.corpus.sensitive import labelled

PATTERNS = [
    regex.compile(pattern)
    for pattern in (
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}",
        r"(?<!\w)(?:\+?\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}(?!\w)",
        r"(?<!\w)1[3-9]\d{9}(?!\w)",
        r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])",
        r"(?<!\w)(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?!\w)",
        r"(?<!\w)(?:\d[ -]?){13,19}(?!\w)",
        r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b",
        r"(?<!\d)\d{17}[\dXx](?!\w)",
        r"(?<!\w)\d{3}-\d{2}-\d{4}(?!\w)",
        r"(?i)(?:api_?key|secret|token|password)\W{1,5}[A-Za-z0-9+/=_-]{16,}",
    )
]
"""One or two for each kind, as pipelines have them, without checks of what they find."""


def presidio(folder: str) -> Callable[[str], object]:
    sys.path.insert(0, folder)
    from presidio_analyzer import predefined_recognizers as known

    names = ("EmailRecognizer", "PhoneRecognizer", "IpRecognizer", "CreditCardRecognizer", "IbanRecognizer", "UsSsnRecognizer")
    made = [getattr(known, name)() for name in names]
    return lambda text: [each.analyze(text, each.supported_entities, nlp_artifacts=None) for each in made]


def rate(scan: Callable[[str], object], texts: list[str]) -> float:
    """MB/s of UTF-8."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for text in texts:
            scan(text)
        best = min(best, time.process_time() - start)
    return sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6 / best


def main(file: str, folder: str = "") -> None:
    sources = collections.defaultdict(list)
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            document = json.loads(line)
            sources[document["source"]].append(document["text"])
    sources["all three"] = sum(sources.values(), [])
    sources["the labelled set"] = [text for language in labelled.LANGUAGES for text, _ in labelled.documents(language, 2000)]
    some = {source: texts[:: max(1, len(texts) // 10)] for source, texts in sources.items()}
    flags = SensitiveFlags(scrub=tuple(KINDS))
    rows = {f"`--scrub` all kinds, {each}": (Scrubber(flags, each), sources) for each in IMPLEMENTATIONS}
    rows["ten patterns of `regex`"] = (lambda text: [pattern.findall(text) for pattern in PATTERNS], some)
    if folder:
        rows["Presidio, six recognizers"] = (
            presidio(folder),
            {source: [t[:20_000] for t in texts] for source, texts in some.items()},
        )
    print(f"| MB/s | {' | '.join(sources)} |\n|---|{'---|' * len(sources)}")
    for name, (scan, given) in rows.items():
        print(f"| {name} | {' | '.join(f'{rate(scan, given[source]):.3g}' for source in sources)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
