"""A checkpoint → a Hugging Face folder: shards of safetensors with their index, config.json, generation config, tokenizer.

Every process writes its share of the shards, and has one parameter in memory at a time. The folder is written under a hidden name
and renamed when it is whole.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import all_or_none, first_alone
from megatron_ext.backend.placement import VOCABULARY, Placement
from megatron_ext.checkpoint.conversion import tokenizer_files
from megatron_ext.checkpoint.conversion.families import Family, family_for, family_of, same_function
from megatron_ext.checkpoint.conversion.folder import DTYPES, INDEX, SINGLE, Folder, SafetensorsFile
from megatron_ext.checkpoint.conversion.mapping import Heads, Rule, rule_for
from megatron_ext.checkpoint.conversion.settings import CONFIG
from megatron_ext.checkpoint.restore import WEIGHT_NAMES
from megatron_ext.checkpoint.source import Source, Wanted
from megatron_ext.checkpoint.store import partial_of, publish
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.flags import TokenizerFlags


@dataclasses.dataclass(frozen=True)
class Export:
    """What goes out.

    Attributes:
        values: the model's flags, resolved, by field name.
        vocab_size: its entries, without padding.
        tokenizer, tokenizer_flags: of the run.
        shard_size: bytes of a file of tensors, at most, unless one parameter is larger.
    """

    family: Family
    values: Mapping[str, Any]
    vocab_size: int
    dtype: torch.dtype
    tokenizer: Tokenizer
    tokenizer_flags: TokenizerFlags
    shard_size: float = 5e9

    def write(self, source: Source, places: Sequence[Placement], final: pathlib.Path) -> str | None:
        """Write the folder; a word about its tokenizer. Every process calls it; UserError on all if it fails on one.

        Args:
            places: all parameters of the model, whole, in the order in which they are to lie.
        """
        partial = partial_of(final)
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
        shards = list(self._shards(places))
        names = (
            [SINGLE] if len(shards) == 1 else [f"model-{n + 1:05d}-of-{len(shards):05d}.safetensors" for n in range(len(shards))]
        )
        try:
            first_alone(lambda: _empty(partial))
            mine = range(rank, len(shards), ranks)
            all_or_none(lambda: [self._write_shard(source, shards[number], partial / names[number]) for number in mine])
            said = first_alone(lambda: self._finish(partial, final, names))
        except UserError as error:
            if rank == 0:
                shutil.rmtree(partial, ignore_errors=True)
            raise UserError(f"{final}: was not written: {error}", shared=error.shared) from None
        return said

    def _shards(self, places: Sequence[Placement]) -> Iterator[list[tuple[Placement, Rule]]]:
        """Parameters file by file."""
        tensors = self.family.tensors(self.values)
        shard, size = [], 0
        for place in places:
            rule = rule_for(tensors, place.name)
            if rule is None:
                raise UserError(f"{self.family.name} has no tensor for {place.name}")
            own = math.prod(place.shape) * rule.dtype(self.dtype).itemsize
            if shard and size + own > self.shard_size:
                yield shard
                shard, size = [], 0
            shard.append((place, rule))
            size += own
        yield shard

    def _write_shard(self, source: Source, shard: list[tuple[Placement, Rule]], file: pathlib.Path) -> None:
        heads, tensors = Heads.of(self.values), {}
        shard = sorted(shard, key=lambda pair: -pair[1].dtype(self.dtype).itemsize)
        for place, rule in shard:
            shapes = rule.shapes(self._without_padding(place), heads)
            tensors |= {name: (shape, rule.dtype(self.dtype)) for name, shape in shapes.items()}
        written = SafetensorsFile(file, tensors)
        for place, rule in shard:
            whole = torch.empty(math.prod(place.shape), dtype=rule.dtype(self.dtype))
            source.read([Wanted(place, 0, whole.numel(), WEIGHT_NAMES, whole)])
            whole = whole.view(place.shape)[: self._without_padding(place)[0]]
            for name, tensor in rule.to_theirs(whole, heads).items():
                written.add(name, tensor)
        written.close()

    def _without_padding(self, place: Placement) -> tuple[int, ...]:
        return (self.vocab_size, *place.shape[1:]) if place.name in VOCABULARY else place.shape

    def _ids(self, folder: pathlib.Path) -> dict[str, Any]:
        """Ids of tokens by config.json's keys."""
        eod = None if self.tokenizer_flags.tokenizer_type == "null" else self.tokenizer.eod
        found = tokenizer_files.special_ids(folder, eod)
        if self.values["architecture"] == "encoder_decoder":
            first = self.values["decoder_start_token_id"]
            found["decoder_start_token_id"] = eod if first is None else first
        return found

    def _in_another_models_folder(self) -> bool:
        """Whether the tokenizer is borrowed from a model of another architecture: how that one generates is not ours."""
        try:
            settings = tokenizer_files.settings_beside(self.tokenizer_flags)
            return settings is not None and not same_function(family_of(settings).flags(settings), self.values)
        except UserError:
            return True

    def _finish(self, partial: pathlib.Path, final: pathlib.Path, names: list[str]) -> str | None:
        """What stands beside the tensors; then the folder gets its name."""
        entries = Folder(partial, names).entries  # what other processes wrote must be here, and whole
        if len(names) > 1:
            total = sum(math.prod(entry.shape) * DTYPES[entry.kind].itemsize for entry in entries.values())
            places = {name: entry.file.name for name, entry in sorted(entries.items())}
            _write_json(partial / INDEX, {"metadata": {"total_size": total}, "weight_map": places})
        said = tokenizer_files.write(self.tokenizer_flags, self.tokenizer, partial)
        ids = self._ids(partial)
        dtype = str(self.dtype).removeprefix("torch.")
        config = self.family.config(self.values) | {"vocab_size": self.vocab_size, **ids, "dtype": dtype, "torch_dtype": dtype}
        _write_json(partial / CONFIG, config)
        if self._in_another_models_folder() or not (partial / "generation_config.json").exists():
            _write_json(partial / "generation_config.json", ids)
        if final.is_dir() and not any(final.iterdir()):
            final.rmdir()
        publish(partial, final)
        return said


def export_of(
    config, vocab_size: int, tokenizer: Tokenizer, dtype: torch.dtype, model_type: str | None = None, shard_size: float = 5e9
) -> Export:
    """What goes out of a run; UserError where no class of Hugging Face's, or not that of `model_type`, holds its model."""
    values = vars(config.model)
    return Export(family_for(values, model_type), values, vocab_size, dtype, tokenizer, config.tokenizer, shard_size)


def _empty(folder: pathlib.Path) -> None:
    """A hidden folder, without what a run that was killed left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _write_json(path: pathlib.Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
