"""`--input-format dialogue`: trees of messages in JSON lines, rendered as text with the speakers' roles.

A tree stands in one line or several, as OpenAssistant (arXiv:2304.07327) and chat data have them:

    {"prompt": {"role": …, "text": …, "replies": [{…, "replies": […]}]}}      replies within what they answer
    {"messages": [{"id": …, "parent_id": …, "role": …, "text": …}]}           a list with parents; without them, one after another
    {"id": …, "parent_id": …, "tree_id": …, "role": …, "text": …}             a message a line, a tree's lines together

`message_id` and `message_tree_id` are known too, `content` and `value` for text, `from` for role, `conversations` for messages.
`--dialogue-paths best` follows the best reply of each message (the lowest `rank`, else the first); `every` makes a document of
each path from a first message to a last one. Messages with `"deleted": true` are left out, with what answers them.
`--dialogue-template` is how a message is written. Keys: text, id (the tree's; with `every`, and the path's number), source,
language.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from megatron_ext.corpus.documents import Reject
from megatron_ext.corpus.readers import jsonl
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = (".trees.jsonl", ".messages.jsonl")
UNIT = "line"
TEXT = "text"

_ID, _TREE, _PARENT, _ROLE = ("message_id", "id"), ("message_tree_id", "tree_id"), ("parent_id",), ("role", "from", "author")
_TEXT, _LIST = ("text", "content", "value"), ("messages", "conversations")


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, dict[str, Any] | None, int]]:
    """A record is a tree; of `every` path one is a path, taken apart here: who works on it cannot give several."""
    for number, place, lines in _trees(source):
        payload = {"lines": b"".join(lines or ()), "template": flags.dialogue_template}
        if lines is None:
            yield number, None, place
        elif flags.dialogue_paths == "best":
            yield number, payload, place
        else:
            yield from ((number, each, place) for each in _every(payload))


def _trees(source: Source) -> Iterator[tuple[int, int, list[bytes] | None]]:
    """`(number, offset, lines)` of each tree; no lines where they are too long."""
    first = place = size = 0
    tree, lines = None, None
    for number, line in source.lines():
        now = _tree_of(line)
        if now is None or now != tree:
            if first:
                yield first, place, lines
            first, place, size, tree, lines = number, source.at, 0, now, []
        size += len(line) if line is not None else LONGEST_RECORD + 1
        if size > LONGEST_RECORD:
            lines = None
        elif lines is not None:
            lines.append(line)
    if first:
        yield first, place, lines


def _tree_of(line: bytes | None) -> str | int | None:
    """The tree that a line with one message belongs to; None for a line that stands alone."""
    if line is None or b"tree_id" not in line or b'"replies"' in line:
        return None
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return None if not isinstance(message, dict) or _first(message, _LIST) is not None else _first(message, _TREE)


def _every(payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        tree = _tree(payload["lines"])
    except Reject:
        tree = {"messages": []}
    if not tree["messages"]:
        yield payload  # `fields` says what is wrong
    for number, path in enumerate(_paths(tree["messages"])):
        one = {**tree, "id": None if tree["id"] is None else f"{tree['id']}:{number}", "messages": path}
        yield {"lines": b"", "one": json.dumps(one).encode(), "template": payload["template"]}


def fields(payload: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    if "one" in payload:
        tree = json.loads(payload["one"])
        path = tree["messages"]
    else:
        tree = _tree(payload["lines"])
        path = list(_best(tree["messages"]))
    if not path:
        raise Reject("empty", "the tree has no messages")
    text = "\n".join(_written(payload["template"], message) for message in path)
    found = {"text": text, "id": tree["id"], "source": tree["source"], "language": path[0]["language"]}
    return {key: value for key, value in found.items() if value is not None}


def _written(template: str, message: dict[str, Any]) -> str:
    return re.sub(r"\{(role|text)\}|\\n", lambda found: message[found[1]] if found[1] else "\n", template)


def _best(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    while messages:
        found = min(messages, key=lambda message: message["rank"])
        yield found
        messages = found["replies"]


def _paths(messages: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Every path to a last message, in the order of the tree."""
    waiting = [[message] for message in reversed(messages)]
    while waiting:
        path = waiting.pop()
        if path[-1]["replies"]:
            waiting += [[*path, reply] for reply in reversed(path[-1]["replies"])]
        else:
            yield [{key: message[key] for key in ("role", "text", "language")} for message in path]


def _tree(lines: bytes) -> dict[str, Any]:
    """A tree in any of the forms as one: `messages`, those that answer none, each with its `replies`."""
    rows = [jsonl.fields(line, None) for line in lines.removesuffix(b"\n").split(b"\n")]
    top, listed = rows[0], _first(rows[0], _LIST)
    if listed is not None:
        messages = _hung_up(listed)
    elif isinstance(top.get("prompt"), dict):
        messages = _nested([top["prompt"]])
    elif "replies" in top:
        messages = _nested([top])
    else:
        messages = _hung_up(rows)
    id, source = _first(top, (*_TREE, *_ID)), top.get("source")
    return {"id": None if id is None else str(id), "source": source if isinstance(source, str) else None, "messages": messages}


def _hung_up(raw: Any) -> list[dict[str, Any]]:
    """Messages of a list, each under the one that it answers."""
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        raise Reject("not_text", "the messages are no list of objects")
    made = [_message(each) for each in raw]
    parents = [_first(each, _PARENT) for each in raw]
    by_id = {_first(each, _ID): message for each, message in zip(raw, made)}
    if not any("parent_id" in each for each in raw):  # one after another
        for before, message in zip(made, made[1:]):
            before["replies"].append(message)
        return _without_deleted(made[:1])
    for parent, message in zip(parents, made):
        if parent is not None and parent not in by_id:
            raise Reject("no_parent", f"a message answers {parent!r}, which is missing")
        if parent is not None:
            by_id[parent]["replies"].append(message)
    tops = [message for parent, message in zip(parents, made) if parent is None]
    if _size(tops) < len(made):
        raise Reject("no_parent", "messages answer each other in a ring")
    return _without_deleted(tops)


def _nested(raw: list[Any]) -> list[dict[str, Any]]:
    """Messages that hold their replies."""
    tops: list[dict[str, Any]] = []
    waiting = [(each, tops) for each in raw]
    for each, siblings in waiting:  # grows as it goes
        if not isinstance(each, dict):
            raise Reject("not_text", "a reply is no object")
        siblings.append(_message(each))
        waiting += [(reply, siblings[-1]["replies"]) for reply in each.get("replies") or ()]
    return _without_deleted(tops)


def _message(raw: dict[str, Any]) -> dict[str, Any]:
    role, text, rank, language = _first(raw, _ROLE), _first(raw, _TEXT), raw.get("rank"), _first(raw, ("lang", "language"))
    if isinstance(role, dict):
        role = role.get("role")
    if isinstance(text, list):  # pieces, as of several media
        pieces = [piece.get("text") if isinstance(piece, dict) else piece for piece in text]
        text = "".join(piece for piece in pieces if isinstance(piece, str))
    for name, value in (("role", role), ("text", text)):
        if not isinstance(value, str):
            raise Reject("key_missing" if value is None else "not_text", f"a message has no {name}")
    rank = rank if isinstance(rank, (int, float)) else math.inf
    return {"role": role, "text": text, "rank": rank, "language": language, "deleted": raw.get("deleted") is True, "replies": []}


def _first(raw: dict[str, Any], names: Sequence[str]) -> Any:
    """The value under the first of the names that is there."""
    return next((raw[name] for name in names if raw.get(name) is not None), None)


def _without_deleted(tops: list[dict[str, Any]]) -> list[dict[str, Any]]:
    waiting = [tops]
    for siblings in waiting:
        siblings[:] = [message for message in siblings if not message["deleted"]]
        waiting += [message["replies"] for message in siblings]
    return tops


def _size(tops: list[dict[str, Any]]) -> int:
    waiting = list(tops)
    for message in waiting:
        waiting += message["replies"]
    return len(waiting)
