"""Which part of the model each pipeline stage holds: embedding, layers, and the output with its loss, cut into chunks.

PP stages with VP virtual stages make PP·VP chunks in the model's order; stage r holds chunks r, r + PP, r + 2·PP …
(arXiv:2104.04473). By default every chunk has as many layers. Megatron-LM's flags say otherwise:

- `--decoder-first-pipeline-num-layers`, `--decoder-last-pipeline-num-layers`: layers of the first and the last stage;
- `--account-for-embedding-in-pipeline-split`, `--account-for-loss-in-pipeline-split`: each counts as one layer;
- `--pipeline-model-parallel-layout`: chunk by chunk, in letters: E the embedding, t a layer, L the output and its loss, before
  which m may stand for each layer of multi-token prediction; `|` between chunks, `*n` repeats a letter or a group in brackets,
  commas are for the eye: `Et*3|(tt|)*2,tL`.

Needs neither torch nor megatron-core: the flags' validator asks here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from megatron_ext.arguments.problems import Problem, option

LONGEST_LAYOUT = 100_000  # letters: `t*999999999` is refused before it fills the memory
LETTERS = {"E": "embedding", "t": "decoder", "L": "loss"}  # megatron-core's words for them
FIRST, LAST = "decoder_first_pipeline_num_layers", "decoder_last_pipeline_num_layers"
EMBEDDING, LOSS = "account_for_embedding_in_pipeline_split", "account_for_loss_in_pipeline_split"
LAYOUT, VIRTUAL = "pipeline_model_parallel_layout", "num_virtual_stages_per_pipeline_rank"


class Chunk(NamedTuple):
    """What one chunk of the model holds."""

    embedding: bool
    layers: int
    loss: bool

    def __str__(self) -> str:
        return "E" * self.embedding + "t" * self.layers + "L" * self.loss


def chunks(model, parallel) -> list[Chunk]:
    """The model's chunks in order, for the model's and the parallel flags of a configuration without `problems`."""
    stages, virtual = parallel.pipeline_model_parallel_size, getattr(parallel, VIRTUAL) or 1
    count = stages * virtual
    if getattr(parallel, LAYOUT) is not None:
        return [Chunk("E" in text, text.count("t"), "L" in text) for text in _spelled_out(getattr(parallel, LAYOUT)).split("|")]
    embedding, loss = getattr(parallel, EMBEDDING), getattr(parallel, LOSS)
    each = [(model.num_layers + embedding + loss) // count] * count
    each[0] -= embedding
    each[-1] -= loss
    first, last = getattr(parallel, FIRST), getattr(parallel, LAST)
    if first is not None or last is not None:
        middle = stages - (first is not None) - (last is not None)
        layers = [(model.num_layers - (first or 0) - (last or 0)) // max(middle, 1)] * stages
        layers[0] = layers[0] if first is None else first
        layers[-1] = layers[-1] if last is None else last
        each = [layers[number % stages] // virtual for number in range(count)]
    return [Chunk(number == 0, layers, number == count - 1) for number, layers in enumerate(each)]


def uneven(parallel) -> bool:
    """Whether the flags ask for another split than the default one."""
    return any(getattr(parallel, name) not in (None, False) for name in (FIRST, LAST, EMBEDDING, LOSS, LAYOUT))


def chunks_in(layout: str, stages: int) -> int | None:
    """Chunks a stage holds in a layout, None where the layout cannot be read or does not come out even."""
    try:
        count = _spelled_out(layout).count("|") + 1
    except ValueError:
        return None
    return count // stages if count % stages == 0 else None


def problems(c) -> Iterator[Problem]:
    """What is wrong with the split of the model into pipeline stages, for the flat draft of a configuration."""
    stages, virtual = c.pipeline_model_parallel_size, getattr(c, VIRTUAL) or 1
    asked = [name for name in (FIRST, LAST, EMBEDDING, LOSS, LAYOUT) if getattr(c, name) not in (None, False)]
    if asked and stages == 1:
        yield Problem(
            option(asked[0]),
            None,
            "says how pipeline stages share the layers, and there is one stage",
            "set --pipeline-model-parallel-size 2 or more",
        )
    elif virtual > 1 and stages == 1:
        yield Problem(
            option(VIRTUAL),
            virtual,
            "interleaves pipeline stages, and there is one",
            "set --pipeline-model-parallel-size 2 or more",
        )
    elif len({_kind(name) for name in asked}) > 1:
        yield Problem(" and ".join(map(option, asked)), None, "contradict each other", "give one of the ways to split the layers")
    elif getattr(c, LAYOUT) is not None:
        yield from _layout(c, stages, virtual)
    elif getattr(c, FIRST) is not None or getattr(c, LAST) is not None:
        yield from _first_and_last(c, stages, virtual)
    else:
        yield from _even(c, stages, virtual)


def _kind(name: str) -> str:
    return {FIRST: "ends", LAST: "ends", EMBEDDING: "counted", LOSS: "counted"}.get(name, name)


def _even(c, stages: int, virtual: int) -> Iterator[Problem]:
    counted = [word for word, name in (("embedding", EMBEDDING), ("loss", LOSS)) if getattr(c, name)]
    units = c.num_layers + len(counted)
    among = f"--pipeline-model-parallel-size {stages}" + (f" × {virtual} virtual stages" if virtual > 1 else "")
    what = "".join(f" + 1 for the {word}" for word in counted)
    if units % (stages * virtual):
        yield Problem(
            "--num-layers",
            c.num_layers,
            f"{what.removeprefix(' ') + ' ' if what else ''}is not a multiple of {among}",
            f"choose {_nearest(units, stages * virtual, len(counted))} layers, or say which stage holds how many with "
            "--decoder-first-pipeline-num-layers, --decoder-last-pipeline-num-layers or --pipeline-model-parallel-layout",
        )


def _nearest(units: int, multiple: int, counted: int) -> str:
    below, above = units // multiple * multiple - counted, -(-units // multiple) * multiple - counted
    return f"{below} or {above}" if below > 0 else str(above)


def _first_and_last(c, stages: int, virtual: int) -> Iterator[Problem]:
    given = {name: getattr(c, name) for name in (FIRST, LAST) if getattr(c, name) is not None}
    for name, layers in given.items():
        if layers % virtual:
            yield Problem(option(name), layers, f"is not a multiple of {option(VIRTUAL)} {virtual}")
    middle, left = stages - len(given), c.num_layers - sum(given.values())
    words = " and ".join(f"{option(name)} {layers}" for name, layers in given.items())
    if middle == 0 and left != 0:
        yield Problem(words, None, f"together are not --num-layers {c.num_layers}", "give one of the two, or another sum")
    elif middle > 0 and (left <= 0 or left % (middle * virtual)):
        each = f"{middle} stage(s)" + (f" × {virtual} virtual stages" if virtual > 1 else "")
        yield Problem(
            words,
            None,
            f"leave {left} of --num-layers {c.num_layers} for the other {each}, which cannot share them evenly",
            f"leave a multiple of {middle * virtual}, or give every stage with --pipeline-model-parallel-layout",
        )


def _layout(c, stages: int, virtual: int) -> Iterator[Problem]:
    layout = getattr(c, LAYOUT)
    try:
        parts = _spelled_out(layout).split("|")
    except ValueError as error:
        yield Problem(option(LAYOUT), layout, str(error), "a layout reads like Et*3|(tt|)*2,tL")
        return
    wrong, way_out = None, ""
    text = "".join(parts)
    if len(parts) % stages:
        wrong = f"has {len(parts)} chunks, not a multiple of --pipeline-model-parallel-size {stages}"
    elif len(parts) != stages * virtual:
        wrong = f"has {len(parts) // stages} chunk(s) a stage, and {option(VIRTUAL)} says {virtual}"
        way_out = "leave the latter out: the layout tells it"
    elif text.count("E") != 1 or not parts[0].startswith("E"):
        wrong, way_out = "has not one E at its beginning", "the first stage holds the embedding"
    elif text.count("L") != 1 or not parts[-1].endswith("L"):
        wrong, way_out = "has not one L at its end", "the last stage holds the output and its loss"
    elif "m" in text and not (text.endswith("m" * (c.mtp_num_layers or 0) + "L") and text.count("m") == (c.mtp_num_layers or 0)):
        wrong, way_out = f"has {text.count('m')} m, and not --mtp-num-layers of them before its L", "they may be left out"
    elif text.count("t") != c.num_layers:
        wrong = f"has {text.count('t')} layers, and --num-layers is {c.num_layers}"
    if wrong:
        yield Problem(option(LAYOUT), layout, wrong, way_out)


def _spelled_out(layout: str) -> str:
    """A layout without commas, repeats and brackets: a letter for each part. ValueError says what is off."""
    text = re.sub(r"[,\s]", "", layout)
    while match := re.search(r"\(([^()]*)\)(?:\*(\d+))?", text) or re.search(r"([^()*])\*(\d+)", text):
        times = int(match.group(2) or 1)
        if len(text) + len(match.group(1)) * times > LONGEST_LAYOUT:
            raise ValueError(f"spells out to more than {LONGEST_LAYOUT:,} letters")
        text = text[: match.start()] + match.group(1) * times + text[match.end() :]
    unknown = sorted(set(text) - {*LETTERS, "m", "|"})
    if unknown:
        raise ValueError(f"has {' '.join(unknown)} in it, which means nothing here")
    return text
