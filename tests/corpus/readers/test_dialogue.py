"""One tree in every form, and what a naive walk over it gives."""

import json

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.corpus import sources
from megatron_ext.corpus.documents import Reject, document, open_source, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import format_of
from megatron_ext.corpus.readers import dialogue

LISTED = ("id", "parent_id", "role", "content", "rank")
# id, parent, role, text, rank
ROWS = [
    ("1", None, "prompter", "Hi {text}?", None), ("2", "1", "assistant", "worse", 1), ("3", "1", "assistant", "better\nlines", 0),
    ("4", "2", "prompter", "why", None), ("5", "3", "prompter", "thanks", None), ("6", "3", "prompter", "more", None),
]  # fmt: skip


def oasst(id, parent, role, text, rank, tree="t"):
    return {
        "message_id": id, "parent_id": parent, "message_tree_id": tree, "role": role, "text": text, "lang": "en", "rank": rank,
        "deleted": False,
    }  # fmt: skip


def nested(parent=None):
    return [{**oasst(*row), "replies": nested(row[0])} for row in ROWS if row[1] == parent]


FORMS = {
    "nested": [{"message_tree_id": "t", "tree_state": "ready", "prompt": nested()[0]}],
    "topmost": nested(),
    "list": [
        {
            "id": "t",
            "messages": [{**dict(zip(LISTED, row)), "lang": "en"} for row in ROWS],
        }
    ],
    "lines": [oasst(*row) for row in ROWS],
    "lines in another order": [oasst(*row) for row in [ROWS[0], ROWS[2], ROWS[1], *ROWS[3:]]],
}
BEST = "prompter: Hi {text}?\nassistant: better\nlines\nprompter: thanks"
PATHS = [
    "prompter: Hi {text}?\nassistant: worse\nprompter: why",
    BEST,
    "prompter: Hi {text}?\nassistant: better\nlines\nprompter: more",
]


def found(folder, lines, **flags):
    path = folder / "a.trees.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    assert format_of(str(path), READERS) == "dialogue"
    with open_source(str(path), dialogue) as source:
        return [looked_into(record) for record in records(source, dialogue, None, InputFlags(**flags))]


def looked_into(record):
    try:
        return document(record, dialogue)
    except Reject as reject:
        return f"{record.number} {reject.reason}"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_tree(tmp_path, form):
    (best,) = found(tmp_path, FORMS[form])
    assert best.text == BEST and best.values["language"] == "en" and best.source == "dialogue"
    assert best.id == ("1" if form == "topmost" and "t" not in best.id else "t")
    every = found(tmp_path, FORMS[form], dialogue_paths="every")
    assert sorted(each.text for each in every) == sorted(PATHS)
    assert [each.id for each in every] == [f"{best.id}:{number}" for number in range(3)]


def test_trees_of_one_message_a_line_are_told_apart(tmp_path):
    lines = [oasst(*row, tree=tree) for tree in ("t", "u") for row in ROWS]
    assert [each.id for each in found(tmp_path, lines)] == ["t", "u"]


def test_templates(tmp_path):
    (best,) = found(tmp_path, FORMS["lines"], dialogue_template=r"<|{role}|>\n{text}<end>")
    assert best.text.startswith("<|prompter|>\nHi {text}?<end>\n<|assistant|>\nbetter\nlines<end>\n")
    with pytest.raises(ConfigurationError, match=r"--dialogue-template '\{role\}': has no \{text\}"):
        read([InputFlags], ["--input", f"{tmp_path}/a.trees.jsonl", "--dialogue-template", "{role}"], "x", "")


def test_lists_without_parents_are_one_path(tmp_path):
    chat = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "human", "value": "c"}]}
    pieces = {
        "messages": [{"author": {"role": "user"}, "content": ["a", {"type": "text", "text": "b"}, {"type": "image"}]}],
        "source": "s",
    }
    first, second = found(tmp_path, [chat, pieces])
    assert first.text == "human: a\ngpt: b\nhuman: c" and first.id == f"{tmp_path}/a.trees.jsonl:0"
    assert (second.text, second.source) == ("user: ab", "s")


def test_deleted_messages_go_with_their_answers(tmp_path):
    lines = [{**oasst(*row), "deleted": row[0] == "3"} for row in ROWS]
    assert [each.text for each in found(tmp_path, lines, dialogue_paths="every")] == PATHS[:1]
    for paths in ("best", "every"):
        assert found(tmp_path, [{**line, "deleted": True} for line in lines], dialogue_paths=paths) == ["1 empty"]


def test_a_long_path_is_no_depth_of_calls(tmp_path):
    many = [{"id": n, "parent_id": n - 1 if n else None, "role": "r", "text": str(n)} for n in range(20_000)]
    assert found(tmp_path, [{"messages": many}])[0].text.count("\n") == 19_999


@pytest.mark.parametrize(
    ("lines", "reasons"),
    [
        (["", "[1]", "{"], ["1 empty", "2 not_an_object", "3 not_json"]),
        ([oasst(*ROWS[1])], ["1 no_parent"]),
        (
            [
                {
                    "messages": [
                        {"id": 1, "parent_id": 2, "role": "a", "text": "b"},
                        {"id": 2, "parent_id": 1, "role": "a", "text": "b"},
                    ]
                }
            ],
            ["1 no_parent"],
        ),
        (
            [{"messages": 5}, {"messages": [5]}, {"prompt": {"role": "a", "text": "b", "replies": [5]}}],
            ["1 not_text", "2 not_text", "3 not_text"],
        ),
        (
            [{"messages": []}, {}, {"role": "a"}, {"text": "a"}, {"role": 5, "text": "a"}],
            ["1 empty", "2 key_missing", "3 key_missing", "4 key_missing", "5 not_text"],
        ),
        ([{"messages": [{"role": "a", "text": "\ud800"}]}], ["1 lone_surrogate"]),
    ],
)
@pytest.mark.parametrize("paths", ["best", "every"])
def test_what_is_wrong(tmp_path, lines, reasons, paths):
    assert found(tmp_path, lines, dialogue_paths=paths) == reasons


def test_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST_RECORD", 400)
    monkeypatch.setattr(dialogue, "LONGEST_RECORD", 400)
    lines = [oasst(*row) for row in ROWS] + [{"role": "a", "text": "x" * 500}, {"role": "a", "text": "b"}]
    assert [each if isinstance(each, str) else each.text for each in found(tmp_path, lines)] == [
        "1 too_long",
        "7 too_long",
        "a: b",
    ]
