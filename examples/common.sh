# shellcheck shell=bash
# Shared by the training scripts beside it; to be sourced.

PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # training on GPUs needs no more, and torchrun would warn

# need_gpus PROCESSES GPUS_HERE VOCAB FLAGS… : says what the run needs, and goes on only where this node has the GPUs
need_gpus() {
    local processes=$1 gpus=$2 vocab=$3 status=0
    shift 3
    "$PYTHON" tools/requirements.py --processes "$processes" --gpus-here "$gpus" \
        --mock-data --vocab-size "$vocab" "$@" || status=$?
    if [ "$status" -eq 1 ]; then echo "Not started. In miniature, on a CPU: SMOKE=1" >&2; fi
    if [ "$status" -ne 0 ]; then exit "$status"; fi
}

# run_torchrun ARGUMENTS… : passes SIGTERM on to torchrun, and ends with 75 if it came. torchrun itself ends with 1 whether its
# processes failed or were told to stop and saved. It waits so long for the save before it kills (older ones 30 seconds).
run_torchrun() {
    export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-600}
    local told='' status=0 torchrun
    "$PYTHON" -m torch.distributed.run "$@" &
    torchrun=$!
    trap 'told=yes; kill -TERM "$torchrun" 2>/dev/null || true' TERM
    while :; do # a signal ends bash's wait early
        wait "$torchrun" && status=0 || status=$?
        kill -0 "$torchrun" 2>/dev/null || break
    done
    if [ -n "$told" ] && [ "$status" -ne 0 ]; then status=75; fi
    return "$status"
}
