"""From files to data sets: the order of the input, the same bytes with any number of workers, all or nothing."""

import gzip
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import IndexedDataset

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.data.preprocess import batching
from megatron_ext.data.preprocess.flags import PreprocessFlags
from megatron_ext.data.preprocess.pipeline import preprocess
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags
from tests import texts


@pytest.fixture
def run(tmp_path):
    """Preprocess files into `tmp_path/out/x…`, by a byte-level BPE unless another tokenizer is given."""
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    usual = TokenizerFlags(tokenizer_type="huggingface", tokenizer_model=str(tmp_path))

    def do(*files, name="x", input=None, tokenizer=usual, **output):
        flags = {"workers": 1, "append_eod": True, **output}
        return preprocess(
            InputFlags(input=tuple(map(str, files)), **(input or {})),
            tokenizer,
            PreprocessFlags(output_prefix=str(tmp_path / "out" / name), **flags),
        )

    return do


def documents(folder, name="x_text_document"):
    data = IndexedDataset(str(folder / "out" / name))
    return [np.array(document).tolist() for document in data]


def expected(values):
    tokenizer = tokenizers.Tokenizer.from_str(texts.byte_level_bpe_json())
    tokenizer.encode_special_tokens = True
    return [[*tokenizer.encode(value).ids, 0] for value in values]


def test_every_format_gives_the_same_documents(tmp_path, run):
    values = [*texts.HARD[:4], *texts.library_texts(10)]
    lines = texts.write_jsonl(tmp_path / "a.jsonl", values)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.read_bytes()))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(lines.read_bytes()))
    pq.write_table(pa.table({"text": values}), tmp_path / "d.parquet")
    for number, value in enumerate(values):
        (tmp_path / f"e{number:02}.txt").write_bytes(value.encode())
    for given_files in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet", "e*.txt"):
        totals = run(tmp_path / given_files)
        assert documents(tmp_path) == expected(values)
        assert totals.tokens["text"] == sum(map(len, expected(values)))


def test_the_order_is_the_inputs_and_the_bytes_are_the_same_with_any_number_of_workers(tmp_path, run, monkeypatch):
    monkeypatch.setattr(batching, "BATCH_BYTES", 3000)
    values = [value + str(number) for number, value in enumerate(texts.library_texts(60) + texts.HARD)]
    files = [texts.write_jsonl(tmp_path / f"{name}.jsonl", values[start::3]) for start, name in enumerate("cab")]
    for workers in (1, 2, 4):
        run(*files, name=f"w{workers}", workers=workers)
    assert documents(tmp_path, "w1_text_document") == expected(values[0::3] + values[1::3] + values[2::3])
    for end in ("text_document.bin", "text_document.idx", "text_document.json", "rejects.jsonl", "summary.json"):
        assert len({(tmp_path / "out" / f"w{workers}_{end}").read_bytes() for workers in (1, 2, 4)}) == 1


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=8), st.integers(1, 200))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_texts_in_batches_of_any_size(tmp_path, run, values, size):
    before, batching.BATCH_BYTES = batching.BATCH_BYTES, size
    try:
        run(texts.write_jsonl(tmp_path / "a.jsonl", [*values, "at least one"]))
    finally:
        batching.BATCH_BYTES = before
    kept = [value for value in values if not value.isspace()]
    assert documents(tmp_path) == expected([*kept, "at least one"])


def test_the_end_of_a_document_is_appended_when_asked_for(tmp_path, run):
    file = texts.write_jsonl(tmp_path / "a.jsonl", ["one", "two"])
    for append in (True, False):
        run(file, append_eod=append)
        assert [document[-1] == 0 for document in documents(tmp_path)] == [append, append]


def test_each_key_is_a_data_set_and_they_stay_parallel(tmp_path, run):
    lines = [{"title": "A", "body": "first"}, {"title": "B"}, {"title": "C", "body": "third"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    totals = run(tmp_path / "a.jsonl", json_keys=("title", "body"))
    assert documents(tmp_path, "x_title_document") == expected(["A", "C"])
    assert documents(tmp_path, "x_body_document") == expected(["first", "third"])
    assert (totals.documents, dict(totals.rejects)) == (2, {"key_missing": 1})


def test_what_a_document_of_plain_text_is(tmp_path, run):
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n")
    for sample_by, values in {"line": ["one", "two", "three"], "paragraph": ["one\ntwo", "three"]}.items():
        run(tmp_path / "a.txt", input={"text_sample_by": sample_by})
        assert documents(tmp_path) == expected(values)


BAD = (
    b'{"text": "good"}\nbad\n[1]\n{"other": 1}\n{"text": 1}\n{"text": "caf\xe9"}\n{"text": "\\ud800"}\n{"text": ""}\n'
    b'\n{"text": "fine"}\n'
)


def test_bad_records_are_named_and_counted(tmp_path, run):
    (tmp_path / "a.jsonl").write_bytes(BAD)
    totals = run(tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out" / "x_rejects.jsonl").read_text().splitlines()]
    assert [(line["line"], line["reason"]) for line in lines] == [
        (2, "not_json"),
        (3, "not_an_object"),
        (4, "key_missing"),
        (5, "not_text"),
        (6, "not_utf8"),
        (7, "lone_surrogate"),
        (8, "empty"),
        (9, "empty"),
    ]
    assert {line["file"] for line in lines} == {str(tmp_path / "a.jsonl")} and lines[4]["byte"] == 13
    assert documents(tmp_path) == expected(["good", "fine"])
    assert totals.rejects == {**{line["reason"]: 1 for line in lines}, "empty": 2}
    assert "8 (2 empty, 1 not JSON, " in dict(totals.lines())["rejected"]


@pytest.mark.parametrize("workers", [1, 2])
def test_strict_stops_at_the_first_bad_record_and_leaves_what_was_there(tmp_path, run, workers):
    run(texts.write_jsonl(tmp_path / "old.jsonl", ["old"]))
    before = {name: (tmp_path / "out" / name).read_bytes() for name in os.listdir(tmp_path / "out")}
    (tmp_path / "a.jsonl").write_bytes(BAD)
    with pytest.raises(UserError, match=r"a.jsonl, line 2: not JSON \(.*\); --strict stops here, and nothing was written"):
        run(tmp_path / "a.jsonl", strict=True, workers=workers)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in os.listdir(tmp_path / "out")} == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_is_cut_off_leaves_nothing(tmp_path, run, workers):
    whole = gzip.compress(texts.write_jsonl(tmp_path / "a.jsonl", texts.library_texts()).read_bytes())
    (tmp_path / "b.jsonl.gz").write_bytes(whole[:-100])
    with pytest.raises(UserError, match="b.jsonl.gz: is cut off"):
        run(tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", workers=workers)
    assert os.listdir(tmp_path / "out") == []


def test_no_document_at_all_is_an_error_that_says_why(tmp_path, run):
    texts.write_jsonl(tmp_path / "a.jsonl", ["one", "two"], key="content")
    with pytest.raises(
        UserError, match="no document could be used, rejected: 2 .2 key missing.; the first: .*there is no 'text'"
    ):
        run(tmp_path / "a.jsonl")
    assert os.listdir(tmp_path / "out") == []
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(UserError, match="no document could be used"):
        run(tmp_path / "empty.jsonl")


def test_what_an_earlier_run_wrote_is_replaced_and_not_read(tmp_path, run):
    """The pattern would match the rejects of the run before."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jsonl").write_bytes(BAD)
    for _ in range(2):
        totals = run(tmp_path / "out" / "*.json*")
        assert (totals.files, totals.documents, totals.rejects.total()) == (1, 2, 8)


def test_the_summary_says_what_made_the_data(tmp_path, run):
    run(texts.write_jsonl(tmp_path / "a.jsonl", ["one two", "中文"]))
    summary = json.loads((tmp_path / "out" / "x_summary.json").read_text())
    found = {name: summary[name] for name in ("documents", "text_bytes", "characters", "words", "han")}
    assert found == dict(documents=2, text_bytes=13, characters=9, words=3, han=2)
    sidecar = json.loads((tmp_path / "out" / "x_text_document.json").read_text())
    made = sidecar.pop("tokenizer")
    assert (sidecar["documents"], sidecar["dtype"], sidecar["append_eod"]) == (2, "uint16", True)
    assert (made["vocab_size"], made["eod"], len(made["fingerprint"])) == (600, 0, 32)
    assert made["flags"] == {"tokenizer_type": "huggingface", "tokenizer_model": str(tmp_path)}


def test_a_vocabulary_beyond_uint16(tmp_path, run):
    numbers = texts.write_jsonl(tmp_path / "a.jsonl", ["1 2 3", "199998"])
    run(numbers, tokenizer=TokenizerFlags(tokenizer_type="null", vocab_size=200_000))
    assert documents(tmp_path) == [[1, 2, 3, 199_999], [199_998, 199_999]]


def test_prompts_stand_before_their_texts(tmp_path, run):
    """Behind each a control token of the tokenizer; a record without a prompt is not used."""
    records = [{"text": "one 1", "prompt": "ask\nme"}, {"text": "two"}, {"prompt": "x", "text": "three " * 50}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "with").mkdir()
    flags = TokenizerFlags(
        tokenizer_type="huggingface", tokenizer_model=texts.write_tokenizer_with_control_tokens(tmp_path / "with", 800)
    )
    tokenizer = build(flags)
    between = tokenizer.control_tokens["<|prefix_end|>"]
    for workers in (1, 2):
        totals = run(tmp_path / "a.jsonl", tokenizer=flags, prefix_key="prompt", workers=workers)
        assert totals.documents == 2 and totals.rejects == {"key_missing": 1}
        assert documents(tmp_path) == [
            [*tokenizer.encode(prompt), between, *tokenizer.encode(text), tokenizer.eod]
            for prompt, text in (("ask\nme", "one 1"), ("x", "three " * 50))
        ]
    with pytest.raises(UserError, match="the tokenizer has no control token <|prefix_end|> to end a prompt; train one with"):
        run(tmp_path / "a.jsonl", name="y", prefix_key="prompt")
    assert not list((tmp_path / "out").glob("y*"))
