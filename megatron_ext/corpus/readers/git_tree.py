"""`--input-format git_tree`: a Git work tree; each text file that Git tracks is a document, in the order of `git ls-files`.

What Git does not track (build output, what is ignored) is no part of it, nor are links and submodules. A file with a NUL in its
first 8,000 bytes is binary, as for Git itself, and refused as such. Keys: text, id (`REPOSITORY/PATH`), path, source (the
repository: what its remote `origin` is called, else the folder's name), language (of programming, by the file's name, from
pygments), license (the names of its license files: LICENSE, COPYING and the like, in the topmost folder).
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, check_utf8
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = ()
FOLDER_SIGN = ".git"
UNIT = "file"
TEXT = "text"

_LOOKED_AT = 8000
_FILES = ("100644", "100755")  # not links (120000), not submodules (160000)
_LICENSE = re.compile(r"(un)?licen[cs]es?([.-]|$)|copying|copyright$", re.I)


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, dict[str, Any] | None, None]]:
    tracked = _tracked(source.path)
    about = {"repository": _repository(source.path), "license": ", ".join(filter(_LICENSE.match, tracked))}
    for number, path in enumerate(tracked, start=1):
        content = _content(os.path.join(source.path, path))
        payload = {**about, "path": path, "content": content}
        yield number, payload if not isinstance(content, bytes) or len(content) <= LONGEST_RECORD else None, None


def _content(path: str) -> bytes | str:
    """What the file holds; or why it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(LONGEST_RECORD + 1)
    except OSError as error:
        return error.strerror or str(error)


def _tracked(folder: str) -> list[str]:
    """Paths of the files below the folder that Git tracks, once each where a merge has several versions of one."""
    said = _git(folder, "ls-files", "--stage", "-z")
    entries = (entry.partition(b"\t") for entry in said.split(b"\0") if entry)
    paths = (os.fsdecode(path) for about, _, path in entries if about.split()[0].decode() in _FILES)
    return list(dict.fromkeys(paths))


def _git(folder: str, *arguments: str) -> bytes:
    """What Git says. Nothing that the work tree's own configuration names is run, and whose it is does not matter."""
    settings = ["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    try:
        done = subprocess.run(["git", *settings, "-C", folder, *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{folder}: to read a Git work tree the program git is needed, which is missing; install it") from None
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split()).removeprefix("fatal: ")
        raise UserError(f"{folder}: is no Git work tree that can be read ({said})")
    return done.stdout


def _repository(folder: str) -> str:
    """`owner/name` of the remote `origin`'s URL, or the folder's name."""
    try:
        url = _git(folder, "config", "--get", "remote.origin.url").decode(errors="replace").strip()
    except UserError:  # it has none
        url = ""
    parts = re.split(r"[/:]", url.rstrip("/").removesuffix(".git"))
    remote = "://" in url or (":" in url and "/" not in url.partition(":")[0])  # a path of some machine tells nothing
    return "/".join(parts[-2:]) if remote else os.path.basename(os.path.abspath(folder))


def fields(payload: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    path, content = payload["path"], payload["content"]
    if isinstance(content, str):
        raise Reject("unreadable", f"{path} cannot be read ({content})")
    if b"\0" in content[:_LOOKED_AT]:
        raise Reject("binary", f"{path} is a binary file")
    check_utf8(content)
    name = path.encode("utf-8", "replace").decode()
    found = {"text": content.decode(), "id": f"{payload['repository']}/{name}", "source": payload["repository"], "path": name}
    known = {"language": _language(os.path.basename(path)), "license": payload["license"]}
    return found | {key: value for key, value in known.items() if value}


@functools.lru_cache(maxsize=2**14)
def _language(name: str) -> str | None:
    """The language that a file's name tells; None where pygments knows none."""
    from pygments.lexers import find_lexer_class_for_filename

    found = find_lexer_class_for_filename(name)
    return found.name if found else None
