"""Tokenizers of every kind on texts of several sources: what the table, the JSON and the picture say."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests import texts
from tests.evaluation.tokenizers.test_measures import wordpiece

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHINESE = ["话说天下大势，分久必合，合久必分。", "滚滚长江东逝水，浪花淘尽英雄。"] * 5


def call(*arguments, folder=ROOT, tool="compare_tokenizers.py"):
    command = [sys.executable, str(ROOT / "tools" / tool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tokenizers of all kinds, and texts of two sources."""
    folder = tmp_path_factory.mktemp("compare")
    for name in ("ours", "gpt2", "bert"):
        (folder / name).mkdir()
    (folder / "ours" / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    (folder / "llama.model").write_bytes(texts.sentencepiece_model())
    (folder / "nfkc.model").write_bytes(texts.sentencepiece_model(normalization_rule_name="nmt_nfkc", byte_fallback=False))
    (folder / "cl100k_base.tiktoken").write_bytes(texts.tiktoken_file())
    (folder / "other.tiktoken").write_bytes(texts.tiktoken_file())
    (folder / "megatron.json").write_bytes(texts.megatron_tiktoken_file())
    (folder / "t5.json").write_text(texts.unigram_json())
    (folder / "bert" / "tokenizer.json").write_text(wordpiece())
    model = json.loads(texts.byte_level_bpe_json())["model"]
    (folder / "gpt2" / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "gpt2" / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in model["merges"]))
    (folder / "code").mkdir()
    for number, text in enumerate(texts.library_texts(8)):
        (folder / "code" / f"{number}.txt").write_text(text)
    texts.write_jsonl(folder / "chinese.jsonl", CHINESE)
    return folder


KINDS = ["ours", "gpt2", "llama.model", "nfkc.model", "cl100k_base.tiktoken", "megatron.json", "unigram=t5.json", "bert=bert"]


def compare(folder, *more, kinds=KINDS):
    out = ["--json", "out/all.json", "--markdown", "out/all.md", "--picture", "out/all.svg"]
    return call("--tokenizers", *kinds, "--input", "code=code/*.txt", "chinese=chinese.jsonl", *out, *more, folder=folder)


@pytest.fixture(scope="module")
def compared(folder):
    ran = compare(folder, "--hidden-size", "64", "--eod-token", "[SEP]")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout, json.loads((folder / "out" / "all.json").read_text())


def test_all_kinds_are_compared(compared):
    said, found = compared
    assert [(each["name"], each["type"]) for each in found["tokenizers"]] == [
        ("ours", "huggingface"), ("gpt2", "gpt2_bpe"), ("llama", "sentencepiece"), ("nfkc", "sentencepiece"),
        ("cl100k_base", "tiktoken"), ("megatron", "tiktoken"), ("unigram", "huggingface"), ("bert", "huggingface"),
    ]  # fmt: skip
    for each in found["tokenizers"]:
        assert each["name"] in said
    text = "".join(CHINESE)
    assert found["texts"]["chinese"]["bytes"] == len(text.encode()) and found["texts"]["chinese"]["characters"] == len(text)
    assert list(found["texts"]) == ["code", "chinese", "all"]
    assert found["texts"]["code"]["documents"] == len(texts.library_texts(8))
    whole, parts = found["texts"]["all"], [found["texts"][name] for name in ("code", "chinese")]
    assert whole == {key: sum(part[key] for part in parts) for key in whole}


def test_the_json_has_every_figure_within_its_bounds(compared):
    """The schema, which people read by program."""
    _, found = compared
    assert list(found) == ["renyi_alpha", "hidden_size", "rejected", "texts", "tokenizers"]
    for each in found["tokenizers"]:
        assert list(each) == [
            *("name", "path", "type", "fingerprint", "vocab_size", "embedding_parameters", "mb_per_cpu_second", "lost", "texts"),
            "model_bits_per_byte",
        ]
        assert each["embedding_parameters"] == 64 * each["vocab_size"] and each["mb_per_cpu_second"] > 0
        assert (each["lost"] is None) == (each["texts"]["all"]["lossless"] == 1)
        for source, its in each["texts"].items():
            assert list(its) == [
                *("tokens", "refused", "bytes_per_token", "characters_per_token", "fertility", "continued_words", "lossless"),
                *("unknown_tokens", "unused", "shannon_entropy", "shannon_efficiency", "renyi_entropy", "renyi_efficiency"),
            ]
            assert all(
                0 <= its[key] <= 1 for key in ("continued_words", "lossless", "unknown_tokens", "unused", "shannon_efficiency")
            )
            assert its["renyi_entropy"] <= its["shannon_entropy"] + 1e-9
            assert its["bytes_per_token"] == pytest.approx(found["texts"][source]["bytes"] / its["tokens"])
            assert its["fertility"] == pytest.approx(its["tokens"] / found["texts"][source]["words"])


def test_which_are_lossless_and_what_the_others_lose(compared):
    said, found = compared
    kept = {each["name"]: each["texts"]["all"]["lossless"] for each in found["tokenizers"]}
    assert kept["ours"] == kept["gpt2"] == kept["llama"] == kept["cl100k_base"] == 1
    unknown = {each["name"]: each["texts"]["chinese"]["unknown_tokens"] for each in found["tokenizers"]}
    assert unknown["bert"] > 0.5 and unknown["nfkc"] == 0.5 and unknown["ours"] == unknown["llama"] == 0
    assert kept["bert"] < 0.5 and kept["nfkc"] < 1 and kept["unigram"] < 1
    for name in ("bert", "nfkc", "unigram"):
        assert f"{name} does not keep" in said
    assert "ours does not keep" not in said
    assert "comes back as" in said and "the first: code/0.txt, " in said


def test_the_same_tokens_in_two_forms_have_the_same_figures(compared):
    """One vocabulary in three forms: its rules of splitting differ, but not on these texts."""
    _, found = compared
    by_name = {each["name"]: each["texts"]["chinese"] for each in found["tokenizers"]}
    assert by_name["ours"]["tokens"] == by_name["cl100k_base"]["tokens"] == by_name["gpt2"]["tokens"]


def test_figures_are_the_same_again_but_for_the_speed(folder, compared):
    _, before = compared
    picture = (folder / "out" / "all.svg").read_bytes()
    assert compare(folder, "--hidden-size", "64", "--eod-token", "[SEP]").returncode == 0
    again = json.loads((folder / "out" / "all.json").read_text())
    for each in (*before["tokenizers"], *again["tokenizers"]):
        del each["mb_per_cpu_second"]
    assert again == before and (folder / "out" / "all.svg").read_bytes() == picture


def test_the_picture_has_a_bar_for_each_figure(folder, compared):
    _, found = compared
    svg = ElementTree.parse(folder / "out" / "all.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    bars = svg.findall(f"{space}rect")[1:]  # the first is the ground
    said = [text.text for text in svg.iter(f"{space}text")]
    assert len(bars) == len(KINDS) * 4 and all(float(bar.get("width")) >= 0 for bar in bars)
    code = [each["texts"]["code"]["bytes_per_token"] for each in found["tokenizers"]]
    widths = [float(bar.get("width")) for bar in bars[: len(KINDS)]]
    assert [round(width / max(widths), 2) for width in widths] == [round(value / max(code), 2) for value in code]
    for each in found["tokenizers"]:
        assert each["name"] in said and f"{each['texts']['code']['bytes_per_token']:.2f}" in said


def test_the_tables_in_markdown_have_a_row_a_tokenizer(folder, compared):
    lines = (folder / "out" / "all.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| bert |")]
    assert len(rows) == 4, "of the tokenizers, of two sources and of all texts"
    for number, line in enumerate(lines):
        if line.startswith("| tokenizer"):
            assert line.count("|") == lines[number + 1].count("|") == lines[number + 2].count("|")


def test_models_scores_stand_beside(folder):
    """Two seeds of one tokenizer, none of the other; of all sources by their bytes."""
    for name, bits in (("one", 2.0), ("two", 2.5)):
        sources = {"code": {"bits_per_byte": bits, "bytes": 300}, "chinese": {"bits_per_byte": bits + 1, "bytes": 100}}
        (folder / f"{name}.json").write_text(json.dumps({"load": "x", "sources": sources}))
    ran = compare(folder, "--model-scores", "ours=one.json", "ours=two.json", kinds=["ours", "llama.model"])
    assert ran.returncode == 0 and "2.250 ± 0.250" in ran.stdout and "2.500 ± 0.250" in ran.stdout, ran.stdout + ran.stderr
    found = json.loads((folder / "out" / "all.json").read_text())["tokenizers"]
    assert found[0]["model_bits_per_byte"] == {"code": [2.0, 2.5], "chinese": [3.0, 3.5], "all": [2.25, 2.75]}
    assert found[1]["model_bits_per_byte"] == {}


def test_sources_without_names_are_the_documents_own(folder, tmp_path):
    records = [{"text": "some text here", "source": source} for source in ("web", "book", "web")] + [{"text": ""}, {"other": 1}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    out = ["--json", tmp_path / "x.json", "--renyi-alpha", 2]
    ran = call("--tokenizers", folder / "ours", "--input", tmp_path / "a.jsonl", *out)
    found = json.loads((tmp_path / "x.json").read_text())
    assert {name: its["documents"] for name, its in found["texts"].items()} == {"web": 2, "book": 1, "all": 3}
    assert found["rejected"] == 2 and "2 records were passed over" in ran.stdout and found["renyi_alpha"] == 2
    for more, count in (("--max-documents=1", 1), ("--json-key=other", None)):
        ran = call("--tokenizers", folder / "ours", "--input", f"mine={tmp_path}/a.jsonl", "--json", tmp_path / "y.json", more)
        assert (ran.returncode == 0) == (count is not None)
        if count:
            assert json.loads((tmp_path / "y.json").read_text())["texts"]["mine"]["documents"] == count
    assert "no document could be used (5 rejected, by --json-key other)" in ran.stderr


@pytest.mark.parametrize(("arguments", "says"), [
    ([], ["--input: is missing", "--tokenizers: is missing"]),
    (["--tokenizers", "nowhere", "--input", "x=chinese.jsonl"], ["--tokenizers nowhere=nowhere: is not there"]),
    (["--tokenizers", "ours", "ours", "--input", "x=chinese.jsonl"], ["--tokenizers ours: names two of them; give each a name"]),
    (["--tokenizers", "ours", "--input", "x=nowhere*.jsonl"], ["--input nowhere*.jsonl: matches no file"]),
    (["--tokenizers", "ours", "--input", "chinese.jsonl", "--picture", "a.png"], ["--picture a.png: does not end with .svg"]),
    (["--tokenizers", "ours", "--input", "chinese.jsonl", "--json", "code"], ["--json code: is a folder"]),
    (["--tokenizers", "ours", "--input", "chinese.jsonl", "--json", "x", "--markdown", "x"], ["--markdown x: is a file that"]),
    (["--tokenizers", "ours", "--input", "chinese.jsonl", "--model-scores", "x.json"], ["--model-scores x.json: has no name"]),
    (["--tokenizers", "ours", "--input", "chinese.jsonl", "--model-scores", "b=x.json"], ["names no tokenizer 'b'; give one"]),
    (["--tokenizers", "ours", "--input", "chinese.jsonl", "--model-scores", "ours=x.json"], ["x.json: is not there"]),
    (["--tokenizers", "ours", "--input", "chinese.jsonl", "--model-scores", "ours=t5.json"], ["is not what tools/evaluate.py"]),
    (["--tokenizers", "other.tiktoken", "--input", "chinese.jsonl"], ["--tiktoken-pattern: is missing", "give one of gpt2"]),
    (["--tokenizers", "bert", "--input", "chinese.jsonl"], ["no token known to end a document", "--eod-token"]),
    (["--tokenizers", "chinese.jsonl", "--input", "chinese.jsonl"], ["is not a tokenizer.json"]),
])  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_written(arguments, says, folder):
    before = sorted(path.name for path in folder.iterdir())
    ran = call(*arguments, folder=folder)
    assert ran.returncode in (1, 2) and "Traceback" not in ran.stderr, ran.stderr
    for words in says:
        assert words in ran.stderr, ran.stderr
    assert sorted(path.name for path in folder.iterdir()) == before
