"""The architecture's flags of a checkpoint, ours, Megatron-LM's or Hugging Face's: `--use-checkpoint-args`."""

from __future__ import annotations

from typing import Any

import torch

from megatron_ext.arguments.config import all_values
from megatron_ext.arguments.flags import flags_of
from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint import megatron_lm
from megatron_ext.checkpoint.compatibility import TOKENIZER
from megatron_ext.checkpoint.conversion.folder import is_huggingface
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from megatron_ext.checkpoint.conversion.tokenizer_files import tokenizer_of
from megatron_ext.checkpoint.verification import find_checkpoint, is_foreign
from megatron_ext.models.flags import ModelFlags
from megatron_ext.tokenizers.files import kept_in
from megatron_ext.tokenizers.flags import TokenizerFlags


def saved_arguments(save: str | None, load: str | None, ckpt_step: int | None, option: str = "--load") -> dict[str, Any]:
    """Values by field of the flags of the model and of its tokenizer: of the newest checkpoint in `save`, else of the one that
    `load` means. Of a Hugging Face folder also what its weights are computed in. `option`: what `load` came by.

    UserError where there is no checkpoint, or it does not tell its architecture in a form that can be read safely.
    """
    found = (save and find_checkpoint("--save", save)) or (load and find_checkpoint(option, load, ckpt_step))
    if not found:
        raise UserError(f"--use-checkpoint-args: there is no checkpoint in {' or '.join(filter(None, (save, load)))}")
    if is_huggingface(found):
        source = HuggingFaceSource(found)
        kind = {torch.bfloat16: {"bf16": True}, torch.float16: {"fp16": True}}.get(source.weights_dtype(), {})
        options = iter(tokenizer_of(found))
        tokenizer = {option[2:].replace("-", "_"): value for option, value in zip(options, options)}
        return source.learnt | source.values | {"vocab_size": source.vocab_size} | kind | tokenizer
    if is_foreign(found):
        values = megatron_lm.architecture(megatron_lm.common(found).get("args"))
    else:
        values = all_values(found / "run.yaml")
    names = {flag.name for group in (ModelFlags, TokenizerFlags) for flag in flags_of(group)} - {"preset"}
    if (found / TOKENIZER).is_dir():
        values |= kept_in(found / TOKENIZER, values)
    if "num_layers" not in values:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in megatron_lm.FIELDS)
        raise UserError(f"{found}: does not tell its architecture in a form that can be read safely; give its flags: {options}")
    return {name: value for name, value in values.items() if name in names}
