"""A model's fingerprint, and what is said of a JSON that is another's. (What the filter refuses: tests/corpus/filters.)"""

import json

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.classifiers.model import fingerprint, read_description
from megatron_ext.corpus.model_description import description

ABOUT = dict(kind="fasttext", name="q", score_of="good", characters=0, features={}, threshold=0.5, fingerprint="")


def test_a_fingerprint_is_of_names_and_contents(tmp_path):
    (tmp_path / "folder").mkdir()
    found = set()
    for name, content in (("a", "x"), ("a", "y"), ("b", "y")):
        (tmp_path / "folder" / name).write_text(content)
        found.add(fingerprint(str(tmp_path / "folder")))
    found.add(fingerprint(str(tmp_path / "folder" / "a")))
    assert len(found) == 4
    with pytest.raises(UserError, match="none: cannot be read"):
        fingerprint(str(tmp_path / "none"))


def test_a_folder_s_json_lies_beside_it():
    assert description("models/quality/") == description("models/quality") == "models/quality.json"


@pytest.mark.parametrize("change", [{"kind": "svm"}, {"threshold": 2}, {"threshold": "x"}, {"name": None}])
def test_what_is_no_description(tmp_path, change):
    about = {**ABOUT, **change}
    if about["name"] is None:
        del about["name"]
    (tmp_path / "m.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match="it is not what tools/train_classifier.py writes"):
        read_description(str(tmp_path / "m"))
    (tmp_path / "m.json").write_text(json.dumps(ABOUT))
    assert read_description(str(tmp_path / "m")) == ABOUT
