"""The denoisers of a mixture: UL2's seven (arXiv:2205.05131, table 1), or a YAML file's."""

from __future__ import annotations

import dataclasses
import math
import pathlib

import yaml

from megatron_ext.arguments.problems import UserError


@dataclasses.dataclass(frozen=True)
class Denoiser:
    """Attributes: mode: its token is [mode]; rate: share of noise; mean: length of spans, None for one span at the end; share: of
    the documents, before division by the sum."""

    mode: str
    rate: float
    mean: float | None = None
    share: float = 1.0


DEFAULT = (
    Denoiser("R", 0.15, 3),
    Denoiser("R", 0.15, 8),
    Denoiser("S", 0.25),
    Denoiser("X", 0.5, 3),
    Denoiser("X", 0.5, 8),
    Denoiser("X", 0.15, 64),
    Denoiser("X", 0.5, 64),
)


def read_denoisers(path: str) -> tuple[Denoiser, ...]:
    """UserError says what is wrong with the file, and where."""
    where = f"--ul2-denoisers {path}"
    try:
        found = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{where}: cannot be read ({error})") from None
    if not isinstance(found, list) or not found:
        raise UserError(f"{where}: expected a list of denoisers, each {{mode: R, rate: 0.15, mean: 3}}")
    return tuple(_denoiser(each, f"{where}, denoiser {number}") for number, each in enumerate(found, 1))


def _denoiser(values, where: str) -> Denoiser:
    known = {field.name for field in dataclasses.fields(Denoiser)}
    if not isinstance(values, dict) or not {"mode", "rate"} <= values.keys() <= known:
        raise UserError(f"{where}: expected mode and rate, perhaps mean and share, found {values!r}")
    denoiser = Denoiser(**values)
    numbers = {"rate": denoiser.rate, "share": denoiser.share} | ({} if denoiser.mean is None else {"mean": denoiser.mean})
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise UserError(f"{where}: {name} must be a finite number above 0, and is {value!r}")
    if denoiser.rate >= 1 or (denoiser.mean is not None and denoiser.mean < 1):
        raise UserError(f"{where}: rate must be below 1 and mean at least 1, and they are {denoiser.rate} and {denoiser.mean}")
    return denoiser
