"""Which kernels there are (Transformer Engine, NVIDIA's Apex, Liger), whose layers run, and how fast the device could be.

Found without importing them: importing Transformer Engine takes seconds, and fails where its libraries do not match.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from megatron_ext.arguments.problems import UserError

if TYPE_CHECKING:
    import torch


def detect() -> dict[str, str | None]:
    """The installed versions of `transformer_engine`, `apex` (NVIDIA's) and `liger_kernel`; None for what is not there."""
    return {"transformer_engine": _transformer_engine(), "apex": _apex(), "liger_kernel": _liger()}


def _transformer_engine() -> str | None:
    folder = _package_folder("transformer_engine")
    if folder is None:
        return None
    # The package alone does nothing: the compiled half for torch is a wheel of its own (the [pytorch] extra).
    places = (folder, folder / "wheel_lib", folder.parent)
    compiled = "transformer_engine_torch" in sys.modules or any(any(place.glob("transformer_engine_torch*")) for place in places)
    return _version("transformer-engine") if compiled else None


def _apex() -> str | None:
    # PyPI's `apex` is a toolkit for the Pyramid web framework; only NVIDIA's has fused optimizers.
    folder = _package_folder("apex")
    return _version("apex") if folder and (folder / "optimizers" / "fused_adam.py").is_file() else None


def _liger() -> str | None:
    return _version("liger-kernel") if _package_folder("liger_kernel") else None


def _package_folder(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a stand-in in sys.modules
        return None
    return Path(spec.origin).parent if spec and spec.origin else None


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # importable from a folder, without having been installed
        return "unknown"


def transformer_impl(requested: str, device: str) -> str:
    """Whose layers run: `local` (megatron-core's own) or `transformer_engine`. `device` is `cpu` or `cuda`.

    `auto` takes Transformer Engine on a GPU where it is installed. UserError if it is asked for and cannot run.
    """
    if requested == "local":
        return "local"
    installed = detect()["transformer_engine"] is not None
    if requested == "auto":
        return "transformer_engine" if device == "cuda" and installed else "local"
    if requested != "transformer_engine":
        raise UserError(f"--transformer-impl {requested}: choose auto, local or transformer_engine")
    if device != "cuda":
        raise UserError(f"--transformer-impl transformer_engine: has no kernels for {device}; use local or auto")
    if not installed:
        raise UserError(
            "--transformer-impl transformer_engine: not installed, or without its half for torch; "
            "pip install 'transformer-engine[pytorch]>=2.9,<2.12', or use local"
        )
    return "transformer_engine"


def start_userbuffers(tokens: int, config) -> None:
    """The buffers in which Transformer Engine overlaps tensor-parallel communication (`--tp-comm-overlap`).

    Args: tokens: in a micro-batch; config: megatron-core's configuration.
    """
    from transformer_engine.pytorch.module.base import initialize_ub

    initialize_ub(
        shape=[tokens, config.hidden_size],
        tp_size=config.tensor_model_parallel_size,
        use_fp8=config.fp8 is not None,
        bootstrap_backend="nccl",
    )


# NVIDIA's data sheets: dense TFLOP/s with fp32 accumulation for 16-bit (None: not on tensor cores), TF32 and fp32.
# Sheets that give only the number with sparsity give twice this.
DATASHEETS = (
    (r"\bB200\b", {"bfloat16": 2250, "float16": 2250, "tf32": 1125, "float32": 75}),
    (r"\bH200 NVL\b", {"bfloat16": 835.5, "float16": 835.5, "tf32": 417.5, "float32": 60}),
    (r"\bH200\b", {"bfloat16": 989.5, "float16": 989.5, "tf32": 494.5, "float32": 67}),
    (r"\bH100 NVL\b", {"bfloat16": 835.5, "float16": 835.5, "tf32": 417.5, "float32": 60}),
    (r"\bH[18]00 PCIe\b", {"bfloat16": 756.5, "float16": 756.5, "tf32": 378, "float32": 51}),
    (r"\bH[18]00\b.*(HBM3|SXM)", {"bfloat16": 989.5, "float16": 989.5, "tf32": 494.5, "float32": 67}),
    (r"\bA[18]00\b", {"bfloat16": 312, "float16": 312, "tf32": 156, "float32": 19.5}),
    (r"\bL40S\b", {"bfloat16": 362, "float16": 362, "tf32": 183, "float32": 91.6}),
    (r"\bL4\b", {"bfloat16": 121, "float16": 121, "tf32": 60, "float32": 30.3}),
    (r"\bA10\b", {"bfloat16": 125, "float16": 125, "tf32": 62.5, "float32": 31.2}),
    (r"\bRTX 4090$", {"bfloat16": 165.2, "float16": 165.2, "tf32": 82.6, "float32": 82.6}),
    (r"\bRTX 3090$", {"bfloat16": 71, "float16": 71, "tf32": 35.6, "float32": 35.6}),
    (r"\bV100-SXM2\b", {"float16": 125, "float32": 15.7}),
    (r"\bV100-PCIE\b", {"float16": 112, "float32": 14}),
    (r"\bT4\b", {"float16": 65, "float32": 8.1}),
)


def peak_flops(device: str | torch.device, dtype: torch.dtype) -> tuple[float, str]:
    """The most FLOP/s a matrix product can reach on one device, and where the number is from: `datasheet` or `measured`.

    A CPU is measured, with the threads that this process has; so is a GPU without an entry, or a slice of one (MIG).
    """
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        kind = str(dtype).removeprefix("torch.")
        if kind == "float32" and torch.get_float32_matmul_precision() != "highest":
            kind = "tf32"
        peak = datasheet(torch.cuda.get_device_name(device), kind)
        if peak is not None:
            return peak, "datasheet"
    return _measured(device, dtype, torch.get_num_threads()), "measured"


def datasheet(gpu: str, kind: str) -> float | None:
    """FLOP/s by torch's name of the GPU, for `bfloat16`, `float16`, `tf32` or `float32`."""
    for pattern, rates in DATASHEETS:
        if re.search(pattern, gpu) and "MIG" not in gpu:
            return rates[kind] * 1e12 if kind in rates else None
    return None


@functools.cache
def _measured(device: torch.device, dtype: torch.dtype, threads: int, seconds: float = 0.2) -> float:
    """The best of products of growing size, in the layout of `torch.nn.functional.linear`, that fit into the time.

    `threads`: what this process has, which a CPU's number depends on.

    The other layouts can be ten times slower (bfloat16 on a CPU that has no instructions for it), and this is a peak.
    """
    import torch

    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    # A generator of its own: how many products fit into the time must not change the dropout of the run that follows.
    generator = torch.Generator(device).manual_seed(0)
    best, start = 0.0, time.perf_counter()
    for n in (2048, 4096, 8192) if device.type == "cuda" else (256, 512, 1024, 1024):
        a, b = (torch.randn(n, n, generator=generator, device=device).to(dtype) for _ in range(2))
        for _ in range(4):
            wait()
            begin = time.perf_counter()
            torch.nn.functional.linear(a, b)
            wait()
            now = time.perf_counter()
            best = max(best, 2 * n**3 / (now - begin))
            if now - start > seconds:
                return best
    return best
