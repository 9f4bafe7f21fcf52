"""Megatron-LM's two official command lines, word for word as its example scripts hand them over.

examples/llama/train_llama3_8b_h100_fp8.sh (mock data) and examples/gpt3/train_gpt3_175b_distributed.sh.
"""

from __future__ import annotations

LLAMA3_8B = """
    --use-mcore-models --num-layers 32 --hidden-size 4096 --ffn-hidden-size 14336 --num-attention-heads 32
    --group-query-attention --num-query-groups 8 --kv-channels 128 --seq-length 8192 --max-position-embeddings 8192
    --position-embedding-type rope --rotary-base 1000000 --rotary-percent 1.0 --attention-dropout 0.0 --hidden-dropout 0.0
    --swiglu --init-method-std 0.0134 --attention-backend fused --apply-layernorm-1p --untie-embeddings-and-output-weights
    --disable-bias-linear --micro-batch-size 1 --global-batch-size 128 --train-samples 1953125000
    --lr-decay-samples 1949218748 --lr-warmup-samples 3906252 --lr 0.00015 --min-lr 0.00001 --decoupled-lr 5.0e-4
    --decoupled-min-lr 4.5e-5 --lr-decay-style cosine --clip-grad 1.0 --weight-decay 0.1 --adam-beta1 0.9 --adam-beta2 0.95
    --bf16 --grad-reduce-in-bf16 --cross-entropy-loss-fusion --calculate-per-token-loss --manual-gc
    --empty-unused-memory-level 1 --exit-duration-in-mins 235 --use-distributed-optimizer --overlap-grad-reduce
    --overlap-param-gather --fp8-format hybrid --fp8-amax-history-len 1024 --fp8-amax-compute-algo max --fp8-param-gather
    --tensor-model-parallel-size 1 --context-parallel-size 1 --sequence-parallel --mock-data --tokenizer-type NullTokenizer
    --vocab-size 128256 --data-cache-path {folder}/cache --tiktoken-pattern v2 --split '99,1,0'
    --no-create-attention-mask-in-dataloader --no-mmap-bin-files --num-workers 1 --log-interval 1 --eval-iters 32
    --eval-interval 100 --save-interval 1000 --log-throughput --profile --profile-step-start 4 --profile-step-end 6
    --ckpt-format torch_dist --distributed-timeout-minutes 60 --save {folder}/run --load {folder}/run
    --tensorboard-dir {folder}/board
"""

GPT3_175B = """
    --num-layers 96 --hidden-size 12288 --num-attention-heads 96 --seq-length 2048 --max-position-embeddings 2048
    --attention-backend auto --micro-batch-size 1 --global-batch-size 1536 --rampup-batch-size 16 16 5859375
    --train-iters 500000 --weight-decay 0.1 --adam-beta1 0.9 --adam-beta2 0.95 --init-method-std 0.006 --clip-grad 1.0 --fp16
    --lr 6.0e-5 --lr-decay-style cosine --min-lr 6.0e-6 --lr-warmup-fraction .001 --lr-decay-iters 430000
    --tensor-model-parallel-size 8 --pipeline-model-parallel-size 16 --data-path {folder}/corpus_text_document
    --vocab-file {folder}/gpt2-vocab.json --merge-file {folder}/gpt2-merges.txt --split 949,50,1 --log-interval 100
    --save-interval 10000 --eval-interval 1000 --save {folder}/run --load {folder}/run --eval-iters 10
    --tensorboard-dir {folder}/board
"""


def words(line: str, folder, without: dict[str, int] | None = None) -> list[str]:
    """A line as the program receives it (the quotes of '99,1,0' are part of the word), less flags that are not there."""
    left_out, kept, skip = without or {}, [], 0
    for word in line.format(folder=folder).split():
        if skip:
            skip -= 1
        elif word in left_out:
            skip = left_out[word]
        else:
            kept.append(word)
    return kept
