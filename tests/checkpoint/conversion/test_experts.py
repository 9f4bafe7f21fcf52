"""Which layers have experts, in Qwen's keys and in ours; what the classes with experts have nothing for, in both directions."""

from __future__ import annotations

import itertools

import pytest

from megatron_ext.arguments.config import PRESETS
from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint.conversion import experts
from megatron_ext.checkpoint.conversion.families import family_for, family_of, resolved
from megatron_ext.checkpoint.conversion.settings import Settings
from megatron_ext.models.moe.layers import with_experts
from megatron_ext.training.configuration import read_configuration

BASE = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=6, intermediate_size=80, num_experts_per_tok=2)
MIXTRAL = BASE | dict(model_type="mixtral", num_local_experts=4)
QWEN2 = BASE | dict(model_type="qwen2_moe", num_experts=4, moe_intermediate_size=24, shared_expert_intermediate_size=40)
QWEN3 = BASE | dict(model_type="qwen3_moe", num_local_experts=4, moe_intermediate_size=24, head_dim=8)
DEEPSEEK = BASE | dict(
    model_type="deepseek_v3", num_key_value_heads=6, q_lora_rank=None, kv_lora_rank=28, qk_nope_head_dim=10, qk_rope_head_dim=6,
    v_head_dim=14, n_routed_experts=16, n_shared_experts=2, moe_intermediate_size=24, num_experts_per_tok=4, n_group=4,
    topk_group=2, first_k_dense_replace=1, norm_topk_prob=True)  # fmt: skip


def flags(keys):
    settings = Settings(keys, "folder/config.json")
    return family_of(settings).flags(settings)


@pytest.mark.parametrize("layers", list(itertools.product((False, True), repeat=5))[1:])
def test_layers_are_the_same_in_all_ways_to_say_it(layers):
    frequency = experts.where(layers)
    assert with_experts(frequency, 5) == layers
    keys = experts.qwen_keys(resolved({"num_layers": 5, "num_experts": 4, "moe_layer_freq": frequency}))
    found = experts.qwen(Settings(keys | {"num_hidden_layers": 5}))
    assert with_experts(found["moe_layer_freq"], 5) == layers


def test_how_it_is_said():
    assert experts.where([True] * 3) == "1"
    assert experts.where([False] * 3 + [True] * 58) == "[0]*3+[1]*58"
    keys = [
        experts.qwen_keys(resolved({"num_layers": 4, "num_experts": 4, "moe_layer_freq": pattern}))
        for pattern in ("1", "[0,1]*2", "[1,0]*2")
    ]
    assert [(each["decoder_sparse_step"], each["mlp_only_layers"]) for each in keys] == [(1, []), (2, []), (1, [1, 3])]


@pytest.mark.parametrize(("normalised", "pre_softmax"), [(True, False), (False, True)])
def test_weights_that_sum_to_one_are_a_softmax_over_the_chosen(normalised, pre_softmax):
    for keys in (QWEN2, QWEN3):
        assert flags(keys | {"norm_topk_prob": normalised})["moe_router_pre_softmax"] is pre_softmax
    assert flags(MIXTRAL)["moe_router_pre_softmax"] is False


@pytest.mark.parametrize(("groups", "of_them", "found"), [(4, 2, (4, 2)), (4, 4, (None, None)), (1, 1, (None, None))])
def test_groups_of_which_all_are_chosen_are_none(groups, of_them, found):
    values = flags(DEEPSEEK | {"n_group": groups, "topk_group": of_them})
    assert (values["moe_router_num_groups"], values["moe_router_group_topk"]) == found


REFUSED = [
    (MIXTRAL, {"router_jitter_noise": 0.1}, "router_jitter_noise is 0.1"),
    (MIXTRAL, {"num_experts_per_tok": 1}, "num_experts_per_tok is 1, which is not there; its weight would be 1 whatever"),
    (MIXTRAL, {"num_local_experts": None}, "has no num_experts"),
    (QWEN2, {"use_sliding_window": True}, "use_sliding_window is true"),
    (DEEPSEEK, {"attention_bias": True}, "attention_bias is true"),
    (DEEPSEEK, {"num_key_value_heads": 2}, "num_key_value_heads is 2, which is not there; there is 6"),
    (DEEPSEEK, {"rms_norm_eps": 1e-5}, "rms_norm_eps is 1e-05, which is not there; this class has 1e-06 in some norms"),
    (DEEPSEEK, {"norm_topk_prob": False}, "norm_topk_prob is false"),
    (DEEPSEEK, {"scoring_func": "softmax"}, 'scoring_func is "softmax"'),
    (DEEPSEEK, {"topk_method": "greedy"}, 'topk_method is "greedy"'),
    (DEEPSEEK, {"moe_layer_freq": 2}, "moe_layer_freq is 2"),
    (DEEPSEEK, {"n_shared_experts": 0}, "n_shared_experts is 0"),
    (DEEPSEEK, {"topk_group": 1}, "topk_group is 1, which is not there; there is half of num_experts_per_tok 4, or"),
    (DEEPSEEK, {"rope_scaling": {"type": "yarn", "factor": 40}}, 'rope_scaling is {"type": "yarn", "factor": 40}'),
]


@pytest.mark.parametrize(("keys", "changed", "said"), REFUSED)
def test_what_there_is_nothing_for_is_refused(keys, changed, said):
    with pytest.raises(UserError) as refused:
        flags(keys | changed)
    assert str(refused.value).startswith("folder/config.json: ") and said in str(refused.value)


CANNOT = [
    (MIXTRAL, {"moe_router_score_function": "sigmoid"}, "--moe-router-score-function sigmoid"),
    (MIXTRAL, {"moe_shared_expert_intermediate_size": 40}, "--moe-shared-expert-intermediate-size 40"),
    (MIXTRAL, {"num_experts": None}, "--num-experts None"),
    (MIXTRAL, {"mtp_num_layers": 1}, "--mtp-num-layers 1"),
    (QWEN2, {"moe_shared_expert_gate": False}, "--moe-shared-expert-gate False"),
    (QWEN3, {"moe_router_topk_scaling_factor": 2.0}, "--moe-router-topk-scaling-factor 2.0"),
    (DEEPSEEK, {"moe_shared_expert_intermediate_size": 40}, "--moe-shared-expert-intermediate-size 40"),
    (DEEPSEEK, {"moe_router_enable_expert_bias": False}, "--moe-router-enable-expert-bias False"),
    (DEEPSEEK, {"moe_layer_freq": "[1,0,1]"}, "--moe-layer-freq [True, False, True]"),
]


@pytest.mark.parametrize(("keys", "changed", "said"), CANNOT)
def test_what_a_class_cannot_hold_is_named(keys, changed, said):
    with pytest.raises(UserError, match=" cannot hold this model: ") as refused:
        family_for(flags(keys) | changed, keys["model_type"])
    assert said in str(refused.value)


@pytest.mark.parametrize("keys", [MIXTRAL, QWEN2, QWEN3, DEEPSEEK])
def test_what_is_of_training_alone_goes_into_any_class(keys):
    balance = dict(moe_z_loss_coeff=1e-3, moe_router_load_balancing_type=("global_aux_loss",), moe_aux_loss_coeff=(0.01,),
                   moe_expert_capacity_factor=2.0, mtp_loss_scaling_factor=0.3)  # fmt: skip
    assert family_for(flags(keys) | balance).name == keys["model_type"]


# Of the config.json of each published model: what there is of experts in it.
PUBLISHED = {
    "mixtral_8x7b": dict(num_local_experts=8, num_experts_per_tok=2, intermediate_size=14336),
    "mixtral_8x22b": dict(num_local_experts=8, num_experts_per_tok=2, intermediate_size=16384),
    "qwen2_57b_a14b": dict(num_experts=64, num_experts_per_tok=8, moe_intermediate_size=2560, norm_topk_prob=False,
                           shared_expert_intermediate_size=20480, decoder_sparse_step=1),
    "qwen3_30b_a3b": dict(num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768, norm_topk_prob=True,
                          decoder_sparse_step=1, mlp_only_layers=[]),
    "qwen3_235b_a22b": dict(num_experts=128, num_experts_per_tok=8, moe_intermediate_size=1536, norm_topk_prob=True),
    "deepseek_v3_671b": dict(n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8, moe_intermediate_size=2048,
                             n_group=8, topk_group=4, first_k_dense_replace=3, routed_scaling_factor=2.5, scoring_func="sigmoid",
                             topk_method="noaux_tc", norm_topk_prob=True, q_lora_rank=1536, kv_lora_rank=512,
                             qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128, num_nextn_predict_layers=1),
}  # fmt: skip


@pytest.mark.parametrize("preset", PUBLISHED)
def test_a_published_model_has_its_published_keys(preset):
    assert preset in PRESETS.names()
    argv = f"--preset {preset} --mock-data --train-iters 1 --device cpu --tokenizer-type null --vocab-size 100".split()
    values = vars(read_configuration(argv, 1).model)
    keys = family_for(values).config(values)
    assert {name: keys[name] for name in PUBLISHED[preset]} == PUBLISHED[preset]
