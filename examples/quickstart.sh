#!/usr/bin/env bash
# From nothing to a trained language model on this machine's CPU: real text, cleaned, tokenised, trained, stopped, resumed,
# generated from, and exported to a Hugging Face folder whose logits transformers computes alike.
#
#     bash examples/quickstart.sh            # everything goes to runs/quickstart
#
# About five minutes on two cores after the install; a second call starts training anew on the corpus that is there.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ---- settings ----------------------------------------------------------------------------------------------------------
OUT=${OUT:-runs/quickstart}
VOCAB=${VOCAB:-4096}
LAYERS=${LAYERS:-4}
HIDDEN=${HIDDEN:-256}
HEADS=${HEADS:-4}
SEQ=${SEQ:-256}
BATCH=${BATCH:-4}
ITERS=${ITERS:-600}

# ---- 1 · environment and corpus ----------------------------------------------------------------------------------------
title() { printf '\n\033[1m%s\033[0m\n' "$*"; }

title "1/8  environment"
bash examples/setup_environment.sh huggingface data
python=.venv/bin/python
mkdir -p "$OUT"

title "2/8  corpus: English, Chinese and code, from packages that pip brings and Python's own library"
$python examples/quickstart_corpus.py --output "$OUT/raw"

# ---- 2 · clean text, tokenizer, .bin/.idx ------------------------------------------------------------------------------
title "3/8  cleaning by examples/recipes/quickstart.yaml; the receipt says what was dropped and why"
for part in train heldout; do
    $python tools/clean_corpus.py --recipe quickstart --input "$OUT/raw/$part.jsonl" --output "$OUT/clean/$part" \
        --output-compression none
done

title "4/8  tokenizer: byte-level BPE, $VOCAB entries; then text → .bin/.idx"
$python tools/train_tokenizer.py --algorithm byte_level_bpe --vocab-size "$VOCAB" \
    --input "$OUT/clean/train/part-*.jsonl" --output "$OUT/tokenizer"
for part in train heldout; do
    $python tools/preprocess_data.py --input "$OUT/clean/$part/part-*.jsonl" --output-prefix "$OUT/$part" \
        --tokenizer-type huggingface --tokenizer-model "$OUT/tokenizer" --append-eod
done

# ---- 3 · train, stop, resume -------------------------------------------------------------------------------------------
train() {
    $python pretrain_gpt.py --device cpu \
        --num-layers "$LAYERS" --hidden-size "$HIDDEN" --num-attention-heads "$HEADS" --seq-length "$SEQ" \
        --micro-batch-size "$BATCH" --global-batch-size "$BATCH" --train-iters "$ITERS" --lr 2e-3 --lr-warmup-iters $((ITERS / 12)) --log-interval 25 \
        --data-path "$OUT/train_text_document" --valid-data-path "$OUT/heldout_text_document" \
        --tokenizer-type huggingface --tokenizer-model "$OUT/tokenizer" \
        --eval-interval $((ITERS / 2)) --eval-iters 16 --save "$OUT/run" --save-interval $((ITERS / 2)) "$@"
}

rm -rf "$OUT/run"
title "5/8  training a LLaMA-style model; it stops halfway …"
train --exit-interval $((ITERS / 2))
title "6/8  … and the same command goes on where it stopped"
train

# ---- 4 · what came out -------------------------------------------------------------------------------------------------
title "7/8  held-out documents, and text from the model"
$python tools/evaluate.py --load "$OUT/run" --documents "$OUT/clean/heldout/part-00000.jsonl" --device cpu --max-documents 40
$python tools/generate.py --load "$OUT/run" --device cpu --temperature 0.8 --top-p 0.9 --max-new-tokens 60 \
    --prompt "The history of" "def main(" "中国"

# ---- 5 · into Hugging Face's format ---------------------------------------------------------------------------------------
title "8/8  export; transformers computes the same logits"
rm -rf "$OUT/huggingface"
$python tools/convert_checkpoint.py --from "$OUT/run" --to-hf "$OUT/huggingface"
printf '\nThe run: %s (metrics.jsonl, run.yaml, checkpoints); for transformers: %s; what was dropped of the text: %s\n' \
    "$OUT/run" "$OUT/huggingface" "$OUT/clean/train/receipt.html"
