#!/usr/bin/env bash
# LLaMA 7B (arXiv:2302.13971): 6.7 B parameters, batches of 4 M tokens, 1 T tokens. On one node of 8 GPUs with 80 GB:
#
#     DATA=data/corpus_text_document TOKENIZER=tokenizer bash examples/pretrain_llama_7b.sh
#
# On several, the same on each: NNODES=4 MASTER_ADDR=node0 NODE_RANK=0 (to 3) … bash examples/pretrain_llama_7b.sh
# In miniature on the CPU, under a minute: SMOKE=1 bash examples/pretrain_llama_7b.sh
#
# Each setting below can be set in the environment; flags behind the script's name go to pretrain_gpt.py. The same call again
# goes on from the newest checkpoint. Exit status: 0 done, 75 stopped by SIGTERM or Ctrl-C and to be called again, else failed.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/common.sh

if [ -n "${SMOKE-}" ]; then # the same flags, smaller values
    : "${DEVICE:=cpu}" "${DATA:=mock}" "${SAVE:=runs/smoke_llama_7b}" "${GPUS_PER_NODE:=2}" "${TP:=1}" "${MICRO_BATCH:=2}"
    : "${GLOBAL_BATCH:=8}" "${TRAIN_TOKENS:=10240}" "${WARMUP:=2}" "${SAVE_INTERVAL:=10}" "${EVAL_INTERVAL:=10}"
    : "${SIZES:=--num-layers 2 --hidden-size 64 --ffn-hidden-size 192 --num-attention-heads 4 --seq-length 64}"
    : "${VOCAB:=512}" "${EVAL_ITERS:=2}" "${LOG_INTERVAL:=1}"
fi

# ---- settings ----------------------------------------------------------------------------------------------------------
DATA=${DATA:-data/corpus_text_document} # prefix of the .bin/.idx pair (tools/preprocess_data.py), or mock
TOKENIZER=${TOKENIZER:-tokenizer}       # what the data was tokenised with
VOCAB=${VOCAB:-32000}                   # the paper's vocabulary; of mock data, and for the memory that is foretold
SAVE=${SAVE:-runs/llama_7b}             # checkpoints, run.yaml, metrics.jsonl; a run found there goes on
LOAD=${LOAD:-}                          # another run to start from

NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}               # this node's number, from 0
MASTER_ADDR=${MASTER_ADDR:-localhost}   # node 0, where all meet
MASTER_PORT=${MASTER_PORT:-29500}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
DEVICE=${DEVICE:-cuda}

TP=${TP:-2}                             # within a node: TP talks in every layer
PP=${PP:-1}                             # 7 B parameters need no stages
MICRO_BATCH=${MICRO_BATCH:-2}
GLOBAL_BATCH=${GLOBAL_BATCH:-2048}      # 2,048 samples of 2,048 tokens: 4 M
TRAIN_TOKENS=${TRAIN_TOKENS:-1_000_000_000_000}
LR=${LR:-3e-4}
WARMUP=${WARMUP:-2000}                  # updates
SIZES=${SIZES:-}                        # flags that change the model, such as --num-layers 16

SAVE_INTERVAL=${SAVE_INTERVAL:-500}     # updates between checkpoints of 12 bytes a parameter, 81 GB
KEEP_LAST=${KEEP_LAST:-3}
EVAL_INTERVAL=${EVAL_INTERVAL:-500}
EVAL_ITERS=${EVAL_ITERS:-10}
LOG_INTERVAL=${LOG_INTERVAL:-10}
EXIT_SIGNAL=${EXIT_SIGNAL:-SIGTERM}     # finish the update, save, stop

# ---- the run -----------------------------------------------------------------------------------------------------------
read -ra sizes <<<"$SIZES"
flags=(
    --preset llama-7b "${sizes[@]}"
    --train-tokens "$TRAIN_TOKENS" --global-batch-size "$GLOBAL_BATCH" --micro-batch-size "$MICRO_BATCH"
    --lr "$LR" --lr-warmup-iters "$WARMUP" --bf16
    --tensor-model-parallel-size "$TP" --pipeline-model-parallel-size "$PP"
    --zero-stage 1 --overlap-grad-reduce --overlap-param-gather # each GPU keeps a share of Adam's state
    --save "$SAVE" --save-interval "$SAVE_INTERVAL" --keep-last "$KEEP_LAST" --async-save
    --eval-interval "$EVAL_INTERVAL" --eval-iters "$EVAL_ITERS" --log-interval "$LOG_INTERVAL"
    --exit-signal "$EXIT_SIGNAL" --device "$DEVICE"
)
if [ "$TP" -gt 1 ]; then flags+=(--sequence-parallel); fi
if [ -n "$LOAD" ]; then flags+=(--load "$LOAD"); fi
data=(--data-path "$DATA" --tokenizer-model "$TOKENIZER")
if [ "$DATA" = mock ]; then data=(--mock-data --vocab-size "$VOCAB"); fi

need_gpus $((NNODES * GPUS_PER_NODE)) "$GPUS_PER_NODE" "$VOCAB" "${flags[@]}" "$@"
run_torchrun --nnodes "$NNODES" --node-rank "$NODE_RANK" --nproc-per-node "$GPUS_PER_NODE" \
    --master-addr "$MASTER_ADDR" --master-port "$MASTER_PORT" pretrain_gpt.py "${data[@]}" "${flags[@]}" "$@"
