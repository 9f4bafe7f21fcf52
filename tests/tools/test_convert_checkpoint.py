"""tools/convert_checkpoint.py as it is called: there and back with the printed difference, and what it refuses."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file

from megatron_ext.training.trained import configuration_of
from tests.checkpoint.saved_run import save
from tests.faults.bad_input import call
from tests.parity.families import LLAMA, SMALL, llama
from tests.parity.test_parity import perturbed

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = "The quick brown fox says: 你好, def main(): return 42"


def tool(*argv) -> tuple[str, str, int]:
    """`(stdout, stderr, status)`."""
    ran = subprocess.run([sys.executable, ROOT / "tools/convert_checkpoint.py", *map(str, argv)], capture_output=True, text=True)
    return ran.stdout, ran.stderr, ran.returncode


def convert(launch, *argv) -> tuple[str, str, int]:
    """The same in a worker, which has everything imported."""
    from tools.convert_checkpoint import main

    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        status = main([str(word) for word in argv])
    return out.getvalue(), said.getvalue(), status


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """transformers' Llama in bf16, with more entries than its tokenizer, and another base of the rotation."""
    import transformers

    place = tmp_path_factory.mktemp("theirs")
    whole = tokenizers.Tokenizer(tokenizers.models.BPE())
    whole.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=290, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    whole.train_from_iterator([TEXT] * 3, trainer)
    transformers.PreTrainedTokenizerFast(tokenizer_object=whole, bos_token="<s>", eos_token="</s>").save_pretrained(place)
    torch.manual_seed(0)
    keys = SMALL | LLAMA | {"vocab_size": 301, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
    model = perturbed(transformers.LlamaForCausalLM(transformers.LlamaConfig(**keys)))
    model.to(torch.bfloat16).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def there_and_back(folder, pool, tmp_path_factory):
    """There as it is called, back in a worker."""
    place = tmp_path_factory.mktemp("ours")
    there = tool("--from-hf", folder, "--to", place / "run", "--check-text", "fox", TEXT)
    back = ["--from", place / "run", "--to-hf", place / "back", "--check-tokens", 1, 2, 300, "--max-shard-size", "1e-4"]
    back = pool.run(convert, 1, *back)[0]
    return place, there, back


def test_both_directions_print_how_far_the_logits_are_apart(there_and_back):
    place, (out, said, status), back = there_and_back
    assert (said, status) == ("", 0)
    assert "llama, " in out and "tokenizer huggingface" in out
    found = re.findall(r"max \|Δlogit\| (\S+) on (.*)", out)
    assert [what for _, what in found][::2] == ["128 random tokens", f"the {len(ids(place))} tokens of {TEXT!r}"]
    assert found[1][1].endswith(" tokens of 'fox'")
    assert all(float(number) <= 1e-5 for number, _ in found)
    out, said, status = back
    assert (said, status) == ("", 0)
    assert "LlamaForCausalLM, bfloat16" in out
    assert [what for _, what in re.findall(r"max \|Δlogit\| (\S+) on (.*)", out)][2] == "3 tokens given"
    assert not list(place.glob(".*"))


def ids(place):
    return tokenizers.Tokenizer.from_file(str(place / "back" / "tokenizer.json")).encode(TEXT, add_special_tokens=False).ids


def test_what_came_back_is_what_was_there(folder, there_and_back):
    import transformers

    back = there_and_back[0] / "back"
    theirs, ours = load_file(folder / "model.safetensors"), {}
    for file in back.glob("model-*-of-*.safetensors"):
        ours |= load_file(file)
    assert theirs.keys() == ours.keys()
    assert all(tensor.dtype == torch.bfloat16 and tensor.equal(ours[name]) for name, tensor in theirs.items())
    config = transformers.AutoConfig.from_pretrained(back)
    assert (config.vocab_size, config.eos_token_id, config.bos_token_id, config.dtype) == (301, 1, 0, torch.bfloat16)
    assert transformers.GenerationConfig.from_pretrained(back).eos_token_id == 2  # as it was: Llama's default
    for place in (folder, back):
        tokenizer = transformers.AutoTokenizer.from_pretrained(place)
        assert tokenizer.encode(TEXT, add_special_tokens=False) == ids(there_and_back[0]) and tokenizer.eos_token == "</s>"


def text_of(launch, run):
    from types import SimpleNamespace

    from megatron_ext.training.trained import joined, open_run

    names = ("tokenizer_model", "tokenizer_type", "vocab_file", "merge_file")
    flags = SimpleNamespace(load=str(run), device="cpu", tensor_model_parallel_size=1, pipeline_model_parallel_size=1,
                            distributed_timeout_minutes=10, **dict.fromkeys(names))  # fmt: skip
    with joined(flags, launch) as device:
        trained = open_run(flags, device)
        return (
            trained.tokenizer.decode(trained.tokenizer.encode(TEXT)),
            trained.model.config.vocab_size,
            trained.model.config.bf16,
        )


def test_a_run_that_was_moved_is_whole(there_and_back, pool, tmp_path):
    shutil.copytree(there_and_back[0] / "run", tmp_path / "elsewhere")
    assert pool.run(text_of, 1, tmp_path / "elsewhere")[0] == (TEXT, 301, True)


def test_tools_open_a_folder_of_hugging_faces_itself(folder, pool):
    assert pool.run(text_of, 1, folder)[0] == (TEXT, 301, True)


def test_tools_refuse_a_tensor_that_no_parameter_takes(theirs, pool):
    tensors = load_file(theirs / "model.safetensors")
    add(tensors)
    save_file(tensors, theirs / "model.safetensors")
    with pytest.raises(AssertionError, match="k_proj.bias belongs to no parameter of llama"):
        pool.run(text_of, 1, theirs)


def test_how_another_model_generates_is_not_taken_with_its_tokenizer(folder, pool, tmp_path):
    """Of a folder with config.json: only where that is this model's."""
    borrowed = tmp_path / "borrowed"
    shutil.copytree(folder, borrowed)
    (borrowed / "generation_config.json").write_text('{"temperature": 0.6, "eos_token_id": [1, 2]}')
    (borrowed / "model.safetensors").unlink()
    like = (
        "--num-layers 3 --hidden-size 48 --num-attention-heads 6 --num-query-groups 2 --ffn-hidden-size 80 --norm-epsilon 1e-6 "
    )
    like += "--untie-embeddings-and-output-weights --rotary-base 500 --kv-channels 8"
    for name, own in (("same", like.split()), ("another", ["--rotary-base", "501"])):
        argv = [*own, "--train-iters", "1", "--tokenizer-model", str(borrowed)]
        save(pool, tmp_path / name, *argv)
        written = tmp_path / f"{name}_hf"
        said = pool.run(convert, 1, "--from", tmp_path / name, "--to-hf", written, "--no-check")[0]
        assert said[1:] == ("", 0), said
        found = json.loads((written / "generation_config.json").read_text())
        assert (found.get("temperature") == 0.6) == (name == "same"), found
        assert found["eos_token_id"] == ([1, 2] if name == "same" else 1)


def compared(launch, run, folder):
    from types import SimpleNamespace

    from megatron_ext.arguments.problems import UserError
    from megatron_ext.training.conversion import compare

    try:
        compare(SimpleNamespace(check_=True, check_text=[], check_tokens=[]), str(run), folder, None)
    except UserError as error:
        return str(error)


def test_another_model_is_found_out(there_and_back, folder, pool, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    tensors = load_file(other / "model.safetensors")
    query = tensors["model.layers.2.self_attn.q_proj.weight"]
    query[:8] = query[8:16].clone()  # one head of one layer
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    run = there_and_back[0] / "run"
    said = pool.run(compared, 1, run, other)[0]
    assert said == f"{run} and {other} differ by more than 0.0001 in their logits; both are left as they are"
    assert (run / "iter_0000000").is_dir() and (other / "config.json").exists()


@pytest.fixture
def theirs(tmp_path):
    """A folder to spoil."""
    perturbed(llama()).save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


def drop(tensors):
    del tensors["model.layers.1.self_attn.k_proj.weight"]


def misshape(tensors):
    tensors["model.layers.1.self_attn.k_proj.weight"] = torch.zeros(8, 48)


def quantise(tensors):
    tensors["model.layers.1.mlp.up_proj.weight"] = tensors["model.layers.1.mlp.up_proj.weight"].to(torch.float8_e4m3fn)


def add(tensors):
    tensors["model.layers.1.self_attn.k_proj.bias"] = torch.zeros(16)


SPOILT = [
    (drop, "theirs: has no tensor model.layers.1.self_attn.k_proj.weight, which config.json asks for"),
    (misshape, "model.safetensors: its tensor model.layers.1.self_attn.k_proj.weight has shape [8, 48], by config.json [16, 48]"),
    (
        quantise,
        "model.safetensors: its tensor model.layers.1.mlp.up_proj.weight is of type F8_E4M3; weights are F32, BF16, F16 here",
    ),
    (add, "model.safetensors: its tensor model.layers.1.self_attn.k_proj.bias belongs to no parameter of llama by config.json"),
]


@pytest.mark.parametrize(("spoil", "expected"), SPOILT, ids=["missing", "misshapen", "fp8", "a stranger"])
def test_tensors_that_do_not_fit_are_named_and_nothing_is_written(spoil, expected, theirs, pool):
    tensors = load_file(theirs / "model.safetensors")
    spoil(tensors)
    save_file(tensors, theirs / "model.safetensors")
    refused_and_nothing_written(pool, theirs, expected)


def test_what_is_no_folder_of_safetensors_is_refused_and_nothing_is_written(theirs, pool):
    file, config = theirs / "model.safetensors", theirs / "config.json"
    whole, keys = file.read_bytes(), json.loads(config.read_text())
    file.write_bytes(whole[:-100])
    refused_and_nothing_written(pool, theirs, "model.safetensors: is cut short within its tensor ")
    file.rename(theirs / "pytorch_model.bin")
    refused_and_nothing_written(pool, theirs, "pytorch_model.bin: is a pickle, which can run any code, and is not read; ")
    (theirs / "pytorch_model.bin").unlink()
    file.write_bytes(whole)
    config.write_text(json.dumps(keys | {"model_type": "llama9"}))
    refused_and_nothing_written(pool, theirs, 'config.json: model_type is "llama9", which is not there; did you mean llama?')
    config.write_text(json.dumps(keys | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}))
    refused_and_nothing_written(pool, theirs, 'config.json: rope_scaling is {"rope_type": "yarn", "factor": 4.0}')


def refused_and_nothing_written(pool, theirs, expected):
    run = theirs.parent / "run"
    out, said, status = pool.run(convert, 1, "--from-hf", theirs, "--to", run, "--no-check")[0]
    assert (out, status, len(said.splitlines())) == ("", 1, 1)
    assert said.startswith("convert_checkpoint.py: ") and expected in said
    assert [path.name for path in theirs.parent.iterdir()] == [theirs.name]


FLAGS = [
    (["--from-hf", "A"], "--to: is missing, and --from-hf is there"),
    (["--to-hf", "A"], "--from: is missing, and --to-hf is there"),
    ([], "are one too many or too few; use --from-hf DIR --to RUN, or --from RUN --to-hf DIR"),
    (["--from-hf", "A", "--to", "B", "--from", "A", "--to-hf", "C"], "are one too many or too few"),
    (["--from-hf", "nowhere", "--to", "B"], "--from-hf nowhere: is no folder"),
    (["--from-hf", "A", "--to", "A"], "--to A: is there, and not empty; give a new folder"),
    (["--from-hf", "A", "--to", "B", "--dtype", "bf16"], "--dtype bf16: is of what is written to --to-hf"),
    (["--from-hf", "A", "--to", "B", "--max-shard-size", "1"], "--max-shard-size 1.0: is of what is written to --to-hf"),
    (["--from", "A", "--to-hf", "B", "--eod-token", "x"], "--eod-token x: is of what is read by --from-hf"),
    (["--from", "A", "--to-hf", "B", "--no-check", "--check-text", "x"], "has no effect with --no-check"),
    (["--from", "A", "--to-hf", "B", "--hf-model-type", "lama"], "did you mean llama?"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "expected"), FLAGS)
def test_flags_that_make_no_conversion(argv, expected, tmp_path, monkeypatch, capsys):
    from tools.convert_checkpoint import main

    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert expected in capsys.readouterr().err


def test_a_run_that_no_class_holds_is_refused_by_its_flags(pool, tmp_path):
    save(pool, tmp_path / "run", "--train-iters", "1", "--position-embedding-type", "xpos")
    out, said, status = pool.run(convert, 1, "--from", tmp_path / "run", "--to-hf", tmp_path / "out", "--no-check")[0]
    assert (out, status) == ("", 1)
    assert "no class of Hugging Face's holds this model; the nearest, " in said and "--position-embedding-type xpos" in said
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_type_and_a_class_may_be_asked_for(pool, tmp_path):
    save(pool, tmp_path / "run", "--train-iters", "1")
    argv = [
        "--from",
        tmp_path / "run",
        "--to-hf",
        tmp_path / "out",
        "--no-check",
        "--dtype",
        "fp16",
        "--hf-model-type",
        "mistral",
    ]
    out, said, status = pool.run(convert, 1, *argv)[0]
    assert (said, status) == ("", 0) and "not compared with each other: --no-check" in out
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == ["MistralForCausalLM"]
    assert all(tensor.dtype == torch.float16 for tensor in load_file(tmp_path / "out" / "model.safetensors").values())
    out, said, status = pool.run(convert, 1, "--from", tmp_path, "--to-hf", tmp_path / "none", "--no-check")[0]
    assert (out, status) == ("", 1) and "there is no checkpoint in this folder" in said


def test_what_is_no_decoder_is_converted_and_not_compared(pool, tmp_path):
    """There and back without a comparison, which reads text. Without sentinels its tokenizer lets it be asked plainly alone."""
    from tests.parity.encoder_decoders import t5

    t5().save_pretrained(tmp_path / "theirs")
    ways = (
        ("--from-hf", tmp_path / "theirs", "--to", tmp_path / "run"),
        ("--from", tmp_path / "run", "--to-hf", tmp_path / "ours"),
    )
    for way in ways:
        said, wrong, status = pool.run(convert, 1, *way)[0]
        assert status == 0 and "not compared with each other: the check reads text" in said, wrong
    ask = ["--load", str(tmp_path / "run"), "--prompt", "1 2", "--device", "cpu", "--max-new-tokens", "3"]
    ((status, wrong),) = pool.run(call, 1, "tools/generate.py", ask)
    assert status == 1 and "<extra_id_0>" in wrong and "or ask plainly, with --sequence-to-sequence" in wrong
    ask += ["--sequence-to-sequence", "--output", str(tmp_path / "answer")]
    assert pool.run(call, 1, "tools/generate.py", ask)[0][0] == 0
    assert len(json.loads((tmp_path / "answer").read_text())["ids"]) == 3


def test_a_run_from_a_bart_says_what_it_learnt(pool, tmp_path):
    """It is asked for what is masked, and not for spans, as other encoders and decoders are."""
    from tests.parity.encoder_decoders import bart

    bart().save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer_config.json").write_text('{"mask_token": "[MASK]"}')
    _, wrong, status = pool.run(convert, 1, "--from-hf", tmp_path / "theirs", "--to", tmp_path / "run", "--no-check")[0]
    assert status == 0, wrong
    learnt = configuration_of(tmp_path / "run" / "iter_0000000").objective
    assert (learnt.objective, learnt.mask_token) == ("denoising", "[MASK]")
