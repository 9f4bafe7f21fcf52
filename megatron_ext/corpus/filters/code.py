"""`--filters code`: drops source files that are no code worth learning from, by the rules of The Stack and StarCoder.

The Stack (arXiv:2211.15533, after Codex, arXiv:2107.03374): lines of 1,000 characters at most and of 100 on average, a quarter
of the characters letters or digits, no file that says in its first lines that it was generated. StarCoder (arXiv:2305.06161):
a quarter of the characters letters; JSON and YAML only from 50 to 5,000 characters and half of them letters, XML never (but XSLT
and what is like it), HTML only where a fifth of it and 100 characters are what a reader sees. Ours: lock files and minified
files by name, tables of numbers (CSV and the like) never, and a share of tokens that are names or words.

What a file is follows from its name, under `--code-path-key`; a record without one is judged by the rules for all code. Prose in
Markdown, reStructuredText, TeX and plain text has long lines by right: bounds of length do not hold there.
"""

from __future__ import annotations

import re
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.corpus.filters import Verdict

REASONS = {
    "code_line_max": "a line of code too long",
    "code_line_mean": "lines of code long on average",
    "code_alphanumeric": "few letters and digits in code",
    "code_alphabetic": "few letters in code",
    "code_tokens": "few names and words in code",
    "code_generated": "generated code",
    "code_minified": "minified code",
    "code_lock_file": "a lock file",
    "code_data": "data, not code",
    "code_markup": "HTML without much text",
}
NUMBERS = ("longest line", "mean line", "share of letters and digits", "share of letters", "share of names and words")
EDITS = False

_LOCK_FILES = frozenset(
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock poetry.lock pipfile.lock uv.lock pdm.lock pixi.lock "
    "conda-lock.yml cargo.lock gemfile.lock composer.lock go.sum mix.lock podfile.lock pubspec.lock flake.lock "
    "packages.lock.json package.resolved gradle.lockfile deno.lock .terraform.lock.hcl".split()
)
_SETTINGS, _TABLES, _XML = {"json", "yaml", "yml"}, {"csv", "tsv", "jsonl", "ndjson", "geojson", "ipynb"}, {"xml", "svg", "plist"}
_HTML, _PROSE = {"html", "htm", "xhtml"}, {"md", "markdown", "rst", "tex", "txt", "adoc"}
_CODE_IN_XML = {"xsl", "xslt", "xaml", "csproj", "vcxproj", "fsproj", "props", "targets", "ui", "qrc", "wsdl", "xsd"}
_GENERATED = re.compile(
    r"\b(?:auto-?\s?generated|automatically (?:generated|created)|generated (?:automatically|by|from|code)|code generated)\b"
    r"|@generated|this (?:file|code) (?:is|was) generated"
    r"|(?:do not|don't) (?:edit|modify)\b.{0,40}(?:generated|by hand|manually|this file)",
    re.IGNORECASE,
)
_SEEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^<>]*>|\s+", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(r"\w+|[^\w\s]")


@flag_group("code", "Rule code: files of source code (arXiv:2211.15533)")
class Flags:
    code_path_key: str = flag("path", "where the file's name lies in a record", front=True)
    code_max_line: int = flag(1000, "characters of the longest line", least=1)
    code_max_mean_line: float = flag(100, "characters of a line on average", least=1)
    code_min_alphanumeric: float = flag(0.25, "share of characters that are letters or digits", least=0, most=1)
    code_min_alphabetic: float = flag(0.25, "share of characters that are letters", least=0, most=1)
    code_min_word_tokens: float = flag(0.15, "share of tokens that are names or words, not numbers or signs", least=0, most=1)
    code_generated_lines: int = flag(
        5, "first lines in which a file may say that it was generated; 0: generated files stay", least=0
    )
    code_drop_minified: bool = flag(True, "drop minified JavaScript and CSS")
    code_drop_lock_files: bool = flag(True, "drop the lock files of package managers")
    code_drop_data: bool = flag(True, "drop tables, XML, and JSON and YAML that is data")
    code_settings_min: int = flag(50, "characters of JSON and YAML that is no data", least=0)
    code_settings_max: int = flag(5000, "characters of JSON and YAML that is no data", least=1)
    code_settings_min_alphabetic: float = flag(0.5, "share of letters in JSON and YAML that is no data", least=0, most=1)
    code_html_min_text: float = flag(
        0.2, "share of HTML that a reader sees, and 100 characters of it; 0: no bound", least=0, most=1
    )

    @staticmethod
    def check(c):
        if c.code_settings_max < c.code_settings_min:
            way_out = f"give at least {c.code_settings_min}, or lower --code-settings-min"
            yield Problem(
                "--code-settings-max", c.code_settings_max, f"is below --code-settings-min {c.code_settings_min}", way_out
            )


class Filter:
    def __init__(self, c: Any):
        self._c = c

    def __call__(self, document: Any) -> Verdict:
        text = document.text
        path = document.values.get(self._c.code_path_key)
        name = path.replace("\\", "/").rpartition("/")[2].lower() if isinstance(path, str) else ""
        ending = name.rpartition(".")[2]
        numbers = _measure(text)
        reason, detail = (
            self._by_name(name, ending) or self._data(text, ending, numbers) or self._shape(text, ending, numbers) or (None, "")
        )
        return Verdict(reason, detail, numbers)

    def _by_name(self, name: str, ending: str) -> tuple[str, str] | None:
        if self._c.code_drop_lock_files and name in _LOCK_FILES:
            return "code_lock_file", name
        if self._c.code_drop_minified and re.search(r"[.-]min\.(?:m?js|css)$", name):
            return "code_minified", name
        if self._c.code_drop_data and ending in _TABLES:
            return "code_data", f".{ending}"
        return None

    def _data(self, text: str, ending: str, numbers: tuple) -> tuple[str, str] | None:
        c, letters = self._c, numbers[3]
        if ending in _HTML and c.code_html_min_text:
            seen = len(_SEEN.sub(" ", text).strip())
            if seen < max(100, c.code_html_min_text * len(text)):
                return (
                    "code_markup",
                    f"{seen:,} of {len(text):,} characters are seen, at least {c.code_html_min_text:.0%} and 100",
                )
        if not c.code_drop_data:
            return None
        if ending in _XML or ("<?xml version=" in text[:100] and ending not in _CODE_IN_XML | _HTML):
            return "code_data", "XML"
        if ending in _SETTINGS:
            if not c.code_settings_min <= len(text) <= c.code_settings_max:
                return (
                    "code_data",
                    f"{len(text):,} characters of {ending}, from {c.code_settings_min:,} to {c.code_settings_max:,}",
                )
            if letters < c.code_settings_min_alphabetic:
                return "code_data", f"{letters:.0%} letters in {ending}, at least {c.code_settings_min_alphabetic:.0%}"
        return None

    def _shape(self, text: str, ending: str, numbers: tuple) -> tuple[str, str] | None:
        c = self._c
        longest, mean, alphanumeric, alphabetic, tokens = numbers
        if c.code_generated_lines:
            head = "\n".join(text[:4000].split("\n", c.code_generated_lines)[: c.code_generated_lines])
            if found := _GENERATED.search(head):
                return "code_generated", f"it says {found[0]!r}"
        if c.code_drop_minified and ending in {"js", "mjs", "css"} and mean > 110:  # as GitHub's linguist takes them for it
            return "code_minified", f"lines of {mean:,.0f} characters on average"
        if ending not in _PROSE | _HTML and longest > c.code_max_line:
            return "code_line_max", f"a line of {longest:,} characters, at most {c.code_max_line:,}"
        if ending not in _PROSE | _HTML and mean > c.code_max_mean_line:
            return "code_line_mean", f"lines of {mean:,.1f} characters on average, at most {c.code_max_mean_line:g}"
        for reason, share, least in (
            ("code_alphanumeric", alphanumeric, c.code_min_alphanumeric),
            ("code_alphabetic", alphabetic, c.code_min_alphabetic),
            ("code_tokens", tokens, c.code_min_word_tokens),
        ):
            if share < least:
                return reason, f"{share:.1%}, at least {least:.1%}"
        return None


def _measure(text: str) -> tuple[float, ...]:
    """NUMBERS of a text; an empty one has no lines and no letters."""
    if not text:
        return (0.0,) * len(NUMBERS)
    lines = list(map(len, text.splitlines()))
    tokens = _TOKEN.findall(text)
    return (
        max(lines),
        sum(lines) / len(lines),
        sum(map(str.isalnum, text)) / len(text),
        sum(map(str.isalpha, text)) / len(text),
        sum(map(str.isidentifier, tokens)) / max(len(tokens), 1),
    )
