"""`--input-format stackexchange`: a site's Posts.xml; a question with its answers, best first, is a document.

The dumps hold a row a line, answers long after their questions. Two passes, and memory that does not grow with the file: the
first notes where each post lies in an index on disk (SQLite, in the folder for temporary files, some 60 bytes a post), the
second goes through it by question and fetches the posts. A compressed file is unpacked there, too, to be read by place.

Bodies are HTML; their text keeps code as it is. `--stackexchange-min-score` leaves answers out, `--stackexchange-max-answers`
takes the best of them; a question without answers is a document. Tag descriptions and the like are no documents and go
unmentioned. Keys: text, id (`SITE:NUMBER`), source (the site: the file's or folder's name), title, tags, score, date, url,
license (of question and answers).
"""

from __future__ import annotations

import itertools
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple
from xml.etree import ElementTree

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus import urls
from megatron_ext.corpus.documents import Reject
from megatron_ext.corpus.html_text import whole_text
from megatron_ext.corpus.sources import COMPRESSED, LONGEST_RECORD, Source

SUFFIXES = ("posts.xml",)
UNIT = "line"
TEXT = "text"

_SAYS = re.compile(rb' (Id|PostTypeId|ParentId|Score)="(-?\d+)"')  # in a value quotes are written &quot;
_QUESTION, _ANSWER = 1, 2


class _Post(NamedTuple):
    """A post's row. Attributes: question: its own id, or that of what it answers; number: of its line."""

    question: int
    kind: int
    score: int
    id: int
    number: int
    place: int
    length: int


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, dict[str, Any] | None, int]]:
    unpacked = urls.is_url(source.path) or source.path.lower().endswith(COMPRESSED)
    with tempfile.TemporaryDirectory(prefix="stackexchange-") as folder:
        index = sqlite3.connect(os.path.join(folder, "posts.sqlite"))
        rows = open(os.path.join(folder, "posts.xml"), "w+b") if unpacked else open(source.path, "rb")
        try:
            yield from _indexed(source, index, rows if unpacked else None)
            yield from _by_question(index, rows, flags, _site(source.path))
        except sqlite3.Error as error:
            raise UserError(
                f"{source.path}: its index cannot be kept in {folder} ({error}); TMPDIR names another place"
            ) from None
        finally:
            rows.close()
            index.close()


def _indexed(source: Source, index: sqlite3.Connection, copy: BinaryIO | None) -> Iterator[tuple[int, Any, int]]:
    """Note all posts in the index; yield the rows that are none, which `fields` refuses."""
    index.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; CREATE TABLE post ({', '.join(_Post._fields)})")
    held: list[_Post] = []
    last, begun = b"", False
    for number, line in source.lines():
        row = b"" if line is None else line.strip()
        if line is not None and not row.startswith(b"<row"):
            begun = begun or row.startswith(b"<posts")
            last = row or last
            if row and not row.startswith((b"<?xml", b"<posts", b"</posts")):
                yield number, {"question": row}, source.at
            continue
        if not begun:
            raise UserError(f"{source.path}, line {number}: is no Posts.xml of StackExchange: <posts> is missing")
        last = row[:4] or b"<row"
        said = {name: int(value) for name, value in _SAYS.findall(row)}
        kind, id = said.get(b"PostTypeId"), said.get(b"Id")
        question = id if kind == _QUESTION else said.get(b"ParentId")
        if line is None:
            yield number, None, source.at
        elif not row.endswith(b"/>") or kind is None or id is None or (kind == _ANSWER and question is None):
            yield number, {"question": row}, source.at
        elif kind in (_QUESTION, _ANSWER):
            place = source.at if copy is None else copy.tell()
            if copy is not None:
                copy.write(line)
            held.append(_Post(question, kind, said.get(b"Score", 0), id, number, place, len(line)))
        if len(held) >= 2**12:
            held = _noted(index, held)
    _noted(index, held)
    if not last.startswith(b"</posts"):
        raise UserError(f"{source.path}: is cut off: </posts> is missing at its end")


def _noted(index: sqlite3.Connection, posts: list[_Post]) -> list[_Post]:
    index.executemany(f"INSERT INTO post VALUES ({', '.join('?' * len(_Post._fields))})", posts)
    return []


def _by_question(index: sqlite3.Connection, rows: BinaryIO, flags: Any, site: str) -> Iterator[tuple[int, Any, int]]:
    found = map(_Post._make, index.execute("SELECT * FROM post ORDER BY question, kind, score DESC, id"))
    for _, group in itertools.groupby(found, key=lambda post: post.question):
        posts = iter(group)
        first = next(posts)
        if first.kind == _ANSWER:
            for post in (first, *posts):
                yield post.number, {"answer": _row(rows, post)}, post.place
            continue
        answers = list(itertools.islice(_wanted(posts, flags.stackexchange_min_score), flags.stackexchange_max_answers))
        if first.length + sum(post.length for post in answers) > LONGEST_RECORD:
            yield first.number, None, first.place
        else:
            payload = {"question": _row(rows, first), "answers": b"".join(_row(rows, post) for post in answers), "site": site}
            yield first.number, payload, first.place


def _wanted(posts: Iterator[_Post], least: int | None) -> Iterator[_Post]:
    return (post for post in posts if post.kind == _ANSWER and (least is None or post.score >= least))


def _row(rows: BinaryIO, post: _Post) -> bytes:
    rows.seek(post.place)
    return rows.read(post.length).strip() + b"\n"


def _site(path: str) -> str:
    """`cooking.stackexchange.com/Posts.xml` or `cooking.stackexchange.com-Posts.xml`: the site."""
    folder, name = os.path.split(urls.name_of(path))
    site = re.sub(r"-?posts\.xml.*$", "", name, flags=re.I)
    return site or os.path.basename(folder) or "stackexchange"


def fields(payload: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    if "answer" in payload:
        answer = _post(payload["answer"])
        raise Reject("no_parent", f"post {answer.get('Id')} answers question {answer.get('ParentId')}, which is missing")
    question = _post(payload["question"])
    if "answers" not in payload:
        raise Reject("damaged", "the row is no question and does not say what it answers")
    answers = [_post(row) for row in payload["answers"].splitlines()]
    title, site = " ".join(question.get("Title", "").split()), payload["site"]
    parts = [title, *(whole_text(post.get("Body", "")) for post in (question, *answers))]
    licenses = sorted({post["ContentLicense"] for post in (question, *answers) if post.get("ContentLicense")})
    found = {
        "text": "\n\n".join(filter(None, parts)),
        "id": f"{site}:{question['Id']}",
        "source": site,
        "title": title,
        "tags": re.findall(r"[^<>|]+", question.get("Tags", "")),
        "score": int(question.get("Score", 0)),
        "date": question.get("CreationDate", ""),
        "url": f"https://{site}/questions/{question['Id']}" if "." in site else "",
        "license": ", ".join(licenses),
    }
    return {key: value for key, value in found.items() if value not in ("", [])}


def _post(row: bytes) -> dict[str, str]:
    try:
        found = ElementTree.fromstring(row)
    except ElementTree.ParseError as error:
        raise Reject("damaged", f"the row is no whole XML ({error})") from None
    if found.tag != "row" or not found.get("Id", "").isdigit() or "PostTypeId" not in found.attrib:
        raise Reject("damaged", "the row is no post: it has no Id or no PostTypeId")
    return dict(found.attrib)
