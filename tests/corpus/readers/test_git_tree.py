"""Repositories made with git itself."""

import os
import pathlib
import subprocess

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError
from megatron_ext.corpus.documents import Reject, document, open_source, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import expand, format_of, parts, size_of, state_of
from megatron_ext.corpus.readers import git_tree
from megatron_ext.data.preprocess.batching import read_batches

FILES = {
    "a.py": "print('ä')\n",
    "deep/b.c": "int main() { return 0; }\n",
    "deep/naïve name.rs": "fn main() {}\n",
    "LICENSE": "MIT",
    "docs/LICENSE.md": "not at the top",
    "Makefile": "all:\n",
    "README.md": "# x\n",
    "data.unknownending": "words",
    "empty.txt": "",
    "build/out.o": b"\x7fELF\0",
    "picture.png": b"\x89PNG\0",
    "latin.txt": b"caf\xe9",
    ".gitignore": "build/\n*.log\n",
    "x.log": "ignored",
    "untracked.py": "no",
}


def git(folder, *arguments):
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    environment = os.environ | who | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, env=environment).stdout


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "project"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "link.py").symlink_to("a.py")
    git(tmp_path, "init", "-q", "project")
    git(folder, "add", *sorted(set(os.listdir(folder)) - {"untracked.py", "build", "x.log", ".git"}))
    return folder


def found(folder):
    """Documents and rejects by path, in order."""
    result = {}
    with open_source(str(folder), git_tree) as source:
        for record in records(source, git_tree, None, InputFlags()):
            try:
                result[record.payload["path"]] = document(record, git_tree)
            except Reject as reject:
                result[record.payload["path"]] = reject.reason
    return result


def test_tracked_files_and_nothing_else(tree):
    result = found(tree)
    tracked = git(tree, "-c", "core.quotePath=false", "ls-files").decode().splitlines()
    assert list(result) == [path for path in tracked if path != "link.py"] and "link.py" in tracked
    assert set(FILES) - set(result) == {"build/out.o", "x.log", "untracked.py"}
    for path, each in result.items():
        expected = {"picture.png": "binary", "latin.txt": "not_utf8", "empty.txt": "empty"}.get(path, FILES[path])
        assert (each if isinstance(each, str) else each.text) == expected


def test_keys(tree):
    result = found(tree)
    assert result["deep/b.c"].values == {
        "text": FILES["deep/b.c"],
        "id": "project/deep/b.c",
        "source": "project",
        "path": "deep/b.c",
        "language": "C",
        "license": "LICENSE",
    }
    assert "language" not in result["data.unknownending"].values
    git(tree, "remote", "add", "origin", "git@example.com:owner/name.git")
    assert {each.source for each in found(tree).values() if not isinstance(each, str)} == {"owner/name"}
    for url, source in (("https://u:p@example.com/o/n/", "o/n"), ("/some/folder", "project"), ("ssh://h/o/n.git", "o/n")):
        git(tree, "remote", "set-url", "origin", url)
        assert found(tree)["a.py"].source == source


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.py", "Python"),
        ("a.h", "C"),
        ("a.cpp", "C++"),
        ("a.rs", "Rust"),
        ("a.go", "Go"),
        ("a.ts", "TypeScript"),
        ("a.js", "JavaScript"),
        ("A.java", "Java"),
        ("Makefile", "Makefile"),
        ("CMakeLists.txt", "CMake"),
        ("a.md", "Markdown"),
        ("a.sh", "Bash"),
        ("a.rb", "Ruby"),
        ("Dockerfile", "Docker"),
        ("a.yaml", "YAML"),
        ("a.nonsense", None),
    ],
)
def test_languages(name, language):
    assert git_tree._language(name) == language


def test_a_folder_is_an_input_where_git_is_in_it(tree, tmp_path):
    assert format_of(str(tree), READERS) == "git_tree" and expand(str(tree)) == [str(tree)]
    assert parts(str(tree), git_tree, InputFlags(), 1) == [(0, None)]
    assert read([InputFlags], ["--input", str(tree)], "x", "").input.input == (str(tree),)
    assert list(found(f"{tree}/deep")) == ["b.c", "naïve name.rs"], "a part of a tree can be named"
    for arguments, said in (
        (["--input", str(tmp_path)], "is a folder; give files"),
        (["--input", str(tree), "--input-format", "jsonl"], "is a folder; give files"),
        (["--input", f"{tree}/a.py", "--input-format", "git_tree"], "is no folder, and git_tree reads folders"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            read([InputFlags], arguments, "x", "")


def test_a_folder_without_git_is_one_sentence(tmp_path, tree, monkeypatch):
    (tmp_path / "plain").mkdir()
    with pytest.raises(UserError, match="plain: is no Git work tree that can be read .*not a git repository"):
        found(tmp_path / "plain")
    (tree / ".git" / "index").write_bytes(b"rubbish")
    with pytest.raises(UserError, match="project: is no Git work tree that can be read"):
        found(tree)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="the program git is needed"):
        found(tree)


def test_files_that_vanished_or_are_too_long(tree, monkeypatch):
    (tree / "a.py").unlink()
    monkeypatch.setattr(git_tree, "LONGEST_RECORD", 15)
    with open_source(str(tree), git_tree) as source:
        result = list(records(source, git_tree, None, InputFlags()))
    by_path = {record.payload["path"]: record for record in result if record.payload}
    assert "deep/b.c" not in by_path and [record.number for record in result] == list(range(1, 1 + len(result)))
    with pytest.raises(Reject, match=r"a\.py cannot be read \(No such file") as caught:
        document(by_path["a.py"], git_tree)
    assert caught.value.reason == "unreadable"


def test_its_state_changes_with_any_file_below(tree):
    size, before = size_of(str(tree)), state_of(str(tree))
    assert state_of(str(tree)) == before
    (tree / "deep" / "b.c").write_text("int other;\n")
    assert state_of(str(tree)) != before and size_of(str(tree)) == size - len(FILES["deep/b.c"]) + len("int other;\n")


def test_what_a_work_trees_configuration_names_is_not_run(tree, tmp_path):
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/was_run\n")
    script.chmod(0o755)
    git(tree, "config", "core.fsmonitor", str(script))
    assert found(tree) and not (tmp_path / "was_run").exists()


def test_preprocessing_takes_it(tree, tmp_path):
    (tmp_path / "a.txt").write_text("words")
    batches = list(read_batches([str(tree), f"{tmp_path}/a.txt"], ["text"], InputFlags()))
    assert [batch.format for batch in batches] == ["git_tree", "text"]
    assert len(batches[0].records) == len(found(tree)) and pathlib.Path(batches[0].records[0].file) == tree
