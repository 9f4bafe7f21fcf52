"""Flags of tools/convert_checkpoint.py."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, option
from megatron_ext.arguments.registry import Registry


@flag_group("conversion", "From where to where")
class ConversionFlags:
    from_hf: str | None = flag(None, "a Hugging Face folder: config.json, *.safetensors, a tokenizer", front=True)
    to: str | None = flag(None, "… and the run's folder to make of it", front=True)
    from_: str | None = flag(None, "a run's folder, or one checkpoint in it", front=True)
    to_hf: str | None = flag(None, "… and the Hugging Face folder to make of it", front=True)
    hf_model_type: str | None = flag(
        None, "the class to write, by config.json's model_type [the first that holds the model]",
        choices=Registry("megatron_ext.checkpoint.huggingface"), front=True)  # fmt: skip
    dtype: str | None = flag(None, "type of the weights to write [the run's]", choices=("fp32", "bf16", "fp16"), front=True)
    max_shard_size: float = flag(5.0, "GB of a file of tensors, at most, unless one alone is larger", positive=True, front=True)
    eod_token: str | None = flag(None, "name of the control token that ends a document [found by known names]")
    check_: bool = flag(
        True, "run both sides and compare their logits, in fp32 on the CPU; both must fit into memory", front=True
    )
    check_text: tuple[str, ...] = flag((), "texts to compare on, besides random tokens [a sentence, where there is a tokenizer]")
    check_tokens: tuple[int, ...] = flag((), "ids to compare on besides", least=0)

    @staticmethod
    def check(c):
        pairs = (("--from-hf", c.from_hf, "--to", c.to), ("--from", c.from_, "--to-hf", c.to_hf))
        for source, given, target, wanted in pairs:
            if (given is None) != (wanted is None):
                missing, there = (source, target) if given is None else (target, source)
                yield Problem(missing, None, f"is missing, and {there} is there", "a conversion is from one to the other")
        if (c.from_hf is None) == (c.from_ is None) and (c.to is None) == (c.to_hf is None):
            yield Problem(
                "--from-hf and --from",
                None,
                "are one too many or too few",
                "use --from-hf DIR --to RUN, or --from RUN --to-hf DIR",
            )
        for source, folder in (("--from-hf", c.from_hf), ("--from", c.from_)):
            if folder is not None and not os.path.isdir(folder):
                yield Problem(source, folder, "is no folder")
        for target, folder in (("--to", c.to), ("--to-hf", c.to_hf)):
            if folder is not None and os.path.exists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
                yield Problem(target, folder, "is there, and not empty", "give a new folder")
        without = [
            ("hf_model_type dtype max_shard_size", c.from_hf is not None, "is of what is written to --to-hf"),
            ("eod_token", c.from_ is not None, "is of what is read by --from-hf"),
            ("check_text check_tokens", not c.check_, "has no effect with --no-check"),
        ]
        for name in [name for names, so, _ in without if so for name in names.split() if name in c.typed]:
            reason = next(reason for names, _, reason in without if name in names.split())
            yield Problem(option(name), getattr(c, name), reason, "leave it out")
