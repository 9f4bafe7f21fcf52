"""What tools/benchmark.py corpus compares with: each peer in a process of its own, on the texts that it is given.

    python -m megatron_ext.benchmarks.corpus_peers NAME TEXTS.jsonl ROUNDS

prints the CPU seconds of its best round; status 3 and a sentence where the peer is not installed.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

MISSING = 3
PATTERNS = {
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "phone_number": r"(?<!\w)(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ .-]?)?\d{2,4}(?:[ .-]\d{2,4}){2,4}(?!\w)",
    "ip_address": r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])|(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])",
    "bank_card": r"(?<![\w-])(?:\d[ -]?){13,19}(?![\w-])",
    "iban": r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)",
    "chinese_id": r"(?<!\w)[1-9]\d{5}(?:19|20)\d{9}[\dXx](?!\w)",
    "us_ssn": r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])",
    "secret": r"(?<!\w)(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|sk-[\w-]{20,}|xox[abp]-[\w-]{10,}|-----BEGIN [A-Z ]*KEY-----)",
}
"""The forms of --scrub's kinds as they are most often written: one pass each, and nothing is checked."""


def datatrove_rules() -> Callable[[Sequence[str]], object]:
    """Gopher's quality and repetition rules and C4's, each asked about every text."""
    from datatrove.data import Document
    from datatrove.pipeline import filters

    rules = [filters.GopherQualityFilter(), filters.GopherRepetitionFilter(), filters.C4QualityFilter()]
    return lambda texts: [rule.filter(Document(text=text, id="0")) for text in texts for rule in rules]


def datatrove_jsonl() -> Callable[[Sequence[str]], object]:
    """Its reader and its writer of JSONL, uncompressed, and nothing between them."""
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    def work(texts: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory(dir=os.path.dirname(sys.argv[2])) as folder:
            reader = JsonlReader(os.path.dirname(sys.argv[2]), glob_pattern=os.path.basename(sys.argv[2]), compression=None)
            for _ in JsonlWriter(folder, output_filename="${rank}.jsonl", compression=None)(reader()):
                pass

    return work


def regex_patterns() -> Callable[[Sequence[str]], object]:
    import regex

    patterns = [regex.compile(pattern) for pattern in PATTERNS.values()]
    return lambda texts: [pattern.findall(text) for text in texts for pattern in patterns]


def presidio() -> Callable[[Sequence[str]], object]:
    """Its recognizers by form and checksum for the same kinds, without a model of language."""
    from presidio_analyzer import predefined_recognizers as known

    names = ("EmailRecognizer", "PhoneRecognizer", "IpRecognizer", "CreditCardRecognizer", "IbanRecognizer", "UsSsnRecognizer")
    each = [getattr(known, name)() for name in names]
    return lambda texts: [one.analyze(text, one.supported_entities, None) for text in texts for one in each]


PEERS = {peer.__name__: peer for peer in (datatrove_rules, datatrove_jsonl, regex_patterns, presidio)}
INSTALL = {
    "datatrove_rules": "pip install datatrove spacy, into a folder of its own with --target, and name it with --peers",
    "datatrove_jsonl": "pip install datatrove, into a folder of its own with --target, and name it with --peers",
    "regex_patterns": "pip install regex",
    "presidio": "pip install presidio-analyzer, into a folder of its own with --target, and name it with --peers",
}


def seconds(name: str, path: str, rounds: int, folders: Sequence[str]) -> float | str:
    """CPU seconds of a peer's best round over the texts of a JSONL file, or why there is no figure."""
    root = str(pathlib.Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", __name__, name, path, str(rounds)]
    there = os.environ | {"PYTHONPATH": os.pathsep.join((root, *folders)), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=there, capture_output=True, text=True)
    if ran.returncode == 0:
        return float(ran.stdout.splitlines()[-1])
    said = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"left out: {said}; {INSTALL[name]}" if ran.returncode == MISSING else f"left out, it failed: {said}"


def main(name: str, path: str, rounds: str) -> int:
    try:
        work = PEERS[name]()
    except ImportError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return MISSING
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    work(texts[:2])  # what is loaded with the first text
    best = float("inf")
    for _ in range(int(rounds)):
        start = time.process_time()
        work(texts)
        best = min(best, time.process_time() - start)
    print(best)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
