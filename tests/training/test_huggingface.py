"""A run goes on from a Hugging Face folder as transformers itself would, and writes such folders while it trains."""

from __future__ import annotations

import contextlib
import io
import pathlib
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from megatron_ext.backend.placement import Placement
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from megatron_ext.data.mock import MockSamples
from tests.checkpoint.huggingface.test_families import trained
from tests.layouts.training_case import outcome, train_case
from tests.parity.encoder_decoders import ul2
from tests.parity.families import VOCAB, llama
from tests.parity.test_parity import perturbed

LENGTH, STEPS, BATCH, RATE, DECAY = 19, 20, 4, 1e-3, 0.1
RUN = (f"--mock-data --tokenizer-type null --vocab-size {VOCAB} --seq-length {LENGTH} --global-batch-size {BATCH} "
       f"--micro-batch-size 2 --lr {RATE} --min-lr {RATE} --lr-decay-style constant --lr-warmup-iters 0 --weight-decay {DECAY} "
       f"--train-iters {STEPS}").split()  # fmt: skip
SPREAD = "--tensor-model-parallel-size 2 --pipeline-model-parallel-size 2 --decoder-first-pipeline-num-layers 1".split()
TINY = ("--preset tiny --mock-data --vocab-size 300 --train-iters 4 --global-batch-size 4 --micro-batch-size 2 --seq-length 16 "
        "--num-layers 2 --save-interval 2").split()  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("theirs")
    perturbed(llama()).save_pretrained(place)
    return place


def like_ours(model) -> torch.optim.Optimizer:
    """Norms do not decay."""
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": DECAY},
              {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0}]  # fmt: skip
    return torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95), eps=1e-8)


def updated(model, optimizer, loss) -> float:
    """An update by a loss, its gradients clipped."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


@pytest.fixture(scope="module")
def theirs(folder, tmp_path_factory):
    """transformers' own 20 steps: `(losses, folder of the weights after them)`."""
    import transformers

    model = transformers.LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").train()
    optimizer, samples, losses = like_ours(model), MockSamples(VOCAB, LENGTH, 1234), []
    for step in range(STEPS):
        tokens = torch.stack([torch.as_tensor(samples[step * BATCH + row]) for row in range(BATCH)])
        loss = torch.nn.functional.cross_entropy(model(tokens[:, :-1]).logits.flatten(0, 1), tokens[:, 1:].flatten())
        losses.append(updated(model, optimizer, loss))
    place = tmp_path_factory.mktemp("after")
    model.save_pretrained(place)
    return losses, place


@pytest.mark.parametrize("layout", ["TP1", "TP2·PP2"])
def test_it_goes_on_as_transformers_itself_would(layout, folder, theirs, pool, tmp_path):
    flags, processes = (SPREAD, 4) if layout == "TP2·PP2" else ([], 1)
    run = outcome(pool, [*RUN, *flags, "--load", str(folder), "--use-checkpoint-args"], processes, tmp_path)
    losses, after = theirs
    assert [record["loss"] for record in run.records] == pytest.approx(losses, rel=1e-5)
    assert losses[-1] < losses[0] - 0.1
    same_weights(run, after)


def same_weights(run, after: pathlib.Path) -> None:
    expected = HuggingFaceSource(after)
    for name, tensor in run.final.items():
        whole = expected.block(Placement(name, tuple(tensor.shape), (0,) * tensor.dim(), tuple(tensor.shape), None))
        assert (tensor - whole).norm() <= 1e-4 * whole.norm(), name


def read(launch, argv):
    """The samples of all updates."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    with processes(launch, config := read_configuration([*argv, "--device", "cpu"], launch.world_size)) as device:
        from megatron_ext.training.build import build

        samples = build(config, device).train_samples
        return [samples[number] for number in range(config.training.train_iters * BATCH)]


def nats(model, sample) -> tuple[torch.Tensor, int]:
    """`(their sum over a sample's labels, how many these are)`, its documents read one by one."""
    found, fields = [], {name: torch.as_tensor(field) for name, field in sample.items()}
    for number in fields["decoder_documents"][fields["loss_mask"] > 0].unique():
        ids, own = (fields[f"{half}input_ids"][fields[f"{half}documents"] == number] for half in ("", "decoder_"))
        logits = model(input_ids=ids[None], decoder_input_ids=own[None]).logits[0]
        labels = fields["labels"][fields["decoder_documents"] == number]
        found.append(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
    return sum(found), int(fields["loss_mask"].sum())


def test_an_encoder_and_a_decoder_go_on_as_transformers_would(pool, tmp_path):
    """UL2 over TP2·PP2, on packed documents that transformers reads one by one. (Adam makes whole steps of noise where relu's
    gradient is 0 on one side.)"""
    torch.manual_seed(0)
    model = perturbed(ul2()).train()
    model.save_pretrained(tmp_path / "theirs")
    flags = f"--load {tmp_path / 'theirs'} --use-checkpoint-args --encoder-seq-length 24 --decoder-seq-length 24 --seed 3".split()
    unlike = ("--tokenizer-type", "null", "--seq-length", str(LENGTH))
    argv = [*(word for word in RUN if word not in unlike), *flags, *trained("ul2", tmp_path), "--train-iters", "5"]
    (samples,) = pool.run(read, 1, argv)
    run = outcome(pool, [*argv, *SPREAD], 4, tmp_path / "run")
    optimizer, losses = like_ours(model), []
    for step in range(5):
        parts = [nats(model, sample) for sample in samples[step * BATCH : (step + 1) * BATCH]]
        losses.append(updated(model, optimizer, sum(part for part, _ in parts) / sum(count for _, count in parts)))
    assert [record["loss"] for record in run.records] == pytest.approx(losses, rel=1e-5)
    model.save_pretrained(tmp_path / "after")
    same_weights(run, tmp_path / "after")


def said(launch, argv, folder):
    """What a training run says: stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            train_case(launch, argv, folder)
    except Exception as error:
        return str(error)
    return out.getvalue() + err.getvalue()


def imported(launch, folder, run):
    from types import SimpleNamespace

    from megatron_ext.training.conversion import from_huggingface

    from_huggingface(SimpleNamespace(from_hf=str(folder), to=str(run), check_=False, eod_token=None))


def test_an_imported_run_starts_like_finetune_and_says_so(folder, theirs, pool, tmp_path):
    """By --load, and in its own folder; flags by --config."""
    pool.run(imported, 1, folder, tmp_path / "run")
    few = [*RUN[: RUN.index("--train-iters")], "--train-iters", "2", "--config", str(tmp_path / "run" / "run.yaml")]
    for save, load in ((tmp_path / "next", ["--load", str(tmp_path / "run")]), (tmp_path / "run", [])):
        text = pool.run(said, 1, [*few, *load], str(save))[0]
        assert "iter_0000000 holds weights alone: counts, optimizer and random states start anew, as with --finetune" in text
        losses = [record["loss"] for record in records(save)]
        assert losses == pytest.approx(theirs[0][:2], rel=1e-5)


def records(run: pathlib.Path):
    import json

    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_another_architecture_or_vocabulary_is_named(folder, pool, tmp_path):
    given = "--num-layers 3 --hidden-size 48 --num-attention-heads 6 --num-query-groups 2 --ffn-hidden-size 80".split()
    argv = [*RUN, *given, "--load", str(folder)]
    text = pool.run(said, 1, argv, str(tmp_path))[0]
    assert "--norm-epsilon was 1e-06, is 1e-05" in text and "--use-checkpoint-args takes them from it" in text
    assert "--untie-embeddings-and-output-weights was True, is False" in text
    text = pool.run(said, 1, [*RUN, "--vocab-size", "140", "--load", str(folder), "--use-checkpoint-args"], str(tmp_path))[0]
    assert "--vocab-size was 131, is 140" in text


def test_a_tensor_that_no_parameter_takes_is_refused(folder, pool, tmp_path):
    """config.json says that there are no biases: a model without them would be another one."""
    shutil.copytree(folder, tmp_path / "biased")
    tensors = load_file(folder / "model.safetensors") | {"model.layers.2.self_attn.q_proj.bias": torch.ones(48)}
    save_file(tensors, tmp_path / "biased" / "model.safetensors")
    argv = [*RUN, *SPREAD, "--load", str(tmp_path / "biased"), "--use-checkpoint-args"]
    expected = (
        "model.safetensors: its tensor model.layers.2.self_attn.q_proj.bias belongs to no parameter of llama by config.json"
    )
    assert all(expected in text for text in pool.run(said, 4, argv, str(tmp_path / "run")))


def test_folders_are_written_while_it_trains(pool, tmp_path):
    """On four processes, of which each writes its share; the same as the tool makes of the checkpoint; a failure is said."""
    from tests.tools.test_convert_checkpoint import convert

    run = tmp_path / "run"
    (run / "huggingface").mkdir(parents=True)
    (run / "huggingface" / ".iter_0000002.partial").touch()  # a file where a folder is to be made
    (run / "huggingface" / ".iter_0000001.partial").mkdir()  # of a run that was killed
    spread = "--tensor-model-parallel-size 2 --pipeline-model-parallel-size 2 --save-hf-interval 2 --async-save --bf16".split()
    text = pool.run(said, 4, [*TINY, *spread], str(run))[0]
    assert "iter_0000002: was not written: " in text and "the run goes on, and tries again at the next --save-hf-interval" in text
    assert [path.name for path in (run / "huggingface").iterdir() if path.is_dir()] == ["iter_0000004"]
    assert convert_status(pool.run(convert, 1, "--from", run, "--to-hf", tmp_path / "tool", "--no-check")) == 0
    ours, tools = (load_file(place / "model.safetensors") for place in (run / "huggingface" / "iter_0000004", tmp_path / "tool"))
    assert (
        ours.keys() == tools.keys()
        and ours["lm_head.weight" if "lm_head.weight" in ours else "model.norm.weight"].dtype == torch.bfloat16
    )
    assert all(tensor.equal(tools[name]) for name, tensor in ours.items())
    for name in ("config.json", "generation_config.json"):
        assert (run / "huggingface" / "iter_0000004" / name).read_text() == (tmp_path / "tool" / name).read_text()


def convert_status(answers) -> int:
    return answers[0][2]


def test_what_no_class_holds_is_refused_at_the_start(pool, tmp_path):
    argv = [*TINY, "--save-hf-interval", "2", "--position-embedding-type", "xpos"]
    text = pool.run(said, 1, argv, str(tmp_path))[0]
    assert text.startswith("--save-hf-interval 2: no class of Hugging Face's holds this model") and "xpos" in text
    assert (
        "--save-hf-interval 3: is no multiple of --save-interval 2"
        in pool.run(said, 1, [*TINY, "--save-hf-interval", "3"], str(tmp_path))[0]
    )


def test_a_folders_precision_and_tokenizer_are_taken_unless_others_are_given(tmp_path):
    from megatron_ext.training.configuration import read_configuration
    from tests import texts

    model = perturbed(llama()).bfloat16()
    model.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    argv = ["--mock-data", "--train-iters", "1", "--load", str(tmp_path / "theirs"), "--use-checkpoint-args"]
    found = read_configuration(argv, 1)
    assert found.training.bf16 and found.tokenizer.tokenizer_model == str(tmp_path / "theirs")
    other = read_configuration([*argv, "--fp16", "--tokenizer-type", "null"], 1)
    assert (other.training.bf16, other.training.fp16, other.tokenizer.tokenizer_type) == (False, True, "null")
    assert not read_configuration([*argv, "--no-bf16"], 1).training.bf16
