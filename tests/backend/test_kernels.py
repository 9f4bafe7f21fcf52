"""Kernels are found without being imported, and an impossible wish is refused in a sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from megatron_ext.backend import kernels

NONE = {"transformer_engine": None, "apex": None, "liger_kernel": None}


def install(folder, *files: str, **versions: str) -> None:
    """What pip leaves behind: files of a package, and its metadata."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise ImportError('imported')")
    for name, version in versions.items():
        metadata = folder / f"{name}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A place where packages are installed, in front of the real one, with the real ones' kernels hidden."""
    real = kernels._package_folder

    def folder(name):
        found = real(name)
        return found if found and tmp_path in found.parents else None

    monkeypatch.setattr(kernels, "_package_folder", folder)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_nothing_installed(site):
    assert kernels.detect() == NONE


def test_transformer_engine_needs_its_half_for_torch(site):
    install(site, "transformer_engine/__init__.py", transformer_engine="2.11.0")
    assert kernels.detect() == NONE
    install(site, "transformer_engine_torch.cpython-311-x86_64-linux-gnu.so")
    assert kernels.detect() == NONE | {"transformer_engine": "2.11.0"}
    assert "transformer_engine" not in sys.modules


def test_apex_of_pypi_is_not_nvidias(site):
    install(site, "apex/__init__.py", "apex/lib/libapex.py", apex="0.9.10.dev0")
    assert kernels.detect() == NONE
    install(site, "apex/optimizers/fused_adam.py")
    assert kernels.detect() == NONE | {"apex": "0.9.10.dev0"}


def test_liger(site):
    install(site, "liger_kernel/__init__.py", liger_kernel="0.5.10")
    assert kernels.detect() == NONE | {"liger_kernel": "0.5.10"}


def test_a_package_that_was_not_installed_by_pip(site):
    install(site, "liger_kernel/__init__.py")
    assert kernels.detect()["liger_kernel"] in ("unknown", kernels._version("liger-kernel"))


@pytest.mark.parametrize(
    "requested, device, installed, expected",
    [
        ("auto", "cpu", "2.11.0", "local"),
        ("auto", "cuda", "2.11.0", "transformer_engine"),
        ("auto", "cuda", None, "local"),
        ("local", "cuda", "2.11.0", "local"),
        ("transformer_engine", "cuda", "2.11.0", "transformer_engine"),
    ],
)
def test_whose_layers_run(requested, device, installed, expected, monkeypatch):
    monkeypatch.setattr(kernels, "detect", lambda: NONE | {"transformer_engine": installed})
    assert kernels.transformer_impl(requested, device) == expected


@pytest.mark.parametrize(
    "requested, device, installed, sentence",
    [
        ("transformer_engine", "cpu", "2.11.0", "no kernels for cpu"),
        ("transformer_engine", "cuda", None, "pip install"),
        ("flash", "cuda", None, "choose auto, local or transformer_engine"),
    ],
)
def test_what_cannot_run_is_refused(requested, device, installed, sentence, monkeypatch):
    monkeypatch.setattr(kernels, "detect", lambda: NONE | {"transformer_engine": installed})
    with pytest.raises(ValueError, match=sentence):
        kernels.transformer_impl(requested, device)


@pytest.mark.parametrize(
    "gpu, kind, teraflops",
    [
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312),
        ("NVIDIA A100 80GB PCIe", "tf32", 156),
        ("NVIDIA A800-SXM4-80GB", "bfloat16", 312),
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.5),
        ("NVIDIA H100 80GB HBM3", "float32", 67),
        ("NVIDIA H100 PCIe", "bfloat16", 756.5),
        ("NVIDIA H100 NVL", "bfloat16", 835.5),
        ("NVIDIA H200", "float16", 989.5),
        ("NVIDIA H200 NVL", "bfloat16", 835.5),
        ("NVIDIA B200", "bfloat16", 2250),
        ("NVIDIA L40S", "bfloat16", 362),
        ("NVIDIA L4", "bfloat16", 121),
        ("NVIDIA A10", "bfloat16", 125),
        ("NVIDIA GeForce RTX 4090", "bfloat16", 165.2),
        ("NVIDIA GeForce RTX 3090", "tf32", 35.6),
        ("Tesla V100-SXM2-32GB", "float16", 125),
        ("Tesla V100-SXM2-32GB", "bfloat16", None),
        ("Tesla V100-PCIE-16GB", "float16", 112),
        ("Tesla T4", "float16", 65),
        # not the same although they sound so
        ("NVIDIA A10G", "bfloat16", None),
        ("NVIDIA L40", "bfloat16", None),
        ("NVIDIA GH200 480GB", "bfloat16", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bfloat16", None),
        ("Tesla V100S-PCIE-32GB", "float16", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bfloat16", None),
    ],
)
def test_peak_by_the_name_of_the_gpu(gpu, kind, teraflops):
    assert kernels.datasheet(gpu, kind) == (teraflops and pytest.approx(teraflops * 1e12))


@pytest.mark.parametrize("precision, teraflops", [("highest", 19.5), ("high", 156)])
def test_fp32_on_a_gpu_is_tf32_where_that_is_allowed(precision, teraflops, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-80GB")
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
    assert kernels.peak_flops("cuda", torch.float32) == (pytest.approx(teraflops * 1e12), "datasheet")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_peak_of_this_cpu_is_measured(dtype):
    rate, source = kernels.peak_flops("cpu", dtype)
    assert source == "measured" and 1e8 < rate < 1e15


def test_torch_is_not_imported_to_find_kernels():
    code = "from megatron_ext.backend import kernels; kernels.detect(); import sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_measuring_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    kernels._measured.__wrapped__(torch.device("cpu"), torch.float32, torch.get_num_threads())
    assert torch.equal(torch.get_rng_state(), before)
