"""A Hugging Face folder becomes a run, and a run a folder; then both sides are run and compared (tools/convert_checkpoint.py)."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil

import torch
import yaml

from megatron_ext.arguments.config import Config
from megatron_ext.arguments.problems import UserError
from megatron_ext.backend import distributed
from megatron_ext.checkpoint.compatibility import architecture
from megatron_ext.checkpoint.conversion import inventory, tokenizer_files
from megatron_ext.checkpoint.conversion.export_folder import export_of
from megatron_ext.checkpoint.conversion.import_folder import write_checkpoint
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from megatron_ext.checkpoint.regions import Experts
from megatron_ext.checkpoint.restore import open_source
from megatron_ext.checkpoint.store import partial_of
from megatron_ext.checkpoint.verification import find_checkpoint, verify
from megatron_ext.models.config import model_config
from megatron_ext.tokenizers.build import build
from megatron_ext.training import agreement
from megatron_ext.training.layout import processes
from megatron_ext.training.trained import configuration_of, of_folder

DECODERS = ("causal_decoder", "prefix_decoder")
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def from_huggingface(flags) -> None:
    """`--from-hf DIR --to RUN`. UserError, and no RUN, where DIR cannot be read; RUN stays where the two differ."""
    if flags.check_:
        agreement.need_transformers()
    folder, run = pathlib.Path(flags.from_hf), pathlib.Path(os.path.abspath(flags.to))
    source = HuggingFaceSource(folder)
    eod = ["--eod-token", flags.eod_token] if flags.eod_token else []
    config = of_folder(source, ["--device", "cpu", *eod])
    partial = partial_of(run)
    with processes(distributed.Launch(), config):
        core = model_config(config, build(config.tokenizer).model_entries, "local")
        places = inventory.of_model(config.model, core)
        try:
            _begin(partial)
            tokenizer_files.take_home(folder, partial / "tokenizer")
            run_yaml = _yaml(config, pathlib.Path(flags.to) / "tokenizer", source.learnt)
            (partial / "run.yaml").write_text(run_yaml, encoding="utf-8")
            checkpoint = partial / "iter_0000000"
            checkpoint.mkdir()
            write_checkpoint(source, places, Experts.of(core), checkpoint, architecture(config, core.vocab_size), run_yaml)
            _put(partial, run)
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, OSError):
                raise UserError(f"{flags.to}: was not written ({error.strerror})") from None
            raise
    count = sum(torch.Size(place.shape).numel() for place in places)
    kind = config.tokenizer.tokenizer_type
    print(f"{folder} → {flags.to}: {source.family.name}, {count:,} parameters, tokenizer {kind}", flush=True)
    compare(flags, flags.to, folder, None)


def to_huggingface(flags) -> None:
    """`--from RUN --to-hf DIR`. UserError, and no DIR, where no class holds the model; DIR stays where the two differ."""
    if flags.check_:
        agreement.need_transformers()
    checkpoint = find_checkpoint("--from", flags.from_)
    if checkpoint is None:
        raise UserError(f"--from {flags.from_}: there is no checkpoint in this folder; give the folder that training saved to")
    config = configuration_of(checkpoint)
    with processes(distributed.Launch(), config):
        if (problem := verify(checkpoint)) is not None:
            raise UserError(problem)
        tokenizer = build(config.tokenizer)
        core = model_config(config, tokenizer.model_entries, "local")
        dtype = TYPES[flags.dtype] if flags.dtype else core.params_dtype
        export = export_of(config, core.vocab_size, tokenizer, dtype, flags.hf_model_type, 1e9 * flags.max_shard_size)
        places = inventory.of_model(config.model, core)
        said = export.write(open_source(checkpoint, core), places, pathlib.Path(os.path.abspath(flags.to_hf)))
    print(f"{checkpoint} → {flags.to_hf}: {export.family.module.ARCHITECTURE}, {dtype}".replace("torch.", ""), flush=True)
    if said:
        print(said, flush=True)
    compare(flags, str(checkpoint), pathlib.Path(flags.to_hf), dtype)


def _yaml(config: Config, tokenizer: pathlib.Path, learnt: dict[str, str]) -> str:
    """run.yaml: the model, its tokenizer where it will be, what it is computed in, and flags of what it learnt."""
    names = ("tokenizer_model", "vocab_file", "merge_file")
    files = {name: getattr(config.tokenizer, name) for name in names}
    at_home = {name: _at_home(path, tokenizer) for name, path in files.items() if path is not None}
    whole = Config(1, model=config.model, tokenizer=dataclasses.replace(config.tokenizer, **at_home))
    kind = next((name for name in ("bf16", "fp16") if getattr(config.training, name)), None)
    text = whole.to_yaml() + (f"\n# What it is computed in\n{kind}: true\n" if kind else "")
    return text + ("\n# What it learnt\n" + yaml.safe_dump(learnt, sort_keys=False) if learnt else "")


def _at_home(path: str, tokenizer: pathlib.Path) -> str:
    return str(tokenizer) if os.path.isdir(path) else str(tokenizer / os.path.basename(path))


def _begin(partial: pathlib.Path) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)


def _put(partial: pathlib.Path, final: pathlib.Path) -> None:
    """The empty folder that may be there goes."""
    if final.is_dir():
        final.rmdir()
    os.rename(partial, final)


def compare(flags, run: str, folder: pathlib.Path, dtype: torch.dtype | None) -> None:
    if not flags.check_:
        print("not compared with each other: --no-check", flush=True)
        return
    if HuggingFaceSource(folder).values["architecture"] not in DECODERS:
        print("not compared with each other: the check reads text as decoders do", flush=True)
        return
    found = agreement.differences(run, folder, dtype, flags.check_text, flags.check_tokens)
    for each in found:
        print(f"max |Δlogit| {each.largest:.1e} on {each.what}", flush=True)
    if not all(each.largest <= agreement.LARGEST for each in found):
        raise UserError(
            f"{run} and {folder} differ by more than {agreement.LARGEST:g} in their logits; both are left as they are"
        )
