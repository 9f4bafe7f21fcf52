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
ruff check .
lint-imports --no-logo
exec python -m pytest "$@"
