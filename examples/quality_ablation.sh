#!/usr/bin/env bash
# What a classifier of quality is worth: the same small model on equally many tokens, of a crawl as it is and of what the filter
# leaves of it; the loss on clean text that neither saw, three seeds each.
#
#     bash examples/quality_ablation.sh            # some minutes on two cores
#
# The "crawl" is what examples/quality_examples.py finds: articles and manuals among licences, lists and logs. The classifier is
# learned from the files of unseen origins, so it has seen nothing of the crawl; held out are a tenth of the articles.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ---- settings ----------------------------------------------------------------------------------------------------------
OUT=${OUT:-runs/quality_ablation}
WIKIPEDIA=${WIKIPEDIA:-$(ls .venv/gensim/gensim-*.whl)}
SEEDS=${SEEDS:-"1 2 3"}
ITERS=${ITERS:-150}
VOCAB=${VOCAB:-2000}
MOST=${MOST:-4000} # pieces of a kind of text
python=.venv/bin/python

# ---- 1 · the crawl, the classifier, and what it leaves -----------------------------------------------------------------
$python examples/quality_examples.py --wikipedia "$WIKIPEDIA" --most "$MOST" --output "$OUT/examples"
$python - "$OUT" <<'PYTHON'
import pathlib, random, sys, zlib, json

out = pathlib.Path(sys.argv[1])
good, bad = (out.joinpath("examples", f"{name}.jsonl").read_text().splitlines(keepends=True) for name in ("good", "bad"))
told = [(line, json.loads(line)) for line in good]
held = [line for line, each in told if each["kind"] == "article" and zlib.crc32(each["origin"].encode()) % 10 == 0]
crawl = [line for line in good if line not in set(held)] + bad
random.Random(1).shuffle(crawl)
out.joinpath("crawl.jsonl").write_text("".join(crawl))
out.joinpath("heldout.jsonl").write_text("".join(held))
PYTHON
$python tools/train_classifier.py --good "$OUT/examples/good_unseen.jsonl" --bad "$OUT/examples/bad_unseen.jsonl" \
    --output "$OUT/quality.bin"
$python tools/clean_corpus.py --input "$OUT/crawl.jsonl" --output "$OUT/clean.parts" --output-compression none \
    --filters classifier --classifier-model "$OUT/quality.bin"

# ---- 2 · one tokenizer for all -----------------------------------------------------------------------------------------
$python tools/train_tokenizer.py --algorithm byte_level_bpe --vocab-size "$VOCAB" --input "$OUT/crawl.jsonl" --output "$OUT/tokenizer"
for name in crawl clean heldout; do
    files="$OUT/$name.jsonl"
    if [ $name = clean ]; then files="$OUT/clean.parts/part-*.jsonl"; fi
    $python tools/preprocess_data.py --input "$files" --output-prefix "$OUT/$name" \
        --tokenizer-type huggingface --tokenizer-model "$OUT/tokenizer" --append-eod
done

# ---- 3 · equal tokens, three seeds -------------------------------------------------------------------------------------
for seed in $SEEDS; do
    for name in crawl clean; do
        rm -rf "$OUT/runs/$name$seed"
        $python pretrain_gpt.py --device cpu --seed "$seed" \
            --num-layers 2 --hidden-size 128 --num-attention-heads 4 --seq-length 128 \
            --micro-batch-size 8 --global-batch-size 8 --train-iters "$ITERS" --lr 2e-3 --lr-warmup-iters $((ITERS / 12)) \
            --data-path "$OUT/${name}_text_document" --valid-data-path "$OUT/heldout_text_document" \
            --tokenizer-type huggingface --tokenizer-model "$OUT/tokenizer" --log-interval 100 \
            --eval-interval "$ITERS" --eval-iters 32 --save "$OUT/runs/$name$seed" --save-interval "$ITERS" >"$OUT/$name$seed.log" 2>&1
    done
done

# ---- 4 · loss on the held-out articles ---------------------------------------------------------------------------------
(cd "$OUT" && grep -o 'eval .*' ./*[0-9].log)
