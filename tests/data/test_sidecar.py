"""Data whose sidecar names another tokenizer is refused, and so is a sidecar of other files; what has none is taken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import sidecar
from megatron_ext.data.build import build
from megatron_ext.data.flags import DataFlags
from megatron_ext.data.index import Index
from megatron_ext.data.sidecar import refuse_another_tokenizer, refuse_without_ends
from megatron_ext.tokenizers.flags import TokenizerFlags
from tests.data.pairs import write_numbered


class Tokenizer:
    vocab_size, eod = 100, 7

    def __init__(self, fingerprint):
        self._fingerprint = fingerprint

    def fingerprint(self):
        return self._fingerprint


OURS, OTHER = Tokenizer("ours"), Tokenizer("other")
MADE = sidecar.source(OURS, TokenizerFlags(tokenizer_type="huggingface", tokenizer_model="tok"), append_eod=True)


def pair(folder, **changes):
    """A pair of 3 documents and 12 tokens, and its sidecar."""
    content = {"documents": 3, "tokens": 12, "dtype": "int32", "checksum": "c", **MADE} | changes
    (folder / "a_text_document.json").write_text(json.dumps(content))
    return Index(write_numbered(folder / "a_text_document", [3, 4, 5]))


def test_what_is_said_of_a_tokenizer():
    made = {"fingerprint": "ours", "vocab_size": 100, "eod": 7}
    flags = {"tokenizer_type": "huggingface", "tokenizer_model": "tok"}
    assert MADE == {"append_eod": True, "tokenizer": {**made, "flags": flags}}
    assert sidecar.told(MADE["tokenizer"]) == "tok, huggingface, 100 entries"


def test_another_tokenizer_is_refused(tmp_path):
    index = pair(tmp_path)
    assert sidecar.read(index).source == MADE
    refuse_another_tokenizer(index, OURS)
    with pytest.raises(UserError, match=r"another tokenizer \(tok, huggingface, 100 entries, by .*a_text_document.json\) than"):
        refuse_another_tokenizer(index, OTHER)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(documents=4), "documents: 4, here: 3"),
        (dict(tokens=11), "tokens: 11, here: 12"),
        (dict(dtype="uint16"), "token type: uint16, here: int32"),
    ],
)
def test_a_sidecar_of_other_files_is_an_error(tmp_path, changes, said):
    with pytest.raises(UserError, match=rf"a_text_document.json is of other files \(its {said}\); .*or remove it"):
        refuse_another_tokenizer(pair(tmp_path, **changes), OURS)


@pytest.mark.parametrize("changes", [dict(more=1), dict(tokenizer={}), dict(tokenizer=3), dict(tokenizer={"fingerprint": "x"})])
def test_a_file_that_is_no_sidecar_is_an_error(tmp_path, changes):
    with pytest.raises(UserError, match="json cannot be read .it does not say whose tokens they are.; remove it"):
        refuse_another_tokenizer(pair(tmp_path, **changes), OURS)
    (tmp_path / "a_text_document.json").write_text("{ no JSON")
    with pytest.raises(UserError, match="cannot be read"):
        sidecar.read(Index(str(tmp_path / "a_text_document")))


def test_no_sidecar_and_no_tokenizer_say_nothing(tmp_path):
    assert refuse_another_tokenizer(Index(write_numbered(tmp_path / "b", [3])), OTHER) is None
    assert refuse_another_tokenizer(pair(tmp_path, tokenizer=None), OTHER) is None


def test_data_without_ends_of_documents_is_refused_where_they_are_told_apart(tmp_path):
    for ends in (True, None):
        refuse_without_ends(pair(tmp_path, append_eod=ends))
    index = pair(tmp_path, append_eod=False)
    with pytest.raises(UserError, match="was made without --append-eod .*keeps documents apart; make it anew with --append-eod"):
        build(DataFlags(data_path=(index.prefix,), split="100,0,0"), 4, 1, evaluates=False, apart=True)
    build(DataFlags(data_path=(index.prefix,), split="100,0,0"), 4, 1, evaluates=False)


WRITE = """
import sys
import numpy as np
from megatron_ext.corpus import whole_file
from megatron_ext.data.indexed_writer import IndexedWriter
import os, signal

def kill_at(name):
    real, left = getattr(os, name), [int(sys.argv[2])]
    def call(*given):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return real(*given)
    setattr(os, name, call)

documents = int(sys.argv[3])
writer = IndexedWriter(sys.argv[1], "uint16")
writer.add(np.full(2 * documents, documents, np.uint16), np.full(documents, 2))
writer.seal({"append_eod": False, "tokenizer": None})
if int(sys.argv[2]) >= 0:
    kill_at("replace")
writer.publish()
"""


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_crash_while_names_are_given_leaves_no_wrong_pairing(tmp_path, step):
    """Killed before the first, the second, the third rename: there is no pair, or no wrong one."""

    def write(step, documents):
        command = [sys.executable, "-c", WRITE, str(tmp_path / "a"), str(step), str(documents)]
        return subprocess.run(command, timeout=60).returncode

    assert write(-1, 3) == 0
    assert write(step, 5) == -signal.SIGKILL
    assert (tmp_path / "a.json").exists() and not (tmp_path / "a.idx").exists()
    with pytest.raises(UserError, match="a.idx does not exist"):
        Index(str(tmp_path / "a"))
    assert write(-1, 5) == 0
    found = sidecar.read(Index(str(tmp_path / "a")))
    assert (found.documents, found.tokens) == (5, 10)
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "a.idx", "a.json"]
