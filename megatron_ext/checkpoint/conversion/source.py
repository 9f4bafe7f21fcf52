"""A Hugging Face folder read like a checkpoint (`checkpoint/source.py`): any stretch of any parameter of ours."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterable, Mapping

import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.placement import VOCABULARY, Placement
from megatron_ext.checkpoint.conversion.families import Family, family_of
from megatron_ext.checkpoint.conversion.folder import DTYPES, Folder
from megatron_ext.checkpoint.conversion.mapping import Heads, Rule, rule_for
from megatron_ext.checkpoint.conversion.settings import Settings, read_settings
from megatron_ext.checkpoint.conversion.tokenizer_files import mask_of
from megatron_ext.checkpoint.source import Wanted

_BUFFERS = (r"\.inv_freq$",)  # that older folders hold, whatever the class


class HuggingFaceSource:
    """A folder, opened for reading.

    Attributes:
        settings: its config.json.
        values: the model's flags that it means, resolved.
        vocab_size: rows of its embedding.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        settings = read_settings(path)
        self.family: Family = family_of(settings)
        self.folder = Folder(path)
        self.settings: Settings = self.family.in_folder(settings, self.folder.entries)
        self.values = self.family.flags(self.settings)
        self.vocab_size = self.settings.get("vocab_size")
        if not isinstance(self.vocab_size, int):
            self.settings.refuse("vocab_size", self.vocab_size, "expected a whole number")
        self.heads = Heads.of(self.values)
        self._tensors = self.family.tensors(self.values)

    @property
    def learnt(self) -> dict[str, str]:
        """Flags of the task that such models were pretrained on; a mask has the name that the folder's own tokenizer gives it."""
        found = self.family.learnt
        own = mask_of(self.path) if "mask_token" in found else None
        return found | ({"mask_token": own} if own else {})

    def read(self, wanted: Iterable[Wanted]) -> None:
        """Fill every target. UserError names the file and the tensor that is not there, or is of another shape or type."""
        for want in wanted:
            want.target.copy_(self.block(want.place).reshape(-1)[want.begin : want.end])

    def block(self, place: Placement) -> torch.Tensor:
        """A process's block of one of our parameters."""
        rule = self._rule(place)
        for name, shape in self._expected(place, rule).items():
            self._check(name, shape)
        return rule.to_ours(self.folder.tensor, place, self.heads)

    def weights_dtype(self) -> torch.dtype:
        """Of most numbers that are weights."""
        return self.folder.dtype(name for name in self.folder.entries if not self._ignored(name))

    def dtype(self, place: Placement) -> torch.dtype:
        """The type that holds all numbers of a parameter, whose tensors may be of several."""
        kinds = (DTYPES[self.folder.entries[name].kind] for name in self._rule(place).names)
        return functools.reduce(torch.promote_types, kinds)

    def refuse_strangers(self, places: Iterable[Placement]) -> None:
        """UserError unless these parameters use every tensor in the folder, but for what the family knows to be no weight.

        All of them are looked at: shapes and types too.
        """
        used = set()
        for place in places:
            expected = self._expected(place, self._rule(place))
            for name, shape in expected.items():
                self._check(name, shape)
            used |= expected.keys()
        for name, entry in self.folder.entries.items():
            if name not in used and not self._ignored(name):
                raise UserError(f"{entry.file}: its tensor {name} belongs to no parameter of {self.family.name} by config.json")

    def _ignored(self, name: str) -> bool:
        """Whether a tensor is no weight, or the embedding once more."""
        if not self.values["untie_embeddings_and_output_weights"] and name in self._of_output():
            return True
        return any(re.search(pattern, name) for pattern in (*_BUFFERS, *getattr(self.family.module, "IGNORED", ())))

    def _rule(self, place: Placement) -> Rule:
        rule = rule_for(self._tensors, place.name)
        if rule is None:
            raise UserError(f"{self.path}: {self.family.name} has no tensor for {place.name}")
        prefix = getattr(self.family.module, "OPTIONAL_PREFIX", "")
        names = (name if name in self.folder.entries else name.removeprefix(prefix) for name in rule.names)
        names = (short if short in self.folder.entries else name for short, name in zip(names, rule.names))
        return dataclasses.replace(rule, names=tuple(names))

    def _of_output(self) -> list[str]:
        """Their tensors of the output matrix."""
        return [f"{name}.weight" for name in self._tensors["output_layer"].names]

    def _expected(self, place: Placement, rule: Rule) -> Mapping[str, tuple[int, ...]]:
        shape = (self.vocab_size, *place.shape[1:]) if place.name in VOCABULARY else place.shape
        return rule.shapes(shape, self.heads)

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        entry = self.folder.entries.get(name)
        if entry is None:
            tied = "; or its tie_word_embeddings is true" if name in self._of_output() else ""
            raise UserError(f"{self.path}: has no tensor {name}, which config.json asks for{tied}")
        if entry.shape != shape:
            raise UserError(f"{entry.file}: its tensor {name} has shape {list(entry.shape)}, by config.json {list(shape)}")
        if entry.kind not in DTYPES:
            raise UserError(
                f"{entry.file}: its tensor {name} is of type {entry.kind}; weights are {', '.join(DTYPES)} here, so take the "
                "folder that is not quantised"
            )
