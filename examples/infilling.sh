#!/usr/bin/env bash
# What learning to fill in the middle gives: two models of the same size on the same pieces of Python's library, one learns
# causal_lm, one fill_in_middle; then both close brackets in the middle of pieces that neither saw.
#
#     bash examples/infilling.sh            # an hour on two cores, or less

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ---- settings ----------------------------------------------------------------------------------------------------------
OUT=${OUT:-runs/infilling}
LIBRARY=${LIBRARY:-} # a folder of modules [this Python's library]
ITERS=${ITERS:-5000}
VOCAB=${VOCAB:-2048}
LAYERS=${LAYERS:-4}
HIDDEN=${HIDDEN:-192}
MOST=${MOST:-3000} # brackets at most
python=.venv/bin/python

# ---- 1 · pieces of code, tokenizer, .bin/.idx -------------------------------------------------------------------------------
$python examples/infilling_code.py --output "$OUT" ${LIBRARY:+--library "$LIBRARY"}
$python tools/train_tokenizer.py --algorithm byte_level_bpe --vocab-size "$VOCAB" --special-tokens fim \
    --input "$OUT/train.jsonl" --output "$OUT/tokenizer"
$python tools/preprocess_data.py --input "$OUT/train.jsonl" --output-prefix "$OUT/train" \
    --tokenizer-model "$OUT/tokenizer" --append-eod

# ---- 2 · the same model on as many tokens ------------------------------------------------------------------------------
train() {
    rm -rf "${OUT:?}/$1"
    $python pretrain_gpt.py --device cpu --objective "$@" --reset-position-ids --reset-attention-mask \
        --num-layers "$LAYERS" --hidden-size "$HIDDEN" --num-attention-heads 4 --seq-length 128 --max-position-embeddings 256 \
        --micro-batch-size 8 --global-batch-size 8 --train-iters "$ITERS" --lr 1.5e-3 --lr-warmup-iters $((ITERS / 25)) \
        --data-path "$OUT/train_text_document" --split 100,0,0 --tokenizer-model "$OUT/tokenizer" --log-interval 100 \
        --save "$OUT/$1" --save-interval "$ITERS"
}
train causal_lm
train fill_in_middle --fim-rate 0.9 --fim-spm-rate 1

# ---- 3 · brackets in the middle ----------------------------------------------------------------------------------------
$python examples/infilling_brackets.py --folder "$OUT" --most "$MOST"
