"""Checkpoints between Megatron-LM and here, both ways, through megatron-core's own dist_checkpointing."""

from __future__ import annotations

import pytest
import torch

from megatron_ext.arguments.problems import UserError
from tests.checkpoint.saved_run import RUN, restored, save, tensors


def named_like_megatron_lm(model):
    """Give the layers the names that Megatron-LM's own specs give."""
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec

    names = get_gpt_layer_local_spec().submodules.sharded_state_dict_keys_map
    if model.config.latent is not None:  # Transformer Engine's layers: norms in the projections that follow them
        names = {
            "self_attention.q_layernorm.": "self_attention.linear_q_up_proj.layer_norm_",
            "self_attention.kv_layernorm.": "self_attention.linear_kv_up_proj.layer_norm_",
            "pre_mlp_layernorm.": "mlp.linear_fc1.layer_norm_",
        }
    for layer in model.decoder.layers:
        layer.submodules_config.sharded_state_dict_keys_map = names


def write_as_megatron_lm(launch, argv, folder, metadata):
    """Train two updates and save with megatron-core as Megatron-LM does; returns this rank's pieces."""
    import argparse
    import multiprocessing
    import pathlib

    from megatron.core import dist_checkpointing
    from megatron.core.transformer.enums import AttnBackend

    from megatron_ext.backend.placement import unwrap
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*RUN, *argv, "--device", "cpu"], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training.build import build
        from megatron_ext.training.state import TrainState
        from megatron_ext.training.step import train_step

        run = build(config, device)
        state = TrainState(run.sharding)
        for _ in range(2):
            train_step(run, state)
        model = unwrap(run.sharding.chunks[0])
        named_like_megatron_lm(model)
        sharded = model.sharded_state_dict(metadata=metadata)
        parameters = model.sharded_state_dict(metadata=metadata)
        latent = config.model.multi_latent_attention
        arguments = argparse.Namespace(
            num_layers=2, hidden_size=64, ffn_hidden_size=192, num_attention_heads=4, group_query_attention=not latent,
            num_query_groups=2, kv_channels=16, normalization="RMSNorm", norm_epsilon=1e-5, swiglu=True,
            position_embedding_type="rope", rotary_base=10000, rotary_percent=1.0, add_bias_linear=False, add_qkv_bias=False,
            untie_embeddings_and_output_weights=False, num_experts=None, consumed_train_samples=8, seq_length=16,
            attention_backend=AttnBackend.auto, max_position_embeddings=16, multi_latent_attention=latent,
            q_lora_rank=24, kv_lora_rank=32, qk_head_dim=16, qk_pos_emb_head_dim=8, v_head_dim=12, rotary_interleaved=False,
            qk_layernorm=latent,
        )  # fmt: skip
        path = pathlib.Path(folder) / "iter_0000002"
        if launch.rank == 0:
            path.mkdir(parents=True)
        torch.distributed.barrier()
        optimizer = run.sharding.optimizer.sharded_state_dict(parameters, metadata=metadata)
        multiprocessing.current_process()._config["daemon"] = False  # megatron-core writes in processes of its own
        everything = {"args": arguments, "checkpoint_version": 3.0, "iteration": 2, "model": sharded, "optimizer": optimizer}
        dist_checkpointing.save(everything, str(path))
        return tensors(run, state)


LATENT = (
    "--num-query-groups 4 --multi-latent-attention --q-lora-rank 24 --kv-lora-rank 32 --qk-head-dim 16 --qk-pos-emb-head-dim 8 "
    "--v-head-dim 12 --rotary-interleaved"
).split()
KINDS = {
    "layers stacked": ([], 1, {}),
    "layer by layer, TP2": (["--tensor-model-parallel-size", "2"], 2, {"non_homogeneous_layers": True}),
    "distributed optimizer": (["--zero-stage", "1"], 2, {"distrib_optim_sharding_type": "fully_reshardable"}),
    "latent attention, TP2": ([*LATENT, "--tensor-model-parallel-size", "2"], 2, {"non_homogeneous_layers": True}),
    "bf16": (["--bf16", "--vocab-size", "300"], 1, {"non_homogeneous_layers": True}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_megatron_lm_loads_with_its_moments(kind, pool, tmp_path):
    argv, world_size, metadata = KINDS[kind]
    pieces = pool.run(write_as_megatron_lm, world_size, argv, str(tmp_path), metadata)
    found = pool.run(restored, world_size, [*argv, "--load", str(tmp_path)], tensors)
    for ours, theirs in zip(found, pieces, strict=True):
        for (place, *_, have), (*_, want) in zip(ours, theirs, strict=True):
            for name, tensor in want.items():
                assert torch.equal(have[name], tensor), f"{name} of {place.name}"


def read_with_megatron_core(launch, argv, folder):
    """Our checkpoint's weights as megatron-core's dist_checkpointing reads them into its own model, beside what we trained."""
    from megatron.core import dist_checkpointing

    from megatron_ext.backend.placement import unwrap
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*RUN, *argv, "--seed", "99", "--device", "cpu"], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training.build import build

        run = build(config, device)
        model = unwrap(run.sharding.chunks[0])
        named_like_megatron_lm(model)
        metadata = dist_checkpointing.load_content_metadata(folder)
        wanted = model.sharded_state_dict(metadata=metadata)
        # Without the placeholders of Transformer Engine's FP8 state (Megatron-LM: --dist-ckpt-strictness log_all).
        loaded = dist_checkpointing.load({k: v for k, v in wanted.items() if "_extra_state" not in k}, folder)
        model.load_state_dict(loaded, strict=False)
        return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize(("argv", "world_size"), [([], 1), (["--tensor-model-parallel-size", "2"], 2)])
def test_megatron_core_reads_ours(argv, world_size, pool, tmp_path):
    save(pool, tmp_path, "--zero-stage", "1", "--exit-interval", "3", world_size=2)
    theirs = pool.run(read_with_megatron_core, world_size, argv, str(tmp_path / "iter_0000003"))
    ours = pool.run(restored, world_size, [*argv, "--load", str(tmp_path)], parameters)
    for mine, found in zip(ours, theirs, strict=True):
        assert all(map(torch.equal, mine, found))


def parameters(run, state):
    from megatron_ext.backend.placement import unwrap

    return [parameter.detach().clone() for parameter in unwrap(run.sharding.chunks[0]).parameters()]


def test_its_arguments_name_a_difference_and_can_be_taken(pool, tmp_path):
    """Another base of rotary positions has the same shapes; the file tells. --use-checkpoint-args takes the file's flags."""
    pieces = pool.run(write_as_megatron_lm, 1, [], str(tmp_path), {})
    with pytest.raises(AssertionError, match="--rotary-base was 10000, is 500"):
        pool.run(restored, 1, ["--rotary-base", "500", "--load", str(tmp_path)], tensors)
    plain = ["--mock-data", "--vocab-size", "300", "--train-iters", "10", "--load", str(tmp_path), "--use-checkpoint-args"]
    (found,) = pool.run(restored, 1, plain, tensors, [])
    for (*_, have), (*_, want) in zip(found, pieces[0], strict=True):
        assert torch.equal(have["weight"], want["weight"])


def test_moments_in_buckets_are_refused_by_name(pool, tmp_path):
    """Megatron-LM's default form of a distributed optimizer's state fits only its own layout."""
    argv = ["--zero-stage", "1"]
    pool.run(write_as_megatron_lm, 2, argv, str(tmp_path), {"distrib_optim_sharding_type": "dp_reshardable"})
    with pytest.raises(AssertionError, match="no optimizer state that fits every layout; --no-load-optim"):
        pool.run(restored, 2, [*argv, "--load", str(tmp_path)], tensors)
    assert pool.run(restored, 2, [*argv, "--load", str(tmp_path), "--no-load-optim"], tensors)


def test_its_experts_are_told_by_its_arguments():
    import argparse

    from megatron_ext.checkpoint.compatibility import refuse_another_architecture
    from megatron_ext.checkpoint.megatron_lm import architecture

    arguments = dict(
        num_experts=8, moe_layer_freq=[0, 1, 1, 1], moe_router_topk=2, moe_router_score_function="sigmoid",
        moe_router_pre_softmax=False, moe_router_enable_expert_bias=True, moe_shared_expert_intermediate_size=64,
        moe_shared_expert_gate=False, mtp_num_layers=1,
    )  # fmt: skip
    found = architecture(argparse.Namespace(**arguments))
    ours = found | {"num_layers": 4, "moe_layer_freq": [0, 1, 1, 1]}
    refuse_another_architecture("it", found, ours)  # said otherwise, the same
    with pytest.raises(UserError, match="--moe-router-score-function was sigmoid, is softmax"):
        refuse_another_architecture("it", found, ours | {"moe_router_score_function": "softmax"})
    with pytest.raises(UserError, match="--moe-layer-freq was .0, 1, 1, 1., is .1, 1, 1, 1."):
        refuse_another_architecture("it", found, ours | {"moe_layer_freq": [1] * 4})
    dense = architecture(argparse.Namespace(**arguments | {"num_experts": None, "moe_layer_freq": 1}))
    assert (dense["moe_layer_freq"], dense["moe_router_score_function"]) == ("1", "softmax")
    assert dense["moe_shared_expert_intermediate_size"] is None


@pytest.mark.parametrize(
    ("arguments", "activation"),
    [
        (dict(add_bias_linear=True, bias_gelu_fusion=True), "gelu_tanh"),
        (dict(add_bias_linear=True, bias_gelu_fusion=False), "gelu"),
        (dict(add_bias_linear=False, bias_gelu_fusion=True), "gelu"),
        (dict(add_bias_linear=True, bias_gelu_fusion=True, swiglu=True), "swiglu"),
    ],
)
def test_its_gelu_is_the_tanh_form_where_bias_and_gelu_are_one_kernel(arguments, activation):
    import argparse

    from megatron_ext.checkpoint.megatron_lm import architecture

    assert architecture(argparse.Namespace(**arguments))["activation"] == activation
