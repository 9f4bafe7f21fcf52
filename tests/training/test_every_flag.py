"""No dead flags: for each flag of a training run, what changes with it, or which test shows that.

A flag that is missing from the table fails the test, so that a new flag comes with its proof.
"""

from __future__ import annotations

import pathlib

import pytest

from megatron_ext.arguments.flags import flags_of
from megatron_ext.training.configuration import GROUPS
from tests.layouts.training_case import outcome

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = ["--preset", "tiny", "--num-layers", "2", "--mock-data", "--tokenizer-type", "null", "--vocab-size", "200",
        "--train-iters", "3", "--global-batch-size", "4", "--micro-batch-size", "2", "--seq-length", "16",
        "--lr-warmup-iters", "1", "--untie-embeddings-and-output-weights"]  # fmt: skip
EXPERTS = ["--num-experts", "4"]
EXPERT_GROUPS = ["--moe-router-group-topk", "1", "--moe-router-num-groups"]
BALANCED = [*EXPERTS, "--moe-aux-loss-coeff", "10"]
SIGMOID = [*EXPERTS, "--moe-router-score-function", "sigmoid"]
BIASED = [*SIGMOID, "--moe-router-enable-expert-bias"]
FURTHER = ["--mtp-num-layers", "1"]
CAPACITY = [*EXPERTS, "--moe-expert-capacity-factor", "0.5"]
DEEPNORM = ["--norm-placement", "deepnorm"]
ALIBI = ["--position-embedding-type", "alibi"]
XL = ["--position-embedding-type", "transformer_xl", "--memory-length", "3"]
WIDE = ["--lr", "1e-2"]
XPOS, T5_BIAS = (["--position-embedding-type", value] for value in ("xpos", "t5_bias"))
FEW_BUCKETS = [*T5_BIAS, "--relative-attention-num-buckets", "8"]
LATENT = ["--num-query-groups", "4", "--multi-latent-attention"]
WINDOW = ["--attention-pattern", "sliding_window", "--sliding-window", "5"]

# flag: the flags to compare with and without, beside BASE; losses of three updates must differ.
CHANGES_LOSS = {
    "num_layers": ([], ["--num-layers", "3"]),
    "hidden_size": ([], ["--hidden-size", "32"]),
    "ffn_hidden_size": ([], ["--ffn-hidden-size", "64"]),
    "num_attention_heads": ([], ["--num-attention-heads", "8"]),
    "num_query_groups": ([], ["--num-query-groups", "4"]),
    "kv_channels": ([], ["--kv-channels", "8"]),
    "seq_length": ([], ["--seq-length", "8"]),
    "normalization": ([], ["--normalization", "layernorm"]),
    "norm_epsilon": ([], ["--norm-epsilon", "0.1"]),
    "activation": ([], ["--activation", "gelu"]),
    "position_embedding_type": ([], ["--position-embedding-type", "none"]),
    "rotary_base": ([], ["--rotary-base", "3"]),
    "rotary_percent": ([], ["--rotary-percent", "0.5"]),
    "untie_embeddings_and_output_weights": ([], ["--no-untie-embeddings-and-output-weights"]),
    "hidden_dropout": ([], ["--hidden-dropout", "0.5"]),
    "attention_dropout": ([], ["--attention-dropout", "0.5"]),
    "activation_dropout": ([], ["--activation-dropout", "0.5"]),
    "init_method_std": ([], ["--init-method-std", "0.1"]),
    "rotary_interleaved": ([], ["--rotary-interleaved"]),
    "alibi_scale_by_head_dim": (ALIBI, [*ALIBI, "--alibi-scale-by-head-dim"]),
    "segment_length": (XL, [*XL, "--segment-length", "5"]),
    "memory_length": (XL, [*XL[:-1], "2"]),
    "xpos_scale_base": (XPOS, [*XPOS, "--xpos-scale-base", "9"]),
    "relative_attention_max_distance": (FEW_BUCKETS, [*FEW_BUCKETS, "--relative-attention-max-distance", "9"]),
    "norm_placement": ([], ["--norm-placement", "sandwich"]),
    "deepnorm_alpha": (DEEPNORM, [*DEEPNORM, "--deepnorm-alpha", "9"]),
    "deepnorm_beta": (DEEPNORM, [*DEEPNORM, "--deepnorm-beta", "9"]),
    "apply_residual_connection_post_layernorm": ([], ["--apply-residual-connection-post-layernorm"]),
    "parallel_residual": ([], ["--parallel-residual"]),
    "embedding_scale": ([], ["--embedding-scale", "9"]),
    "logit_scale": ([], ["--logit-scale", "9"]),
    "final_logit_softcapping": ([], ["--final-logit-softcapping", "0.1"]),
    "attention_pattern": ([], WINDOW),
    "z_loss_coeff": (WIDE, [*WIDE, "--z-loss-coeff", "10"]),
    "objective": ([], ["--objective", "prefix_lm"]),
    "sliding_window": (WINDOW, [*WINDOW[:-1], "2"]),
    "attn_logit_softcapping": ([], ["--attn-logit-softcapping", "0.01"]),
    "softmax_scale": ([], ["--softmax-scale", "3"]),
    "multi_latent_attention": (LATENT[:-1], LATENT),
    "num_experts": ([], EXPERTS),
    "moe_router_topk": (EXPERTS, [*EXPERTS, "--moe-router-topk", "1"]),
    "moe_ffn_hidden_size": (EXPERTS, [*EXPERTS, "--moe-ffn-hidden-size", "32"]),
    "mtp_loss_scaling_factor": (FURTHER, [*FURTHER, "--mtp-loss-scaling-factor", "9"]),
    "moe_router_score_function": (EXPERTS, [*EXPERTS, "--moe-router-score-function", "sigmoid"]),
    "moe_router_pre_softmax": (EXPERTS, [*EXPERTS, "--moe-router-pre-softmax"]),
    "moe_router_topk_scaling_factor": (EXPERTS, [*EXPERTS, "--moe-router-topk-scaling-factor", "3"]),
    "moe_router_num_groups": (EXPERTS, [*EXPERTS, *EXPERT_GROUPS, "2"]),
    "moe_router_group_topk": ([*EXPERTS, *EXPERT_GROUPS, "2"], [*EXPERTS, *EXPERT_GROUPS, "2", "--moe-router-group-topk", "2"]),
    "moe_aux_loss_coeff": (EXPERTS, BALANCED),
    "moe_router_load_balancing_type": (BALANCED, [*BALANCED, "--moe-router-load-balancing-type", "aux_loss"]),
    "moe_z_loss_coeff": (EXPERTS, [*EXPERTS, "--moe-z-loss-coeff", "1"]),
    "moe_router_enable_expert_bias": (SIGMOID, BIASED),
    "moe_router_bias_update_rate": (BIASED, [*BIASED, "--moe-router-bias-update-rate", "0.1"]),
    "moe_expert_capacity_factor": (EXPERTS, CAPACITY),
    "moe_token_drop_policy": (CAPACITY, [*CAPACITY, "--moe-token-drop-policy", "probs"]),
    "vocab_size": ([], ["--vocab-size", "100"]),
    "global_batch_size": ([], ["--global-batch-size", "8"]),
    "seed": ([], ["--seed", "7"]),
    "bf16": ([], ["--bf16"]),
    "lr": ([], ["--lr", "1e-2"]),
    "min_lr": ([], ["--min-lr", "0"]),
    "lr_decay_style": (["--lr-decay-iters", "9"], ["--lr-decay-iters", "9", "--lr-decay-style", "linear"]),
    "lr_decay_iters": ([], ["--lr-decay-iters", "9"]),
    "lr_warmup_iters": ([], ["--lr-warmup-iters", "2"]),
    "lr_warmup_init": (["--lr-warmup-iters", "2"], ["--lr-warmup-iters", "2", "--lr-warmup-init", "1e-4"]),
    "decoupled_lr": ([], ["--decoupled-lr", "1e-2"]),
    "decoupled_min_lr": (["--decoupled-lr", "1e-2"], ["--decoupled-lr", "1e-2", "--decoupled-min-lr", "5e-3"]),
    "weight_decay": ([], ["--weight-decay", "9"]),
    "adam_beta1": ([], ["--adam-beta1", "0.1"]),
    "adam_beta2": ([], ["--adam-beta2", "0.1"]),
    "adam_eps": ([], ["--adam-eps", "1e-2"]),
    "clip_grad": (["--adam-eps", "1e-2"], ["--adam-eps", "1e-2", "--clip-grad", "0.01"]),
}

# flag: flags that change which parameters there are, or their shapes.
CHANGES_PARAMETERS = {
    "add_bias_linear": ["--add-bias-linear"],
    "add_qkv_bias": ["--add-qkv-bias"],
    "qk_layernorm": ["--qk-layernorm"],
    "qk_layernorm_across_heads": ["--qk-layernorm", "--no-qk-layernorm-across-heads", "--qk-layernorm-across-heads"],
    "relative_attention_num_buckets": FEW_BUCKETS,
    "relative_attention_bias_per_layer": [
        *T5_BIAS,
        "--no-relative-attention-bias-per-layer",
        "--relative-attention-bias-per-layer",
    ],
    "mtp_num_layers": FURTHER,
    "moe_layer_freq": [*EXPERTS, "--moe-layer-freq", "2"],
    "moe_shared_expert_intermediate_size": [*EXPERTS, "--moe-shared-expert-intermediate-size", "32"],
    "moe_shared_expert_gate": [
        *EXPERTS,
        "--moe-shared-expert-intermediate-size",
        "32",
        "--no-moe-shared-expert-gate",
        "--moe-shared-expert-gate",
    ],
    "q_lora_rank": [*LATENT, "--q-lora-rank", "24"],
    "kv_lora_rank": [*LATENT, "--kv-lora-rank", "24"],
    "qk_head_dim": [*LATENT, "--qk-head-dim", "8"],
    "qk_pos_emb_head_dim": [*LATENT, "--qk-pos-emb-head-dim", "4"],
    "v_head_dim": [*LATENT, "--v-head-dim", "8"],
    "norm_bias": ["--normalization", "layernorm", "--norm-bias", "--no-norm-bias"],
    "share_parallel_norm": ["--parallel-residual", "--share-parallel-norm"],
    "add_attention_output_bias": ["--add-attention-output-bias"],
    "add_mlp_bias": ["--add-mlp-bias"],
    "add_output_bias": ["--add-output-bias"],
    "embedding_norm": ["--embedding-norm"],
    "make_vocab_size_divisible_by": ["--make-vocab-size-divisible-by", "8"],
    "max_position_embeddings": ["--position-embedding-type", "learned_absolute", "--max-position-embeddings", "32"],
}

# flag: the test that shows what it does.
SHOWN_ELSEWHERE = {
    "megatron_defaults": "tests/arguments/megatron_lm/test_defaults.py::test_what_brings_megatron_lms",
    "preset": "tests/arguments/test_config.py::test_command_line_beats_yaml_beats_preset_beats_default",
    "lr_warmup_fraction": "tests/optim/schedules/test_schedules.py::test_default_warm_up_and_end",
    "lr_decay_samples": "tests/optim/schedules/test_schedules.py::test_samples_replace_updates",
    "lr_warmup_samples": "tests/optim/schedules/test_schedules.py::test_samples_replace_updates",
    "rampup_batch_size": "tests/training/test_batch_size.py::test_the_run_grows_and_says_so",
    "context_parallel_size": "tests/layouts/test_context_parallel.py::test_equals_one_process",
    "cp_comm_type": "tests/models/test_config.py::test_flag_reaches_megatron_cores_configuration",
    "prefix_length": "tests/objectives/test_prefix_lm.py::test_the_document_in_two",
    "prefix_end_token": "tests/objectives/test_prefix_lm.py::test_the_data_says_where_a_prefix_ends",
    "span_corruption_rate": "tests/objectives/test_span_corruption.py::test_rates_are_met",
    "mean_span_length": "tests/objectives/test_span_corruption.py::test_rates_are_met",
    "fim_rate": "tests/objectives/test_fill_in_middle.py::test_rates",
    "fim_spm_rate": "tests/objectives/test_fill_in_middle.py::test_rates",
    "fim_prefix_token": "tests/objectives/test_fill_in_middle.py::test_sentinels_that_are_not_there_are_said",
    "fim_middle_token": "tests/objectives/test_fill_in_middle.py::test_sentinels_that_are_not_there_are_said",
    "fim_suffix_token": "tests/objectives/test_fill_in_middle.py::test_sentinels_that_are_not_there_are_said",
    "gmask_rate": "tests/objectives/test_blank_infilling.py::test_rates",
    "blank_rate": "tests/objectives/test_blank_infilling.py::test_rates",
    "mean_blank_length": "tests/objectives/test_blank_infilling.py::test_rates",
    "mask_token": "tests/objectives/test_denoising.py::test_the_mask_may_have_another_name",
    "mask_prob": "tests/objectives/test_masked_lm.py::test_the_share_can_be_another",
    "whole_word_masking": "tests/objectives/test_masked_lm.py::test_whole_words",
    "sentence_task": "tests/objectives/test_masked_lm.py::test_labels_of_sentences_are_even",
    "permute_sentences_rate": "tests/objectives/test_denoising.py::test_sentences_are_shuffled_whole",
    "infill_rate": "tests/objectives/test_denoising.py::test_what_is_given_lacks_spans_alone",
    "infill_mean": "tests/objectives/test_denoising.py::test_spans_are_poissons",
    "token_mask_rate": "tests/objectives/test_denoising.py::test_rates_of_single_tokens",
    "token_replace_rate": "tests/objectives/test_denoising.py::test_rates_of_single_tokens",
    "token_delete_rate": "tests/objectives/test_denoising.py::test_rates_of_single_tokens",
    "rotate_rate": "tests/objectives/test_denoising.py::test_a_document_may_begin_in_its_middle",
    "ul2_denoisers": "tests/objectives/test_mixture_of_denoisers.py::test_others_by_yaml",
    "architecture": "tests/models/test_architecture_flags.py::test_who_sees_whom_by_default",
    "encoder_num_layers": "tests/models/test_architecture_flags.py::test_two_stacks_are_one_after_the_other",
    "decoder_num_layers": "tests/models/test_architecture_flags.py::test_two_stacks_are_one_after_the_other",
    "encoder_seq_length": "tests/models/test_architecture_flags.py::test_two_stacks_are_one_after_the_other",
    "decoder_seq_length": "tests/models/test_architecture_flags.py::test_two_stacks_are_one_after_the_other",
    "decoder_start_token_id": "tests/objectives/reading/test_samples.py::test_a_pair_that_is_longer_than_its_room_is_cut",
    "bert_binary_head": "tests/planner/test_parameters.py::test_encoders_and_decoders_are_counted",
    "num_tokentypes": "tests/planner/test_parameters.py::test_encoders_and_decoders_are_counted",
    "reset_position_ids": "tests/models/test_documents.py::test_each_flag_has_its_part",
    "reset_attention_mask": "tests/models/test_documents.py::test_each_flag_has_its_part",
    "eod_mask_loss": "tests/objectives/test_causal_lm.py::test_what_follows_a_document_is_no_target",
    "fp16": "tests/training/test_fp16.py::test_agrees_with_fp32",
    "loss_scale": "tests/training/test_fp16.py::test_a_constant_scale_never_changes",
    "initial_loss_scale": "tests/training/test_fp16.py::test_an_overflow_is_skipped_and_the_scale_halves",
    "min_loss_scale": "tests/training/test_fp16.py::test_the_scale_has_a_lower_end",
    "loss_scale_window": "tests/training/test_fp16.py::test_an_overflow_is_skipped_and_the_scale_halves",
    "hysteresis": "tests/training/test_fp16.py::test_an_overflow_is_skipped_and_the_scale_halves",
    "apply_layernorm_1p": "tests/training/test_kernels.py::test_one_plus_weight_is_the_same_model",
    "cross_entropy_loss_fusion": "tests/training/test_kernels.py::test_fused_cross_entropy_equals_the_plain_one",
    "attention_backend": "tests/training/test_kernels.py::test_attention_kernel_is_the_one_asked_for",
    "grad_reduce_in_bf16": "tests/training/test_kernels.py::test_gradients_are_added_up_in_bf16",
    "manual_gc": "tests/training/test_kernels.py::test_garbage_is_collected_by_hand",
    "manual_gc_interval": "tests/training/test_kernels.py::test_garbage_is_collected_by_hand",
    "empty_unused_memory_level": "tests/training/test_kernels.py::test_unused_memory_is_given_back",
    "nvtx_ranges": "tests/training/test_kernels.py::test_nvtx_ranges_mark_megatron_cores_steps",
    "fp8_format": "tests/models/test_config.py::test_flag_reaches_megatron_cores_configuration",
    "fp8_recipe": "tests/models/test_config.py::test_flag_reaches_megatron_cores_configuration",
    "fp8_amax_history_len": "tests/models/test_config.py::test_flag_reaches_megatron_cores_configuration",
    "fp8_amax_compute_algo": "tests/models/test_config.py::test_flag_reaches_megatron_cores_configuration",
    "fp8_param_gather": "tests/models/test_config.py::test_flag_reaches_megatron_cores_configuration",
    "tp_comm_overlap": "tests/training/test_kernels.py::test_overlap_of_tensor_parallel_communication_has_its_buffers",
    "gradient_accumulation_fusion": "tests/models/test_config.py::test_flag_reaches_megatron_cores_configuration",
    "cuda_graph_impl": "tests/models/test_config.py::test_flag_reaches_megatron_cores_configuration",
    "cuda_graph_scope": "tests/models/test_config.py::test_scope_of_cuda_graphs_reaches_megatron_cores_configuration",
    "cuda_graph_warmup_steps": "tests/models/test_config.py::test_flag_reaches_megatron_cores_configuration",
    "optimizer": "tests/arguments/test_registry.py::test_every_value_is_a_file_that_says_what_it_is",
    "zero_stage": "tests/training/test_spread.py::test_zero_stage_1_shards_the_state",
    "overlap_grad_reduce": "tests/training/test_spread.py::test_overlap_reaches_megatron_core",
    "overlap_param_gather": "tests/training/test_spread.py::test_overlap_reaches_megatron_core",
    "tensor_model_parallel_size": "tests/training/test_spread.py::test_layout_is_what_was_asked_for",
    "pipeline_model_parallel_size": "tests/training/test_spread.py::test_layout_is_what_was_asked_for",
    "num_virtual_stages_per_pipeline_rank": "tests/training/test_spread.py::test_layout_is_what_was_asked_for",
    "num_layers_per_virtual_pipeline_stage": "tests/training/test_spread.py::test_layout_is_what_was_asked_for",
    "decoder_first_pipeline_num_layers": "tests/training/test_spread.py::test_stages_hold_what_was_asked_for",
    "decoder_last_pipeline_num_layers": "tests/training/test_spread.py::test_stages_hold_what_was_asked_for",
    "account_for_embedding_in_pipeline_split": "tests/training/test_spread.py::test_stages_hold_what_was_asked_for",
    "account_for_loss_in_pipeline_split": "tests/training/test_spread.py::test_stages_hold_what_was_asked_for",
    "pipeline_model_parallel_layout": "tests/training/test_spread.py::test_stages_hold_what_was_asked_for",
    "expert_model_parallel_size": "tests/training/test_spread.py::test_layout_is_what_was_asked_for",
    "expert_tensor_parallel_size": "tests/training/test_spread.py::test_layout_is_what_was_asked_for",
    "sequence_parallel": "tests/training/test_spread.py::test_layout_is_what_was_asked_for",
    "moe_token_dispatcher_type": "tests/training/test_spread.py::test_dispatcher_is_what_was_asked_for",
    "micro_batch_size": "tests/training/test_spread.py::test_micro_batches_are_cut_as_asked",
    "recompute_granularity": "tests/training/test_spread.py::test_recompute_runs_layers_again",
    "recompute_num_layers": "tests/training/test_spread.py::test_recompute_num_layers_sets_the_stretch",
    "transformer_impl": "tests/backend/test_kernels.py::test_whose_layers_run",
    "device": "tests/backend/test_distributed.py::test_device",
    "distributed_timeout_minutes": "tests/training/test_spread.py::test_timeout_ends_a_collective_that_does_not_complete",
    "train_iters": "tests/arguments/test_config.py::test_length_given_by_hand_replaces_the_presets",
    "train_samples": "tests/arguments/test_config.py::test_length_in_tokens_or_samples_is_rounded_up_to_updates",
    "train_tokens": "tests/arguments/test_config.py::test_length_in_tokens_or_samples_is_rounded_up_to_updates",
    "eval_interval": "tests/training/test_run.py::test_evaluation",
    "multiple_validation_sets": "tests/training/test_evaluate.py::test_sets_are_shown_by_name_and_all_together",
    "full_validation": "tests/training/test_evaluate.py::test_whole_sets_count_each_target_once",
    "eval_iters": "tests/training/test_run.py::test_evaluation",
    "exit_interval": "tests/training/test_resume.py::test_stopped_and_resumed_equals_straight_bit_by_bit",
    "exit_duration_in_mins": "tests/training/test_run.py::test_stops_after_a_time",
    "exit_signal": "tests/reliability/test_stopping.py::test_another_signal",
    "exit_signal_handler": "tests/reliability/test_stopping.py::test_without_the_handler_the_signal_is_not_ours",
    "save": "tests/training/test_resume.py::test_stopped_and_resumed_equals_straight_bit_by_bit",
    "save_interval": "tests/training/test_run.py::test_saves_at_the_interval",
    "save_hf_interval": "tests/training/test_huggingface.py::test_folders_are_written_while_it_trains",
    "load": "tests/training/test_run.py::test_load_starts_from_another_folder",
    "async_save": "tests/checkpoint/test_store.py::test_in_the_background_the_same_is_saved",
    "keep_last": "tests/checkpoint/test_store.py::test_keeps_as_many_as_asked",
    "keep_every": "tests/checkpoint/test_store.py::test_keeps_as_many_as_asked",
    "ckpt_step": "tests/checkpoint/test_store.py::test_ckpt_step_takes_that_one",
    "finetune": "tests/checkpoint/test_store.py::test_finetune_takes_the_weights_alone",
    "no_load_optim": "tests/checkpoint/test_store.py::test_no_load_optim_takes_all_but_the_moments",
    "no_load_rng": "tests/checkpoint/test_store.py::test_no_load_rng_leaves_the_generators_as_the_seed_gives_them",
    "extend_vocab_from": "tests/training/test_extended_vocabulary.py::test_it_says_what_became_of_the_rows_and_goes_on",
    "extend_vocab_new_rows": "tests/checkpoint/test_extended_vocabulary.py::test_new_rows_may_be_those_of_a_new_run",
    "extend_vocab_tokenizer": "tests/training/test_extended_vocabulary.py::test_the_tokenizer_is_the_checkpoints_own",
    "override_opt_param_scheduler": "tests/checkpoint/test_store.py::test_another_schedule_is_refused_unless_accepted",
    "use_checkpoint_args": "tests/checkpoint/test_megatron_lm.py::test_its_arguments_name_a_difference_and_can_be_taken",
    "log_interval": "tests/training/test_run.py::test_log_interval",
    "tensorboard_dir": "tests/training/test_run.py::test_tensorboard",
    "profile": "tests/monitor/test_trace.py::test_trace_holds_the_updates_asked_for",
    "profile_step_start": "tests/monitor/test_trace.py::test_trace_holds_the_updates_asked_for",
    "profile_step_end": "tests/monitor/test_trace.py::test_trace_holds_the_updates_asked_for",
    "profile_ranks": "tests/monitor/test_trace.py::test_trace_holds_the_updates_asked_for",
    "mock_data": "tests/training/test_run.py::test_real_data_by_prefix_and_split",
    "data_path": "tests/training/test_run.py::test_real_data_by_prefix_and_split",
    "split": "tests/training/test_run.py::test_real_data_by_prefix_and_split",
    "valid_data_path": "tests/training/test_run.py::test_real_data_by_prefix_and_split",
    "train_data_path": "tests/data/test_build.py::test_sets_of_their_own_leave_all_for_training",
    "test_data_path": "tests/training/test_evaluate.py::test_test_data_is_evaluated_once_at_the_end",
    "data_args_path": "tests/data/test_build.py::test_a_file_of_data_paths",
    "data_cache_path": "tests/tools/test_prepare_cache.py::test_a_run_finds_what_was_prepared",
    "shared_storage": "tests/training/test_data.py::test_nodes_with_disks_of_their_own_must_hold_the_same_data",
    "mmap_bin_files": "tests/data/test_build.py::test_files_are_mapped_where_asked",
    "num_workers": "tests/training/test_data.py::test_workers_are_threads",
    "accept_changed_data": "tests/training/test_data.py::test_changed_data_is_refused_and_moved_data_is_not",
    "tokenizer_type": "tests/tokenizers/test_flags.py::test_the_kind_is_seen_from_the_file_or_its_folder",
    "tokenizer_model": "tests/tokenizers/test_flags.py::test_the_kind_is_seen_from_the_file_or_its_folder",
    "vocab_file": "tests/tokenizers/loaders/test_gpt2_bpe.py::test_ids_are_those_of_gpt2tokenizer",
    "merge_file": "tests/tokenizers/loaders/test_gpt2_bpe.py::test_ids_are_those_of_gpt2tokenizer",
    "tiktoken_num_special_tokens": "tests/tokenizers/loaders/test_tiktoken.py::test_the_number_of_special_tokens_can_be_told",
    "tiktoken_pattern": "tests/tokenizers/loaders/test_tiktoken.py::test_the_pattern_decides_what_may_be_merged",
    "eod_token": "tests/tokenizers/test_flags.py::test_the_end_token_can_be_named",
}


def test_every_flag_is_in_the_table():
    flags = {flag.name for group in GROUPS for flag in flags_of(group)}
    table = CHANGES_LOSS.keys() | CHANGES_PARAMETERS.keys() | SHOWN_ELSEWHERE.keys()
    assert flags == table, f"without a proof: {sorted(flags - table)}; no flag: {sorted(table - flags)}"


@pytest.mark.parametrize("flag", SHOWN_ELSEWHERE)
def test_the_test_that_shows_it_is_there(flag):
    path, _, name = SHOWN_ELSEWHERE[flag].partition("::")
    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def losses(pool, tmp_path_factory):
    """Losses of the run with some flags; runs are made once."""
    known: dict[tuple, list[float]] = {}

    def of(argv):
        if tuple(argv) not in known:
            run = outcome(pool, [*BASE, *argv], 1, tmp_path_factory.mktemp("run"))
            known[tuple(argv)] = [record["loss"] for record in run.records]
        return known[tuple(argv)]

    return of


@pytest.mark.parametrize("flag", CHANGES_LOSS)
def test_flag_changes_the_loss(flag, losses):
    without, with_it = CHANGES_LOSS[flag]
    assert losses(without) != losses(with_it)


@pytest.mark.parametrize("flag", CHANGES_PARAMETERS)
def test_flag_changes_the_parameters(flag, pool, tmp_path):
    before = outcome(pool, [*BASE, *CHANGES_PARAMETERS[flag][:-2]], 1, tmp_path / "before").initial
    after = outcome(pool, [*BASE, *CHANGES_PARAMETERS[flag]], 1, tmp_path / "after").initial
    assert {name: tensor.shape for name, tensor in before.items()} != {name: tensor.shape for name, tensor in after.items()}
