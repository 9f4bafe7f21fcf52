#!/usr/bin/env bash
# GPT-3 175B (arXiv:2005.14165, table 2.1): 96 layers of 12,288, batches of 3 M tokens, 300 B tokens. TP8·PP16 takes 16 nodes
# of 8 GPUs with 80 GB, or a multiple; on each of them:
#
#     DATA=… TOKENIZER=… MASTER_ADDR=node0 NODE_RANK=0 (to 15) bash examples/pretrain_gpt3_175b.sh
#
# In miniature on the CPU, under a minute: SMOKE=1 bash examples/pretrain_gpt3_175b.sh
#
# Each setting below can be set in the environment; flags behind the script's name go to pretrain_gpt.py. The same call again
# goes on from the newest checkpoint. Exit status: 0 done, 75 stopped by SIGTERM or Ctrl-C and to be called again, else failed.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/common.sh

if [ -n "${SMOKE-}" ]; then # the same flags, smaller values
    : "${DEVICE:=cpu}" "${DATA:=mock}" "${SAVE:=runs/smoke_gpt3_175b}" "${NNODES:=1}" "${GPUS_PER_NODE:=4}" "${TP:=2}" "${PP:=2}"
    : "${GLOBAL_BATCH:=8}" "${RAMPUP:=4 4 8}" "${TRAIN_TOKENS:=4096}" "${WARMUP:=16}" "${LR_DECAY:=48}"
    : "${SIZES:=--num-layers 4 --hidden-size 64 --ffn-hidden-size 256 --num-attention-heads 4 --seq-length 64}"
    : "${VOCAB:=512}" "${SAVE_INTERVAL:=5}" "${EVAL_INTERVAL:=5}" "${EVAL_ITERS:=2}" "${LOG_INTERVAL:=1}"
fi

# ---- settings ----------------------------------------------------------------------------------------------------------
DATA=${DATA:-data/corpus_text_document} # prefix of the .bin/.idx pair (tools/preprocess_data.py), or mock
TOKENIZER=${TOKENIZER:-tokenizer}       # what the data was tokenised with
VOCAB=${VOCAB:-50257}                   # the paper's vocabulary; of mock data, and for the memory that is foretold
SAVE=${SAVE:-runs/gpt3_175b}            # checkpoints, run.yaml, metrics.jsonl; a run found there goes on
LOAD=${LOAD:-}                          # another run to start from

NNODES=${NNODES:-16}
NODE_RANK=${NODE_RANK:-0}               # this node's number, from 0
MASTER_ADDR=${MASTER_ADDR:-localhost}   # node 0, where all meet
MASTER_PORT=${MASTER_PORT:-29500}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
DEVICE=${DEVICE:-cuda}

TP=${TP:-8}                             # a node: TP talks in every layer
PP=${PP:-16}                            # stages of 6 layers; between nodes only activations travel
VPP=${VPP:-2}                           # model chunks a stage holds: the pipeline's idle time is divided by it
MICRO_BATCH=${MICRO_BATCH:-1}
GLOBAL_BATCH=${GLOBAL_BATCH:-1536}      # 1,536 samples of 2,048 tokens: 3.1 M (the paper: 3.2 M)
RAMPUP=${RAMPUP:-}                      # START INCREMENT SAMPLES; as the paper's batch grew, over 12 B tokens: 16 16 5859375
TRAIN_TOKENS=${TRAIN_TOKENS:-300_000_000_000}
LR=${LR:-0.6e-4}
WARMUP=${WARMUP:-183105}                # samples: 375 M tokens
LR_DECAY=${LR_DECAY:-126953125}         # samples until the learning rate is at a tenth: 260 B tokens
SIZES=${SIZES:-}                        # flags that change the model, such as --num-layers 48

SAVE_INTERVAL=${SAVE_INTERVAL:-500}     # updates between checkpoints of 12 bytes a parameter, 2.1 TB
KEEP_LAST=${KEEP_LAST:-3}
EVAL_INTERVAL=${EVAL_INTERVAL:-500}
EVAL_ITERS=${EVAL_ITERS:-10}
LOG_INTERVAL=${LOG_INTERVAL:-10}
EXIT_SIGNAL=${EXIT_SIGNAL:-SIGTERM}     # finish the update, save, stop

# ---- the run -----------------------------------------------------------------------------------------------------------
read -ra sizes <<<"$SIZES"
flags=(
    --preset gpt3-175b "${sizes[@]}"
    --train-tokens "$TRAIN_TOKENS" --global-batch-size "$GLOBAL_BATCH" --micro-batch-size "$MICRO_BATCH"
    --lr "$LR" --lr-warmup-samples "$WARMUP" --lr-decay-samples "$LR_DECAY" --bf16
    --tensor-model-parallel-size "$TP" --pipeline-model-parallel-size "$PP" --num-virtual-stages-per-pipeline-rank "$VPP"
    --zero-stage 1 --overlap-grad-reduce --overlap-param-gather # each GPU keeps a share of Adam's state
    --save "$SAVE" --save-interval "$SAVE_INTERVAL" --keep-last "$KEEP_LAST" --async-save
    --eval-interval "$EVAL_INTERVAL" --eval-iters "$EVAL_ITERS" --log-interval "$LOG_INTERVAL"
    --exit-signal "$EXIT_SIGNAL" --device "$DEVICE"
)
if [ "$TP" -gt 1 ]; then flags+=(--sequence-parallel); fi
if [ -n "$RAMPUP" ]; then
    read -ra rampup <<<"$RAMPUP"
    flags+=(--rampup-batch-size "${rampup[@]}")
fi
if [ -n "$LOAD" ]; then flags+=(--load "$LOAD"); fi
data=(--data-path "$DATA" --tokenizer-model "$TOKENIZER")
if [ "$DATA" = mock ]; then data=(--mock-data --vocab-size "$VOCAB"); fi

need_gpus $((NNODES * GPUS_PER_NODE)) "$GPUS_PER_NODE" "$VOCAB" "${flags[@]}" "$@"
run_torchrun --nnodes "$NNODES" --node-rank "$NODE_RANK" --nproc-per-node "$GPUS_PER_NODE" \
    --master-addr "$MASTER_ADDR" --master-port "$MASTER_PORT" pretrain_gpt.py "${data[@]}" "${flags[@]}" "$@"
