"""The texts to continue, from the command line or a file, checked and encoded before anything is generated."""

from __future__ import annotations

import dataclasses
import json

from megatron_ext.arguments.problems import UserError
from megatron_ext.objectives.fill_in_middle import sentinels
from megatron_ext.objectives.reading.pairs import Setting


@dataclasses.dataclass(frozen=True)
class Request:
    """One continuation to make: the prompt's and the sample's number from 0, the prompt and its ids."""

    number: int
    sample: int
    prompt: str
    ids: tuple[int, ...]


def read_prompts(flags) -> list[tuple[str, str]]:
    """`(where it stands, text)` of each prompt. UserError if a file cannot be read or a prompt is empty."""
    if flags.prompts_file is None:
        prompts = [(f"--prompt {_shortened(text)}", text) for text in flags.prompt]
    else:
        prompts = list(_from_file(flags.prompts_file, flags.prompt_key))
    for where, text in prompts:
        if not text:
            raise UserError(f"{where}: is empty; give a text to continue")
    return prompts


def _from_file(path: str, key: str):
    where = f"--prompts-file {path}"
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if lines == [""]:
        raise UserError(f"{where}: holds no prompt")
    for number, line in enumerate(lines, 1):
        place = f"{where}, line {number}"
        yield place, _value(line, key, place) if path.endswith(".jsonl") else line


def _value(line: str, key: str, where: str) -> str:
    try:
        value = json.loads(line)[key]
        if not isinstance(value, str):
            raise TypeError(f"its value is {type(value).__name__}")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: expected a JSON object with a text under {key!r} ({error}); see --prompt-key") from None
    return value


def infilling(flags, config, tokenizer, window: int) -> list[Request]:
    """What `--infill` asks for: two texts between the sentinels that the run learnt with. UserError if it learnt another task.

    Args: config: the run's.
    """
    objective = config.objective
    if objective.objective != "fill_in_middle":
        raise UserError(
            f"--infill: the run learnt --objective {objective.objective}, which fills in no middle; load a run of "
            "--objective fill_in_middle, or give --prompt"
        )
    before, middle, after = Setting(objective, tokenizer).control(*sentinels(objective))
    prefix, suffix = flags.infill
    try:
        ids = (before, *tokenizer.encode(prefix), after, *tokenizer.encode(suffix), middle)
    except ValueError as error:
        raise UserError(f"--infill: cannot be encoded: {error}") from None
    if len(ids) > window:
        raise UserError(f"--infill: the texts have {len(ids)} tokens, and the model has {window} positions; give shorter ones")
    return [Request(0, sample, prefix, ids) for sample in range(flags.num_samples)]


def requests(prompts: list[tuple[str, str]], tokenizer, flags, window: int) -> list[Request]:
    """What is to be generated, in order: all samples of the first prompt, then of the second … UserError if one cannot be."""
    if flags.top_k > tokenizer.vocab_size:
        raise UserError(f"--top-k {flags.top_k}: is more than the {tokenizer.vocab_size} tokens of the vocabulary")
    found = []
    for number, (where, text) in enumerate(prompts):
        try:
            ids = tuple(tokenizer.encode(text))
        except ValueError as error:
            raise UserError(f"{where}: cannot be encoded: {error}") from None
        if not ids:
            raise UserError(f"{where}: has no tokens; give a text to continue")
        if len(ids) > window:
            raise UserError(f"{where}: has {len(ids)} tokens, and the model has {window} positions; give a shorter text")
        found += [Request(number, sample, text, ids) for sample in range(flags.num_samples)]
    return found


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:29] + "…")
