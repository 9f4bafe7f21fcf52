"""Whether a run and a Hugging Face folder are the same model: their logits on the same tokens, in fp32 on the CPU."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import torch
from safetensors.torch import load_file, save_file

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend import distributed
from megatron_ext.training.trained import Trained, joined, open_run

LARGEST = 1e-4
SENTENCE = "The model was exported; 它的输出应当相同 (1,234.5)."
_SHAPE = 2, 64  # of the random tokens
_OURS = ("tokenizer_model", "tokenizer_type", "vocab_file", "merge_file")


def need_transformers() -> None:
    """UserError where it is not installed."""
    if importlib.util.find_spec("transformers") is None:
        raise UserError(
            "transformers is not installed, and the other side is run with it; pip install 'megatron-ext[huggingface]', or "
            "convert without comparing: --no-check"
        )


@dataclasses.dataclass(frozen=True)
class Difference:
    """The largest of the logits on some tokens, `what` they are."""

    what: str
    largest: float


@torch.no_grad()
def differences(
    run: str, folder: pathlib.Path, dtype: torch.dtype | None, texts: Sequence[str], tokens: Sequence[int]
) -> list[Difference]:
    """Run both sides. `dtype`: the type that the run's weights are rounded to, where the folder holds less than the run."""
    with joined(SimpleNamespace(device="cpu", distributed_timeout_minutes=10), distributed.Launch()) as device:
        flags = SimpleNamespace(load=run, tensor_model_parallel_size=1, pipeline_model_parallel_size=1, **dict.fromkeys(_OURS))
        trained = open_run(flags, device, in_fp32=True)
        if dtype is not None:
            for parameter in trained.model.parameters():
                parameter.copy_(parameter.to(dtype))
        batches = list(_batches(trained, texts, tokens))
        ours = [_logits(trained, ids) for _, ids in batches]
        del trained
    found = []
    for (what, _), mine, other in zip(batches, ours, _theirs(folder, [ids for _, ids in batches]), strict=True):
        if other.shape != mine.shape:
            raise UserError(f"{folder}: gives logits of {other.shape[-1]} entries, {run} of {mine.shape[-1]}")
        found.append(Difference(what, (mine - other).abs().max().item()))
    return found


def _batches(trained: Trained, texts: Sequence[str], tokens: Sequence[int]) -> Iterator[tuple[str, torch.Tensor]]:
    rows, length = _SHAPE[0], min(_SHAPE[1], trained.window)
    ids = torch.randint(0, trained.model.config.vocab_size, (rows, length), generator=torch.Generator().manual_seed(1234))
    yield f"{ids.numel()} random tokens", ids
    if not texts and trained.config.tokenizer.tokenizer_type != "null":
        texts = [SENTENCE]
    if texts and trained.config.tokenizer.tokenizer_type == "null":
        raise UserError("--check-text: the model has no tokenizer; give --check-tokens")
    if beyond := [token for token in tokens if not 0 <= token < trained.model.config.vocab_size]:
        raise UserError(f"--check-tokens {beyond[0]}: the model has {trained.model.config.vocab_size} entries")
    for text in texts:
        ids = torch.tensor([trained.tokenizer.encode(text)[: trained.window]])
        yield f"the {ids.numel()} tokens of {text!r}", ids
    if tokens:
        yield f"{len(tokens)} tokens given", torch.tensor([list(tokens)[: trained.window]])


def _logits(trained: Trained, ids: torch.Tensor) -> torch.Tensor:
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    return trained.model(ids, positions, None)[..., : trained.model.config.vocab_size]


def _theirs(folder: pathlib.Path, batches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """In a process of its own: what lets megatron-core run on a CPU also reaches into how transformers makes its models."""
    with tempfile.TemporaryDirectory() as place:
        tokens, logits = pathlib.Path(place, "tokens.safetensors"), pathlib.Path(place, "logits.safetensors")
        save_file({str(number): ids for number, ids in enumerate(batches)}, tokens)
        script = pathlib.Path(__file__).with_name("transformers_logits.py")
        ran = subprocess.run([sys.executable, script, folder, tokens, logits], capture_output=True, text=True)
        if ran.returncode:
            reason = (ran.stderr.strip() or f"its process ended with {ran.returncode}").splitlines()[-1]
            raise UserError(f"{folder}: transformers cannot run it ({reason}); --no-check converts without comparing")
        found = load_file(logits)
    return [found[str(number)] for number in range(len(batches))]
