"""Every flag of Megatron-LM's pretraining (megatron/training/arguments.py) and of its tools/preprocess_data.py, and its fate.

The list is that of autumn 2025 to spring 2026 (core 0.15 to 0.17), with spellings that older scripts use. A flag that would
change results is never taken without effect: what is taken is so here already, or changes speed and display alone.
"""

from __future__ import annotations

from megatron_ext.arguments.megatron_lm.rows import (
    PREPROCESS,
    PRETRAIN,
    Row,
    becomes,
    ours,
    refused,
    section,
    taken,
)

_SPEED = "changes speed alone"
_UNSHOWN = "not shown here, changes no results"

# fmt: off
SECTIONS = (
    section("Architecture",
        ours("""--num-layers --hidden-size --ffn-hidden-size --num-attention-heads --num-query-groups --kv-channels --seq-length
            --max-position-embeddings --normalization --norm-epsilon --apply-layernorm-1p --position-embedding-type --rotary-base
            --rotary-percent --add-qkv-bias --untie-embeddings-and-output-weights --make-vocab-size-divisible-by --hidden-dropout
            --attention-dropout --init-method-std --attention-backend --transformer-impl"""),
        becomes("--bert-no-binary-head", bert_binary_head=False),
        ours("--encoder-num-layers --encoder-seq-length --decoder-num-layers --decoder-seq-length"),
        becomes("--layernorm-epsilon=", norm_epsilon=...),
        becomes("--swiglu", activation="swiglu"),
        becomes("--no-bias-gelu-fusion", "the exact gelu instead of gelu_tanh, unless --activation is given"),
        becomes("--disable-bias-linear", add_bias_linear=False),
        becomes("--use-rotary-position-embeddings", position_embedding_type="rope"),
        becomes("--group-query-attention", "--num-query-groups counts, and is 1 where it is not given"),
        becomes("--spec=*", only="local", otherwise="only local can be named; use --transformer-impl", transformer_impl="local"),
        taken("--use-mcore-models", "there are no other models"),
        taken("--no-position-embedding", "rope and none add no position to the embedding"),
        taken("--use-flash-attn", "attention never holds all scores"),
        taken("--attention-softmax-in-fp32", "attention's softmax is taken in fp32"),
        taken("""--no-masked-softmax-fusion --no-bias-swiglu-fusion --no-bias-dropout-fusion --no-rope-fusion
            --no-persist-layer-norm --use-te-activation-func --no-clone-scatter-output-in-embedding""", _SPEED),
        taken("--openai-gelu --onnx-safe=", "Megatron-LM's core models pass over it"),
        taken("--rope-type=", "rotary positions are not stretched", only="rope", otherwise="YaRN is not there"),
        taken("--softmax-type=", "the only one", only="vanilla", otherwise="is not there; attention takes the plain softmax"),
        taken("--enable-experimental", "nothing here waits for it"),
        taken("--rotary-seq-len-interpolation-factor=", "1 stretches nothing", only="1", otherwise="stretching is not there"),
        ours("--mtp-num-layers --mtp-loss-scaling-factor"),
        refused("--use-legacy-models", "the models of before Megatron-Core are not there; leave it out, and use Megatron-Core's"),
        becomes("--squared-relu", activation="squared_relu"),
        becomes("--quick-geglu", activation="quick_geglu"),
        refused("--activation-func-clamp-value= --glu-linear-offset= --use-fused-weighted-squared-relu", "is not there"),
        ours("--apply-residual-connection-post-layernorm"),
        refused("--apply-query-key-layer-scaling", "would divide scores by the layer's number, which is not there"),
        ours("--qk-layernorm --rotary-interleaved"),
        refused("--qk-l2-norm --qk-clip --qk-clip-alpha= --qk-clip-threshold=", "is not there; --qk-layernorm is"),
        refused("""--apply-wd-to-qk-layernorm --attention-output-gate --experimental-attention-variant= --dsa-indexer-n-heads=
            --dsa-indexer-head-dim= --dsa-indexer-topk= --dsa-indexer-loss-coeff= --dsa-indexer-use-sparse-loss""",
            "is not there"),
        becomes("--window-size=", "tokens before a query (L,0); itself is counted besides"),
        becomes("--window-attn-skip-freq=", "each layer of so many sees all before it"),
        refused("--use-rope-scaling --rope-scaling-factor= --no-rope-freq=", "scaled or left-out rotary positions are not there"),
        ours("--relative-attention-num-buckets --relative-attention-max-distance"),
        refused("--mtp-standalone", "is not there; --pipeline-model-parallel-layout places it on the last stage"),
        ours("--multi-latent-attention --q-lora-rank= --kv-lora-rank= --qk-head-dim= --qk-pos-emb-head-dim= --v-head-dim="),
        taken("--cache-mla-latents", "generation keeps nothing else of a token"),
        taken("--rotary-scaling-factor=", "1 stretches nothing", only="1 1.0", otherwise="YaRN is not there"),
        taken("--mscale= --mscale-all-dim=", "belong to stretched positions"),
        refused("""--linear-attention-freq= --linear-conv-kernel-dim= --linear-key-head-dim= --linear-value-head-dim=
            --linear-num-key-heads= --linear-num-value-heads= --is-hybrid-model --hybrid-attention-ratio= --hybrid-mlp-ratio=
            --hybrid-override-pattern= --hybrid-layer-pattern= --mamba-state-dim= --mamba-head-dim= --mamba-num-groups=
            --mamba-num-heads= --disable-mamba-mem-eff-path --use-mamba-mem-eff-path""",
            "linear attention and state-space layers are not there"),
        refused("--heterogeneous-layers-config-path= --heterogeneous-layers-config-encoded-json=", "all layers are alike here"),
    ),
    section("Mixture of experts",
        ours("""--num-experts --moe-layer-freq --moe-router-topk --moe-ffn-hidden-size --moe-shared-expert-intermediate-size
            --moe-shared-expert-gate --moe-router-score-function --moe-router-pre-softmax --moe-router-topk-scaling-factor
            --moe-router-num-groups --moe-router-group-topk --moe-router-load-balancing-type --moe-aux-loss-coeff
            --moe-z-loss-coeff --moe-router-enable-expert-bias --moe-router-bias-update-rate --moe-expert-capacity-factor
            --moe-token-drop-policy --moe-token-dispatcher-type --expert-model-parallel-size --expert-tensor-parallel-size"""),
        taken("--moe-router-dtype=", "the router computes in fp32", only="fp32", otherwise="only fp32 is there"),
        taken("""--moe-grouped-gemm --moe-permute-fusion --moe-router-fusion --moe-shared-expert-overlap
            --moe-use-legacy-grouped-gemm --overlap-moe-expert-parallel-comm --delay-wgrad-compute
            --ep-overlap-early-attn-memory-release""", _SPEED),
        taken("--moe-per-layer-logging", "metrics.jsonl has every layer's"),
        refused("--moe-extended-tp", "is gone from Megatron-LM too; use --expert-tensor-parallel-size"),
        refused("--moe-layer-recompute", "is not there; use --recompute-granularity full"),
        refused("""--moe-latent-size= --moe-apply-probs-on-input --moe-router-force-load-balancing --moe-enable-routing-replay
            --moe-router-padding-for-fp8 --moe-router-padding-for-quantization --moe-input-jitter-eps=
            --moe-pad-experts-for-cuda-graph-inference --moe-routing-trace-path= --moe-routing-trace-max-training-iters=
            --moe-routing-trace-capture-logits --moe-routing-trace-capture-hidden-states --moe-routing-trace-dump-weights
            --moe-use-upcycling --moe-upcycling-granularity=""", "is not there"),
        refused("--moe-pad-expert-input-to-capacity", "experts take tokens as they come; leave it out"),
        refused("--moe-enable-deepep --moe-deepep-num-sms= --moe-hybridep-num-sms= --moe-flex-dispatcher-backend=",
            "is not there; use the alltoall dispatcher"),
    ),
    section("Training",
        ours("""--micro-batch-size --global-batch-size --rampup-batch-size --train-iters --train-samples --seed --exit-interval
            --exit-duration-in-mins --exit-signal-handler --exit-signal --manual-gc --manual-gc-interval
            --empty-unused-memory-level --cross-entropy-loss-fusion --recompute-granularity --recompute-num-layers
            --cuda-graph-impl --cuda-graph-scope --cuda-graph-warmup-steps --eval-iters --eval-interval --full-validation
            --multiple-validation-sets"""),
        becomes("--enable-cuda-graph", cuda_graph_impl="local"),
        taken("--recompute-activations", "attention keeps no scores that could be recomputed"),
        taken("--recompute-modules=*",
            "attention keeps no scores", only="core_attn", otherwise="use --recompute-granularity full"),
        taken("--recompute-method=", "the only one", only="uniform", otherwise="is not there; use uniform"),
        taken("--calculate-per-token-loss", "the loss is always the mean over the tokens of the global batch"),
        taken("--no-check-for-nan-in-loss-and-grad", "an update whose gradient is not finite is skipped"),
        taken("--use-cpu-initialization", "weights are the same on every layout"),
        taken("--no-initialization", "weights are drawn, then loaded over"),
        taken("--cross-entropy-fusion-impl= --train-sync-interval= --no-manual-gc-eval --disable-manual-gc-eval", _SPEED),
        taken("--cpu-offloading-num-layers=", "0 is none", only="0", otherwise="offloading is not there; recompute instead"),
        taken("--exit-signal-handler-for-dataloader --exit-signal-handler-for-training", "no process outlives its run"),
        taken("--rerun-mode=", "nothing is run twice", only="disabled", otherwise="running again is not there; use disabled"),
        taken("--disable-msc --enable-msc", "files are read from disk alone"),
        refused("--batch-size=", "is gone from Megatron-LM too; use --micro-batch-size"),
        refused("--checkpoint-activations", "is gone from Megatron-LM too; use --recompute-granularity full"),
        refused("--distribute-saved-activations", "is not there; --sequence-parallel shares kept activations out"),
        refused("--fine-grained-activation-offloading --offload-modules=* --min-offloaded-tensor-size=",
            "offloading is not there"),
        refused("--decrease-batch-size-if-needed --step-batch-size-schedule=", "is not there; use --rampup-batch-size"),
        refused("""--iterations-to-skip=* --result-rejected-tracker-filename= --check-for-spiky-loss --check-for-large-grads
            --error-injection-rate= --error-injection-type= --test-mode --deterministic-mode --batch-invariant-mode
            --check-weight-hash-across-dp-replicas-interval= --gpu-sniff-test-interval=""", "is not there"),
        refused("--skip-train", "is not there; tools/evaluate.py measures a trained model"),
        refused("--start-eval-at-iter= --eval-global-batch-size= --eval-micro-batch-size=", "is not there; use --eval-interval"),
        refused("--validation-set-names=*", "is not there; validation sets go by their paths"),
        refused("--data-parallel-random-init --init-method-xavier-uniform", "the seed and --init-method-std give the weights"),
        refused("--embedding-init-method-std=", "is not there; --init-method-std is for all matrices"),
        refused("--external-cuda-graph", "is not there; use --cuda-graph-impl local"),
        refused("--yaml-cfg=", "is not there; use --config with a run.yaml"),
    ),
    section("Optimizer and learning rate",
        ours("""--optimizer --lr --min-lr --decoupled-lr --decoupled-min-lr --lr-decay-style --lr-decay-iters --lr-decay-samples
            --lr-warmup-fraction --lr-warmup-iters --lr-warmup-samples --lr-warmup-init --weight-decay --adam-beta1 --adam-beta2
            --adam-eps --clip-grad --override-opt-param-scheduler"""),
        taken("--weight-decay-incr-style=", "it stays the same", only="constant", otherwise="weight decay stays the same here"),
        taken("--overlap-cpu-optimizer-d2h-h2d --no-pin-cpu-grads --no-pin-cpu-params", "nothing is offloaded"),
        taken("--main-grads-dtype= --main-params-dtype= --exp-avg-dtype= --exp-avg-sq-dtype=",
            "they are fp32", only="fp32", otherwise="only fp32 is there"),
        refused("--start-weight-decay= --end-weight-decay= --no-weight-decay-cond-type=", "is not there; use --weight-decay"),
        refused("--warmup=", "is gone from Megatron-LM too; use --lr-warmup-fraction"),
        refused("""--lr-wsd-decay-style= --lr-wsd-decay-iters= --lr-wsd-decay-samples= --sgd-momentum= --muon-momentum=
            --muon-no-split-qkv --muon-use-nesterov --muon-scale-mode= --muon-fp32-matmul-prec= --muon-num-ns-steps=
            --muon-tp-mode= --muon-extra-scale-factor=""", "is not there"),
        refused("--use-checkpoint-opt-param-scheduler", "is not there; give the schedule's flags, or --config with its run.yaml"),
        refused("--optimizer-cpu-offload --use-torch-optimizer-for-cpu-offload --optimizer-offload-fraction=",
            "offloading is not there; use --use-distributed-optimizer"),
        refused("--use-precision-aware-optimizer --dump-param-to-param-group-map=",
            "the optimizer's state is fp32, in one group; --use-distributed-optimizer shares it out"),
    ),
    section("Precision",
        ours("""--bf16 --fp16 --loss-scale --initial-loss-scale --min-loss-scale --loss-scale-window --hysteresis
            --grad-reduce-in-bf16 --fp8-format --fp8-recipe --fp8-amax-history-len --fp8-amax-compute-algo --fp8-param-gather"""),
        taken("--accumulate-allreduce-grads-in-fp32", "so unless --grad-reduce-in-bf16"),
        taken("--fp8-margin=", "0 is the margin", only="0", otherwise="only 0 is there"),
        taken("--fp8-interval=", "Megatron-LM passes over it"),
        taken("--te-rng-tracker --inference-rng-tracker", "random states are kept by layout here"),
        refused("--fp16-lm-cross-entropy", "the loss is taken in fp32; leave it out"),
        refused("--fp32-residual-connection", "the residual stream has the type of the layers"),
        refused("""--disable-bf16-reduced-precision-matmul --reuse-grad-buf-for-mxfp8-param-ag --no-fp8-wgrad --disable-fp8-wgrad
            --fp8-quantizer-factory= --first-last-layers-bf16 --num-layers-at-start-in-bf16= --num-layers-at-end-in-bf16=""",
            "is not there"),
        refused("""--fp4-format= --fp4-recipe= --fp4-param-gather --fp4-quantizer-factory= --fp4-param --kitchen-config-file=
            --kitchen-recipe-number= --use-kitchen-attention --kitchen-attention-backend= --te-precision-config-file=""",
            "is not there; use --fp8-format"),
    ),
    section("Layout",
        ours("""--tensor-model-parallel-size --context-parallel-size --cp-comm-type --pipeline-model-parallel-size
            --num-virtual-stages-per-pipeline-rank --num-layers-per-virtual-pipeline-stage
            --decoder-first-pipeline-num-layers --decoder-last-pipeline-num-layers
            --pipeline-model-parallel-layout --account-for-embedding-in-pipeline-split --account-for-loss-in-pipeline-split
            --sequence-parallel --distributed-timeout-minutes --overlap-grad-reduce --overlap-param-gather --tp-comm-overlap
            --no-gradient-accumulation-fusion"""),
        becomes("--use-distributed-optimizer", zero_stage=1),
        taken("--distributed-backend=", "the device decides: gloo on CPUs, NCCL on GPUs"),
        taken("--local-rank=", "the launcher's environment says it"),
        taken("--distributed-timeout-seconds-after-init=", "--distributed-timeout-minutes holds for the whole run"),
        taken("--disable-gloo-process-groups", "there are none beside the layout's"),
        taken("--no-overlap-p2p-communication", "interleaved stages always overlap: without, two of them get wrong gradients"),
        taken("""--no-align-grad-reduce --no-align-param-gather --ddp-num-buckets= --ddp-bucket-size= --disable-align-grad-reduce
            --no-scatter-gather-tensors-in-pipeline --use-ring-exchange-p2p --ddp-pad-buckets-for-high-nccl-busbw
            --ddp-average-in-collective --no-gradient-reduce-div-fusion --overlap-param-gather-with-optimizer-step
            --overlap-p2p-communication-warmup-flush --microbatch-group-size-per-virtual-pipeline-stage=
            --pipeline-model-parallel-comm-backend= --defer-embedding-wgrad-compute --wgrad-deferral-limit=
            --high-priority-stream-groups=* --use-nccl-ub --disable-symmetric-registration --nccl-communicator-config-path=
            --use-sharp --sharp-enabled-group= --use-tp-pp-dp-mapping --disable-jit-fuser --create-all-gather-group
            --tp-comm-overlap-cfg= --tp-comm-bootstrap-backend= --tp-comm-overlap-rs-dgrad --disable-tp-comm-overlap-ag
            --disable-tp-comm-overlap-rs --disable-tp-comm-bulk-dgrad --disable-tp-comm-bulk-wgrad --disable-tp-comm-split-ag
            --disable-tp-comm-split-rs --no-tp-comm-overlap-ag --no-tp-comm-overlap-rs --no-tp-comm-bulk-dgrad
            --no-tp-comm-bulk-wgrad --no-tp-comm-split-ag --no-tp-comm-split-rs --no-async-tensor-model-parallel-allreduce
            --disable-async-tensor-model-parallel-allreduce --disable-clone-scatter-output-in-embedding""", _SPEED),
        taken("--data-parallel-sharding-strategy=", "so unless --use-distributed-optimizer", only="no_shard",
            otherwise="belongs to FSDP, which is not there; use --use-distributed-optimizer"),
        taken("--outer-dp-sharding-strategy=", "nothing is sharded twice", only="no_shard", otherwise="is not there"),
        taken("--num-distributed-optimizer-instances=", "there is one", only="1", otherwise="only 1 is there"),
        refused("--model-parallel-size=", "is gone from Megatron-LM too; use --tensor-model-parallel-size"),
        refused("--hierarchical-context-parallel-sizes=* --hybrid-context-parallel --max-seqlen-per-dp-cp-rank=",
            "is not there; all of --context-parallel-size share each sample alike"),
        refused("--use-torch-fsdp2 --use-megatron-fsdp --use-custom-fsdp", "is not there; use --use-distributed-optimizer"),
        refused("""--torch-fsdp2-no-reshard-after-forward --fsdp-double-buffer --fsdp-manual-registration
            --suggested-communication-unit-size= --keep-fp8-transpose-cache --enable-full-sharding-in-hsdp
            --init-model-with-meta-device""", "FSDP is not there"),
        refused("--ddp-reduce-scatter-with-fp32-accumulation", "is not there; gradients travel in fp32"),
        refused("--standalone-embedding-stage", "is not there; use --account-for-embedding-in-pipeline-split"),
        refused("--pipeline-model-parallel-split-rank= --lazy-mpu-init= --fake-process-group", "is not there"),
    ),
    section("Data",
        ours("""--data-path --split --train-data-path --valid-data-path --test-data-path --data-args-path --data-cache-path
            --no-mmap-bin-files --mock-data --num-workers"""),
        taken("--dataloader-type=", "the only one", only="single", otherwise="is not there; use single"),
        taken("--no-create-attention-mask-in-dataloader", "no mask is ever built"),
        taken("""--num-dataset-builder-threads= --dataloader-fast-cache-load --dataloader-defer-npy-index-mmap
            --per-dataset-sequences-path=""", _SPEED),
        taken("--mid-level-dataset-surplus=", "sample i is a function of the seed and i, without surplus"),
        taken("--allow-ambiguous-pad-tokens", "samples have no padding"),
        taken("--sample-rate=", "1 is all", only="1 1.0", otherwise="taking a part is not there"),
        refused("--per-split-data-args-path=", "is not there; use --train-data-path, --valid-data-path and --test-data-path"),
        ours("--reset-position-ids --reset-attention-mask --eod-mask-loss"),
        refused("--object-storage-cache-path= --phase-transition-iterations=", "is not there"),
        becomes("--fim-data", objective="fill_in_middle"),
        ours("--mask-prob"),
        ours("--fim-rate --fim-spm-rate --fim-prefix-token --fim-middle-token --fim-suffix-token"),
        refused("--fim-split-sample= --fim-fragment-rate=", "is not there; each document is cut, or none of it"),
        refused("--fim-no-prefix= --fim-pad-token= --fim-eod-token=", "is not there; nothing is padded or ended anew here"),
    ),
    section("Tokenizer",
        ours("""--tokenizer-type --tokenizer-model --vocab-size --vocab-file --merge-file --tiktoken-pattern
            --tiktoken-num-special-tokens"""),
        taken("--vocab-extra-ids=", "0 adds none", only="0", otherwise="belongs to T5, which is not there"),
        taken("--legacy-tokenizer --tokenizer-hf-use-fast --tokenizer-hf-no-use-fast", "there is one implementation"),
        taken("--trust-remote-code", "no tokenizer brings code of its own"),
        taken("--tokenizer-hf-no-include-special-tokens", "no begin or end tokens are added"),
        taken("--null-tokenizer-pad-id=", "samples have no padding"),
        taken("--tiktoken-special-tokens=* --tokenizer-special-tokens=*", "these are their names",
            only="<unk> <s> </s> <mask> <pad> <cls> <sep>", otherwise="other names of special tokens are not there"),
        refused("--null-tokenizer-eod-id=", "is not there: the last id ends a document"),
        refused("--chat-template= --no-tokenizer-sentencepiece-ignore-extra-whitespaces", "is not there"),
        refused("--padded-vocab-size=", "is not there; use --make-vocab-size-divisible-by"),
        refused("--no-pad-vocab-size --disable-pad-vocab-size", "is not there; use --make-vocab-size-divisible-by 1"),
        refused("--tokenizer-metadata=", "is not there; --tokenizer-type and --tokenizer-model say it"),
        refused("--tokenizer-hf-include-special-tokens", "no begin or end tokens are added; use --append-eod in preprocessing"),
        refused("--tokenizer-sentencepiece-legacy", "a special token's name in a text is text here"),
        programs=(PRETRAIN, PREPROCESS),
    ),
    section("Checkpoints",
        ours("""--save --load --save-interval --async-save --ckpt-step --finetune --no-load-optim --no-load-rng
            --use-checkpoint-args"""),
        becomes("--persistent-save-interval=", save_interval=...),
        becomes("--most-recent-k=", keep_last=...),
        becomes("--save-retain-interval=", keep_every=..., keep_last=1),
        taken("--ckpt-format= --dist-ckpt-format=", "the only one", only="torch_dist", otherwise="only torch_dist is there"),
        taken("--use-dist-ckpt --ckpt-fully-parallel-save --ckpt-fully-parallel-load", "every process has its part"),
        taken("--dist-ckpt-optim-fully-reshardable --auto-detect-ckpt-format", "a checkpoint fits every layout"),
        taken("--distrib-optim-fully-reshardable-mem-efficient", "no process ever holds the whole state"),
        taken("""--no-ckpt-fully-parallel-save --ckpt-assume-constant-structure --use-persistent-ckpt-worker
            --ckpt-fully-parallel-load-exchange-algo= --ckpt-fully-parallel-save-process-group=
            --ckpt-fully-parallel-load-process-group= --async-strategy= --async-ckpt-cpu-priority= --async-ckpt-io-priority=
            --async-ckpt-use-cpu-shm""", _SPEED),
        taken("--exit-on-missing-checkpoint", "a --load without a checkpoint ends the run"),
        taken("--dist-ckpt-strictness=", "what is missing or unknown ends the run",
            only="assume_ok_unexpected raise_unexpected raise_all", otherwise="a checkpoint must fit; use raise_all"),
        taken("--no-use-tokenizer-model-from-checkpoint-args --disable-use-tokenizer-model-from-checkpoint-args",
            "the flags name the tokenizer"),
        taken("--load-main-params-from-ckpt", "weights are loaded in fp32"),
        taken("--verify-integrity", "checkpoints are checked when they are read"),
        taken("--no-save-tokenizer-assets --disable-save-tokenizer-assets", "tokenizer files stay where they are"),
        refused("--use-mp-args-from-checkpoint-args", "is not there: a checkpoint fits every layout"),
        refused("--no-save-optim --no-save-rng", "a checkpoint is whole here; leave it out"),
        refused("--pretrained-checkpoint=", "is not there; use --load with --finetune"),
        refused("""--non-persistent-save-interval= --non-persistent-ckpt-type= --non-persistent-global-ckpt-dir=
            --non-persistent-local-ckpt-dir= --non-persistent-local-ckpt-algo= --replication --replication-jump=""",
            "is not there; use --async-save"),
        refused("""--replication-factor= --dist-ckpt-save-pre-mcore-014 --no-strict-fsdp-dtensor-load
            --disable-strict-fsdp-dtensor-load --ckpt-convert-format= --ckpt-convert-save=
            --ckpt-convert-update-legacy-dist-opt-format --ckpt-fully-parallel-save-replicate-local
            --ckpt-fully-parallel-load-replicate-local --no-ckpt-load-validate-sharding-integrity
            --disable-ckpt-load-validate-sharding-integrity --save-params-interval= --save-wgrads-interval=
            --save-dgrads-interval= --save-activations-interval= --save-tokens-per-expert-interval=""", "is not there"),
        refused("--adlr-autoresume --adlr-autoresume-interval=", "is not there; use --exit-signal-handler"),
    ),
    section("Logging and profiling",
        ours("--log-interval --tensorboard-dir --profile --profile-step-start --profile-step-end --profile-ranks --nvtx-ranges"),
        taken("--log-throughput --log-progress", "always shown"),
        taken("--log-straggler", "a slow process is always named"),
        taken("--tensorboard-log-interval=", "TensorBoard follows --log-interval"),
        taken("--use-pytorch-profiler", "--profile's trace is PyTorch's"),
        taken("""--tensorboard-queue-size= --no-log-loss-scale-to-tensorboard --disable-log-loss-scale-to-tensorboard
            --log-world-size-to-tensorboard --log-timers-to-tensorboard --log-validation-ppl-to-tensorboard
            --log-memory-to-tensorboard --log-throughput-to-tensorboard --throughput-window-size= --memory-keys=
            --log-l2-norm-grad-to-tensorboard --log-runtime-to-tensorboard --runtime-time-unit= --no-filter-warnings
            --modules-to-filter=* --set-level-for-all-loggers --save-config-filepath= --log-params-norm --log-num-zeros-in-grad
            --log-max-attention-logit --log-energy --log-memory-interval= --log-device-memory-used
            --timing-log-level= --timing-log-option= --no-barrier-with-level-1-timing --disable-straggler-on-startup
            --straggler-ctrlr-port= --straggler-minmax-count= --logging-level=""", _UNSHOWN),
        taken("--config-logger-dir=", "run.yaml in --save holds the configuration"),
        taken("""--no-one-logger --one-logger-project= --one-logger-run-name= --one-logger-async --app-tag-run-name=
            --app-tag-run-version=""", "NVIDIA's own service"),
        refused("--wandb-project= --wandb-exp-name= --wandb-save-dir= --wandb-entity=",
            "Weights & Biases is not there; metrics are in metrics.jsonl of --save and in --tensorboard-dir"),
        refused("""--record-memory-history --memory-snapshot-path= --pytorch-profiler-collect-shapes
            --pytorch-profiler-collect-callstack --record-shapes --pytorch-profiler-collect-chakra --run-workload-inspector-server
            --flight-recorder-dump-path= --flight-recorder-trace-buffer-size= --flight-recorder-include-stack-trace
            --no-flight-recorder-dump-on-timeout --no-flight-recorder-include-only-active --no-flight-recorder-extra-dump-on-exec
            """, "is not there; use --profile"),
        refused("""--enable-ft-package --calc-ft-timeouts --ft-num-warmup-iters= --inprocess-restart --inprocess-max-iterations=
            --inprocess-granularity= --inprocess-monitor-thread-interval= --inprocess-monitor-process-interval=
            --inprocess-progress-watchdog-interval= --inprocess-heartbeat-interval= --inprocess-soft-timeout=
            --inprocess-hard-timeout= --inprocess-heartbeat-timeout= --inprocess-barrier-timeout= --inprocess-completion-timeout=
            --inprocess-last-call-wait= --inprocess-termination-grace-time= --inprocess-active-world-size=
            --inprocess-empty-cuda-cache""", "a scheduler restarts a run"),
    ),
    section("Not the pretraining of a decoder",
        refused("""--retro-project-dir= --retro-add-retriever --retro-cyclic-train-iters= --retro-encoder-layers=
            --retro-encoder-hidden-dropout= --retro-encoder-attention-dropout= --retro-num-neighbors=
            --retro-num-retrieved-chunks= --retro-attention-gate= --retro-no-verify-neighbor-count""", "Retro is not there"),
        refused("""--output-bert-embeddings --bert-embedder-type= --bert-load= --ict-head-size= --ict-load=
            --biencoder-projection-dim= --biencoder-shared-query-context-model --titles-data-path= --query-in-block-prob=
            --use-one-sent-docs --evidence-data-path= --retriever-report-topk-accuracies=* --retriever-score-scaling
            --block-data-path= --embedding-path= --indexer-batch-size= --indexer-log-interval= --short-seq-prob=
            --retriever-seq-length=""", "retrieval is not there"),
        refused("""--num-classes= --img-h= --img-w= --num-channels= --patch-dim= --classes-fraction= --data-per-class-fraction=
            --no-data-sharding --head-lr-mult= --vision-pretraining --vision-pretraining-type= --vision-backbone-type=
            --swin-backbone-type= --mask-type= --mask-factor= --iter-per-epoch= --dino-local-img-size= --dino-local-crops-number=
            --dino-head-hidden-size= --dino-bottleneck-size= --dino-freeze-last-layer= --dino-norm-last-layer
            --dino-warmup-teacher-temp= --dino-teacher-temp= --dino-warmup-teacher-temp-epochs= --mrope-section=*""",
            "images are not there"),
        refused("""--perform-rl-step --rl-prompts-per-eval= --grpo-prompts-per-step= --grpo-group-size= --grpo-iterations=
            --grpo-clamp-eps-lower= --grpo-clamp-eps-upper= --grpo-kl-beta= --grpo-entropy-term-weight=
            --grpo-filter-groups-with-same-reward --grpo-default-temperature= --grpo-default-top-p=
            --langrl-inference-server-type= --langrl-inference-server-conversation-template= --langrl-external-server
            --langrl-env-config= --refit-method= --rl-default-temperature= --rl-default-top-p= --rl-default-top-k=
            --rl-offload-optimizer-during-inference --rl-offload-kv-cache-during-training --rl-remove-kv-cache-during-training
            --rl-reset-cuda-graphs --rl-partial-rollouts --rl-inference-logprobs-is-correction
            --rl-importance-sampling-truncation-coef= --rl-calculate-intra-group-similarity --rl-use-sequence-packing
            --rl-sequence-packing-bin-size= --rl-sequence-packing-max-sequences-per-bin= --rl-sequence-packing-algo=
            --rl-training-cuda-graphs --rl-inference-tensor-model-parallel-size= --rl-inference-pipeline-model-parallel-size=
            --rl-inference-expert-model-parallel-size= --rl-inference-expert-tensor-model-parallel-size=
            --rl-inference-model-unified-memory-level= --rl-offload-inference-model-weights-when-idle
            --rl-verify-model-weights-swap --rl-parallel-generation-tasks= --rl-skip-bos-token""",
            "reinforcement learning is not there"),
        refused("--sft --sft-tokenizer-prompt-format=", "fine-tuning on dialogues is not there"),
        refused("""--inference-batch-times-seqlen-threshold= --max-tokens-to-oom= --flash-decode --use-legacy-static-engine
            --inference-max-requests= --inference-max-seq-length= --inference-max-batch-size= --inference-dynamic-batching
            --inference-dynamic-batching-buffer-size-gb= --inference-dynamic-batching-paused-buffer-size-gb=
            --inference-dynamic-batching-mamba-memory-ratio= --inference-dynamic-batching-block-size=
            --inference-dynamic-batching-buffer-guaranteed-fraction= --inference-dynamic-batching-buffer-overflow-factor=
            --inference-dynamic-batching-max-requests-override= --inference-dynamic-batching-max-tokens-override=
            --inference-dynamic-batching-max-requests= --inference-dynamic-batching-max-tokens=
            --inference-dynamic-batching-num-cuda-graphs= --inference-dynamic-batching-track-paused-request-events
            --inference-dynamic-batching-track-generated-token-events --decode-only-cuda-graphs
            --inference-dynamic-batching-unified-memory-level= --inference-dynamic-batching-cuda-graph-max-tokens=
            --inference-dynamic-batching-cuda-graph-mixed-prefill-count= --symmetric-ar-type= --nccl-all-reduce-for-prefill
            --mlp-chunks-for-prefill= --disable-chunked-prefill --enable-chunked-prefill --inference-wandb-logging-step-interval=
            --inference-logging-step-interval= --inference-wandb-logging --inference-coordinator-port=
            --inference-fuse-tp-communication""", "belongs to inference; tools/generate.py generates"),
    ),
    section("tools/preprocess_data.py",
        ours("--input --json-keys --append-eod --output-prefix --workers --log-interval"),
        becomes("--vocab=", vocab_file=...),
        taken("--partitions= --keep-sequential-samples", "documents keep their order, whatever the number of workers"),
        taken("--dataset-impl=",
            "the only one", only="mmap", otherwise="is not there; files are .bin and .idx, as mmap makes them"),
        refused("--split-sentences --keep-newlines --lang=", "belongs to BERT, which is not there: a document is one sequence"),
        refused("--find-optimal-num-workers --workers-to-check=* --max-documents= --performance-dir=",
            "is not there; --workers is all cores unless given"),
        programs=(PREPROCESS,),
    ),
)


def rows(program: str) -> dict[str, Row]:
    """The rows that a program knows, by option."""
    return {row.option: row for part in SECTIONS for row in part.rows if program in row.programs}
