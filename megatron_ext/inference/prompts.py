"""What is asked of a model: texts from the command line or a file, checked and put as the run's objective has learnt to be asked
(`continued`, `infilled` and `filled` of objectives/) before anything is generated.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from types import ModuleType

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.inference.reader import Beside
from megatron_ext.inference.text import INCOMPLETE
from megatron_ext.objectives.reading import decoder, encoder_decoder
from megatron_ext.objectives.reading.pairs import NOTHING, Asked, Pair, Setting
from megatron_ext.objectives.reading.samples import OBJECTIVES

INFILL_KEYS = ("prefix", "suffix")


@dataclasses.dataclass(frozen=True)
class Request:
    """One answer to make.

    Attributes:
        number, sample: the prompt's and the sample's, from 0.
        prompt: as it was given; `apart`: the answer does not go on with it.
        ids: of the text that grows, so far.
        beside: what belongs to it.
        behind: tokens that the answer's text stands behind; None: `ids`.
        ends, stops: tokens that end it besides the one that ends a document, and strings.
    """

    number: int
    sample: int
    prompt: str
    ids: tuple[int, ...]
    beside: Beside = Beside()
    behind: tuple[int, ...] | None = None
    ends: tuple[int, ...] = ()
    stops: tuple[str, ...] = ()
    apart: bool = False


def read_prompts(flags) -> list[tuple[str, ...]]:
    """`(where it stands, text)` of each prompt, or `(where it stands, prefix, suffix)`. UserError if a file cannot be read or a
    prompt is empty."""
    if flags.infill:
        return [("--infill", *flags.infill)]
    if flags.infill_file is not None:
        return [(place, *_values(line, INFILL_KEYS, place)) for place, line in _lines("--infill-file", flags.infill_file)]
    if flags.prompts_file is None:
        name, texts = ("--fill-mask", flags.fill_mask) if flags.fill_mask else ("--prompt", flags.prompt)
        prompts = [(f"{name} {_shortened(text)}", text) for text in texts]
    else:
        lines, keys = _lines("--prompts-file", flags.prompts_file), (flags.prompt_key,)
        json_lines = flags.prompts_file.endswith(".jsonl")
        prompts = [(place, *(_values(line, keys, place) if json_lines else (line,))) for place, line in lines]
    for where, text in prompts:
        if not text:
            raise UserError(f"{where}: is empty; give a text to continue")
    return prompts


def _lines(name: str, path: str) -> Iterator[tuple[str, str]]:
    """`(where it stands, line)`."""
    where = f"{name} {path}"
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if lines == [""]:
        raise UserError(f"{where}: holds no prompt")
    for number, line in enumerate(lines, 1):
        yield f"{where}, line {number}", line


def _values(line: str, keys: Sequence[str], where: str) -> list[str]:
    try:
        record = json.loads(line)
        found = [record[key] for key in keys]
        if kinds := [type(value).__name__ for value in found if not isinstance(value, str)]:
            raise TypeError(f"its value is {kinds[0]}")
    except (ValueError, KeyError, TypeError) as error:
        hint = "" if keys is INFILL_KEYS else "; see --prompt-key"
        named = " and ".join(map(repr, keys))
        raise UserError(f"{where}: expected a JSON object with a text under {named} ({error}){hint}") from None
    return found


class Asking:
    """How a run is asked.

    Args: config: the run's; window: positions of its model.
    """

    def __init__(self, config, tokenizer, window: int):
        self._model, self._name, self._tokenizer, self._window = config.model, config.objective.objective, tokenizer, window
        self._setting, self._objective = Setting(config.objective, tokenizer), OBJECTIVES.load(config.objective.objective)
        self._able = _asks(self._objective)
        self.one_answer = config.model.architecture == "encoder"  # all likely tokens at once

    def continued(self, number: int, where: str, text: str, samples: int) -> list[Request]:
        """UserError if it cannot be."""
        if not hasattr(self._able, "continued"):
            raise UserError(f"{where}: the run learnt --objective {self._name}, which continues no text; ask it with --fill-mask")
        ids = self._encode(where, text)
        return self._requests(where, self._way.continued(ids), Request(number, 0, text, (), behind=_numbers(ids)), samples)

    def infilled(self, number: int, where: str, prefix: str, suffix: str, samples: int) -> list[Request]:
        """UserError if the run learnt another task."""
        if not hasattr(self._able, "infilled"):
            raise UserError(
                f"{where}: the run learnt --objective {self._name}, which fills in no middle; load a run of --objective "
                f"{_able('infilled')}, or give {'--fill-mask' if self._name == 'masked_lm' else '--prompt'}"
            )
        before, after = (self._encode(where, text) if text else NOTHING for text in (prefix, suffix))
        asked = self._way.infilled(before, after)
        return self._requests(where, asked, Request(number, 0, prefix, (), behind=_numbers(before)), samples)

    def translated(self, number: int, where: str, text: str, samples: int) -> list[Request]:
        """The text is the encoder's, as it is, and the decoder writes from its first token on."""
        if self._model.architecture != "encoder_decoder":
            raise UserError(
                f"--sequence-to-sequence: the run is a model of --architecture {self._model.architecture}, without an encoder "
                "before a decoder; leave it out"
            )
        asked = Asked(np.append(self._encode(where, text), self._tokenizer.eod))
        return self._requests(where, asked, Request(number, 0, text, (), behind=(), apart=True), samples)

    def filled(self, number: int, where: str, text: str, samples: int) -> list[Request]:
        """A `--mask-token` in the text is the control token. The space before it is its word's."""
        if not hasattr(self._able, "filled"):
            raise UserError(
                f"{where}: the run learnt --objective {self._name}, which fills in no masks; load a run of --objective "
                f"{_able('filled')}, or give {'--infill' if hasattr(self._able, 'infilled') else '--prompt'}"
            )
        mask = self._setting.flags.mask_token
        *before, last = text.split(mask)
        if not before:
            raise UserError(f"{where}: has no {mask}; put one where a word is to be found")
        texts = [*(part.removesuffix(" ") for part in before), last]
        asked = self._way.filled([self._encode(where, part) if part else NOTHING for part in texts])
        return self._requests(where, asked, Request(number, 0, text, (), behind=(), apart=True), samples)

    @functools.cached_property
    def _way(self):
        """What has `continued` and `infilled` for this run."""
        if self._able is self._objective:
            return self._able
        try:
            return self._able(self._setting)
        except UserError as error:
            plainly = "; or ask plainly, with --sequence-to-sequence" if self._model.architecture == "encoder_decoder" else ""
            raise UserError(f"{error}{plainly}") from None

    def _encode(self, where: str, text: str) -> np.ndarray:
        try:
            ids = self._tokenizer.encode(text)
        except ValueError as error:
            raise UserError(f"{where}: cannot be encoded: {error}") from None
        if not ids:
            raise UserError(f"{where}: has no tokens; give a text to continue")
        return np.array(ids, np.int64)

    def _requests(self, where: str, asked: Asked, plain: Request, samples: int) -> list[Request]:
        ids, beside = laid_out(asked.pair, self._model, self._tokenizer.eod)
        until = self._tokenizer.decode(asked.until).rstrip(INCOMPLETE)
        for tokens in (len(ids), len(beside.encoder)):
            if tokens > self._window:
                what = f"has {tokens} tokens, and the model has {self._window} positions"
                raise UserError(f"{where}: {what}; give a shorter text")
        whole = dataclasses.replace(plain, ids=ids, beside=beside, ends=tuple(asked.ends), stops=(until,) if until else ())
        return [dataclasses.replace(whole, sample=sample) for sample in range(samples)]


def laid_out(pair: Pair, model, eod: int) -> tuple[tuple[int, ...], Beside]:
    """`(tokens of the stretch that grows, what is beside it)`, as training lays the pair out. model: the run's flags."""
    if model.architecture == "encoder_decoder":
        ids = encoder_decoder.fed(pair, encoder_decoder.first_fed(model, eod))
        return _numbers(ids), Beside(encoder=_numbers(pair.inputs))
    prefix = len(pair.inputs) if model.architecture == "prefix_decoder" else 0
    place = None if pair.positions is None else int(pair.positions[-1])
    return _numbers(decoder.sequence(pair)[0]), Beside(prefix=prefix, place=place)


def requests(prompts: Sequence[tuple[str, ...]], flags, config, tokenizer, window: int) -> list[Request]:
    """What is to be generated, in order: all samples of the first prompt, then of the second … UserError if one cannot be.

    Args: prompts: of `read_prompts`; config: the run's.
    """
    if flags.top_k > tokenizer.vocab_size:
        raise UserError(f"--top-k {flags.top_k}: is more than the {tokenizer.vocab_size} tokens of the vocabulary")
    asking = Asking(config, tokenizer, window)
    samples = 1 if flags.num_samples is None or asking.one_answer else flags.num_samples
    if flags.infill or flags.infill_file is not None:
        put = asking.infilled
    elif flags.fill_mask:
        put = asking.filled
    else:
        put = asking.translated if flags.sequence_to_sequence else asking.continued
    return [each for number, prompt in enumerate(prompts) for each in put(number, *prompt, samples)]


def _able(way: str) -> str:
    """The objectives that can be asked so, in words."""
    return " or ".join(name for name in OBJECTIVES.names() if hasattr(_asks(OBJECTIVES.load(name)), way))


def _asks(objective: ModuleType):
    """What has an objective's ways of asking: a class of pairs, or itself."""
    return getattr(objective, "Pairs", objective)


def _numbers(ids: np.ndarray) -> tuple[int, ...]:
    return tuple(ids.tolist())


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:29] + "…")
