# shellcheck shell=bash
# Shared by the training scripts beside it; to be sourced.

PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # training on GPUs needs no more, and torchrun would warn

# need_gpus PROCESSES GPUS_HERE VOCAB FLAGS… : says what the run needs, and goes on only where this node has the GPUs
need_gpus() {
    local processes=$1 gpus=$2 vocab=$3 status=0
    shift 3
    case " $* " in *" --help "* | *" -h "*)
        "$PYTHON" pretrain_gpt.py "$@"
        exit
        ;;
    esac
    "$PYTHON" tools/requirements.py --processes "$processes" --gpus-here "$gpus" \
        --mock-data --vocab-size "$vocab" "$@" || status=$?
    if [ "$status" -eq 1 ]; then echo "Not started. In miniature, on a CPU: SMOKE=1" >&2; fi
    if [ "$status" -ne 0 ]; then exit "$status"; fi
}

# run_torchrun ARGUMENTS… : runs torchrun until the last of its processes here has ended, and returns 0 done, 75 stopped by a
# signal, whichever node it reached, and to be called again, else failed. SIGTERM, Ctrl-C and SIGHUP all end the run by SIGTERM.
run_torchrun() {
    local status=0 how='' interrupted='' told='' torchrun='' file
    # torchrun ends with 1 whether its processes failed or stopped and saved; they leave word, one file a node:
    # megatron_ext/reliability/preemption.py. It is held open, since a run may outlive what is in /tmp.
    MEGATRON_EXT_STATUS_FILE=$(mktemp)
    export MEGATRON_EXT_STATUS_FILE
    exec {file}<"$MEGATRON_EXT_STATUS_FILE"
    # So many seconds torchrun waits for the save before it kills (older ones 30).
    export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-600}
    trap 'interrupted=yes; pass_on' TERM INT HUP
    # In a session of its own, so that what a terminal or a launcher sends to this whole group reaches it once, from here.
    # Until its processes start it has no handler, and just ends.
    setsid "$PYTHON" -m torch.distributed.run "$@" &
    torchrun=$!
    if [ -n "$told" ]; then kill -TERM "$torchrun" 2>/dev/null || true; fi # it came before the line above
    while :; do
        interrupted=''
        wait "$torchrun" && status=0 || status=$?
        if [ -z "$interrupted" ]; then break; fi # else a signal ended bash's wait
    done
    # Told while it starts its processes, torchrun ends and leaves those that it has begun, which have nothing to save yet.
    if [ -n "$told" ] && [ ! -s "/proc/self/fd/$file" ]; then end_processes "$(started_here)"; fi
    # Told twice, torchrun does not wait for its processes; each holds a lock while it lives.
    flock --exclusive --timeout "$TORCH_ELASTIC_SHUTDOWN_TIMEOUT" "$file" || true
    read -r -u "$file" how || true
    exec {file}<&-
    rm -f "$MEGATRON_EXT_STATUS_FILE"
    trap - TERM INT HUP
    if [ "$status" -ne 0 ]; then
        # Told before the first update, there was nothing to save.
        if [ "$how" = 75 ] || { [ -n "$told" ] && [ -z "$how" ]; }; then status=75; fi
    fi
    return "$status"
}

# started_here : the numbers of processes that were started with this run's MEGATRON_EXT_STATUS_FILE. With nothing but bash:
# other programs would be among them.
started_here() {
    local environ entry
    for environ in /proc/[0-9]*/environ; do
        while IFS= read -r -d '' entry; do
            if [ "$entry" = "MEGATRON_EXT_STATUS_FILE=$MEGATRON_EXT_STATUS_FILE" ]; then
                environ=${environ#/proc/}
                echo "${environ%/environ}"
                break
            fi
        done <"$environ"
    done 2>/dev/null || true # those of others cannot be read, and some have gone meanwhile
}

# end_processes NUMBERS : asks them to end and waits until they have.
end_processes() {
    local process processes=$1 seconds=$TORCH_ELASTIC_SHUTDOWN_TIMEOUT
    if [ -z "$processes" ]; then return; fi
    # shellcheck disable=SC2086 # several numbers
    kill -TERM $processes 2>/dev/null || true
    for process in $processes; do
        while [ "$seconds" -gt 0 ] && kill -0 "$process" 2>/dev/null; do
            sleep 1
            seconds=$((seconds - 1))
        done
    done
}

# pass_on : the first signal asks torchrun, which asks its processes and waits for them; later ones go to these, which end at
# once where 5 seconds lie between.
pass_on() {
    local processes=''
    if [ -n "$told" ]; then
        read -r processes <"/proc/$torchrun/task/$torchrun/children" || true
        # shellcheck disable=SC2086 # several numbers
        if [ -n "$processes" ]; then kill -TERM $processes || true; fi
    elif [ -n "$torchrun" ]; then
        kill -TERM "$torchrun" || true
    fi 2>/dev/null
    told=yes
}
