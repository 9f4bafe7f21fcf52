"""A tokenizer's files in a Hugging Face folder: found when it comes in, written when a model goes out."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

from megatron_ext.checkpoint.conversion.settings import CONFIG, Settings, read_settings
from megatron_ext.tokenizers import sentencepiece_as_json
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.files import BESIDE, find
from megatron_ext.tokenizers.flags import TokenizerFlags

_NONE = ["--tokenizer-type", "null"]
_CONFIG = "tokenizer_config.json"
_SENTENCEPIECE = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False, "add_eos_token": False, "legacy": False}


def tokenizer_of(folder: pathlib.Path) -> list[str]:
    """The flags that name the tokenizer of a folder; the null tokenizer where it has none."""
    if find(str(folder)) is not None:
        return ["--tokenizer-model", str(folder)]
    if (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
        return ["--vocab-file", str(folder / "vocab.json"), "--merge-file", str(folder / "merges.txt")]
    return list(_NONE)


def mask_of(folder: pathlib.Path) -> str | None:
    """What a folder's tokenizer says masks a token; None where it does not say."""
    try:
        found = json.loads((folder / _CONFIG).read_text(encoding="utf-8")).get("mask_token")
    except (OSError, ValueError):
        return None
    return found.get("content") if isinstance(found, dict) else found


def take_home(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy the tokenizer of a model's folder, if there is one, with the config.json that tells whose it was."""
    if tokenizer_of(source) == _NONE:
        return
    copy(source, target)
    target.mkdir(exist_ok=True)
    shutil.copyfile(source / CONFIG, target / CONFIG)
    file = find(str(source))  # which may have a name of its own
    if file is not None and not (target / file.name).exists():
        shutil.copyfile(file, target / file.name)


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy what is there, but for the model's own description."""
    for name in BESIDE:
        if name != CONFIG and (source / name).is_file():
            target.mkdir(exist_ok=True)
            shutil.copyfile(source / name, target / name)


def write(flags: TokenizerFlags, tokenizer: Tokenizer, folder: pathlib.Path) -> str | None:
    """Write a run's tokenizer into a folder; what a person should know of it, in words."""
    kind = flags.tokenizer_type
    if kind == "null":
        return "the run has no tokenizer, and the folder none"
    if kind == "gpt2_bpe":
        (folder / "tokenizer.json").write_text(tokenizer.content, encoding="utf-8")
        _write_config(folder, _config(tokenizer.content, tokenizer.eod))
        return None
    file = find(flags.tokenizer_model, kind)
    if kind == "huggingface":
        copy(file.parent, folder)
        if file.name != "tokenizer.json":
            shutil.copyfile(file, folder / "tokenizer.json")
        if not (folder / _CONFIG).exists():
            _write_config(folder, _config(tokenizer.content, tokenizer.eod))
        return None
    copy(file.parent, folder)
    if (folder / "tokenizer.json").exists():  # of the model's own folder
        return None
    content = tokenizer.tokenizer_json() if kind == "tiktoken" else sentencepiece_as_json.tokenizer_json(tokenizer)
    if kind == "sentencepiece":
        shutil.copyfile(file, folder / "tokenizer.model")
    if content is None:
        if not (folder / _CONFIG).exists():
            _write_config(folder, tokenizer.special_tokens() | _SENTENCEPIECE)
        return (
            f"{file.name} is copied as it is: no tokenizer.json gives its ids, and transformers converts it in its own way, "
            "which gives other ids to some texts"
        )
    (folder / "tokenizer.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    names = tokenizer.special_tokens() if kind == "sentencepiece" else {}
    if not (folder / _CONFIG).exists():
        _write_config(folder, names | _config(json.dumps(content), tokenizer.eod))
    return None


def settings_beside(flags: TokenizerFlags) -> Settings | None:
    """The config.json beside a run's tokenizer: of the model that it came with."""
    file = flags.vocab_file or flags.tokenizer_model
    folder = file and (pathlib.Path(file) if pathlib.Path(file).is_dir() else pathlib.Path(file).parent)
    return read_settings(folder) if folder and (folder / CONFIG).is_file() else None


def special_ids(folder: pathlib.Path, eod: int | None) -> dict[str, Any]:
    """`eos_token_id`, `bos_token_id` … for config.json, by what stands in the folder."""
    # All are written: what is left out is a number of the published model's, which a small vocabulary may not have.
    found: dict[str, Any] = {"bos_token_id": None, "eos_token_id": eod, "pad_token_id": None}
    try:
        names = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    except (OSError, ValueError, KeyError):
        return found
    ids = {token["content"]: token["id"] for token in added}
    for key in ("bos", "eos", "pad"):
        name = names.get(f"{key}_token")
        name = name["content"] if isinstance(name, dict) else name
        if name in ids:
            found[f"{key}_token_id"] = ids[name]
    return found


def _config(content: str, eod: int) -> dict[str, Any]:
    name = next((token["content"] for token in json.loads(content)["added_tokens"] if token["id"] == eod), None)
    return {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": name, "clean_up_tokenization_spaces": False}


def _write_config(folder: pathlib.Path, values: dict[str, Any]) -> None:
    (folder / _CONFIG).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
