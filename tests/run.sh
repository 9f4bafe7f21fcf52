#!/usr/bin/env bash
# Sets up .venv, then checks style, layers and behaviour.
#
#     bash tests/run.sh [--setup-only] [--full] [--soak] [pytest's own options and files …]
#
# By default every test runs that is not marked full or soak; --full and --soak add theirs (tests/conftest.py).

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for option in "$@"; do
    if [ "$option" = --setup-only ]; then exec bash examples/setup_environment.sh test; fi
done

bash examples/setup_environment.sh test
export PATH=$PWD/.venv/bin:$PATH

# Transformer Engine's Python half, for tests that build its layers without a GPU; in a folder of its own, since what is
# installed of it elsewhere would be taken for kernels.
specs=.venv/transformer_engine
if [[ " $* " == *" --full "* && ! -d $specs ]]; then
    echo "Installing Transformer Engine's Python half into $specs (1.2 GB on disk)"
    python -m pip install --quiet --disable-pip-version-check --no-deps --target "$specs.partial" \
        transformer-engine==2.11.0 transformer-engine-cu13==2.11.0 triton==3.7.0 \
        onnxscript==0.7.2 onnx==1.23.2 onnx_ir==1.1.0 ml_dtypes==0.6.0 einops==0.8.2 nvdlfw-inspect==0.2.2
    mv "$specs.partial" "$specs"
fi
ruff check .
lint-imports --no-logo

# Several at once: most tests wait for processes that they start, or use one core of many. -n 0 runs one after another.
exec python -m pytest -n logical --maxprocesses 8 --dist worksteal "$@"
