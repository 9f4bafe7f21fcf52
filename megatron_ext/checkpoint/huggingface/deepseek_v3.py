"""DeepSeek-V3 and R1 (arXiv:2412.19437): latent attention, the first layers dense, then experts by sigmoid in groups, balanced by
a bias, beside shared ones. Layers that predict further tokens follow the last; the copies of the embedding and the output
matrix that DeepSeek's own folders hold beside them are left out."""

import dataclasses

from megatron_ext.checkpoint.conversion import experts, llama_like
from megatron_ext.checkpoint.conversion.mapping import in_fp32, same

ARCHITECTURE = "DeepseekV3ForCausalLM"
DEFAULTS = {"num_key_value_heads": 128, "max_position_embeddings": 4096, "q_lora_rank": 1536, "n_group": 8, "topk_group": 4,
            "routed_scaling_factor": 2.5, "norm_topk_prob": True}  # fmt: skip
_COUNTS = ("num_nextn_predict_layers", "num_mtp_layers")
_OURS, _THEIRS = "decoder.layers.*.self_attention.", "model.layers.*.self_attn."
_ATTENTION = {
    "linear_q_proj": "q_proj",
    "linear_q_down_proj": "q_a_proj",
    "q_layernorm": "q_a_layernorm",
    "linear_q_up_proj": "q_b_proj",
    "linear_kv_down_proj": "kv_a_proj_with_mqa",
    "kv_layernorm": "kv_a_layernorm",
    "linear_kv_up_proj": "kv_b_proj",
    "linear_proj": "o_proj",
}
TENSORS = (
    llama_like.EMBEDDINGS
    | {_OURS + ours: same(_THEIRS + theirs) for ours, theirs in _ATTENTION.items()}
    | llama_like.NORMS
    | llama_like.MLP
    | experts.tensors("mlp")
    | {"decoder.layers.*.mlp.router.expert_bias": in_fp32("model.layers.*.mlp.gate.e_score_correction_bias")}
    | experts.shared("shared_experts")
)


IGNORED = (r"^model\.layers\.\d+\.(embed_tokens|shared_head\.head)\.weight$",)
_FURTHER = {"enorm": "enorm", "hnorm": "hnorm", "eh_proj": "eh_proj", "final_layernorm": "shared_head.norm"}


def tensors(values):
    """The layers that predict further tokens are numbered on from the model's last."""
    behind = f"model.layers.*+{values['num_layers']}."
    within = {name: rule for name, rule in TENSORS.items() if name.startswith("decoder.layers.*.")}
    return (
        TENSORS
        | {f"mtp.layers.*.{ours}": same(behind + theirs) for ours, theirs in _FURTHER.items()}
        | {
            name.replace("decoder.layers.*.", "mtp.layers.*.transformer_layer."): dataclasses.replace(
                rule, names=tuple(theirs.replace("model.layers.*.", behind) for theirs in rule.names)
            )
            for name, rule in within.items()
        }
    )


def in_folder(settings, names):
    """transformers saves a model without its further layers, and goes on counting them in config.json."""
    first = f"model.layers.{settings.get('num_hidden_layers')}."
    missing = not any(name.startswith(first) for name in names)
    return dict.fromkeys(_COUNTS, 0) if missing else {}


def flags(settings):
    heads = settings.get("num_attention_heads")
    settings.only("attention_bias", False)
    settings.only("num_key_value_heads", heads)
    if settings.get("rms_norm_eps", default=1e-6) != 1e-6:
        settings.refuse("rms_norm_eps", settings.get("rms_norm_eps"), "this class has 1e-06 in some norms, and here all have one")
    plain, rotated = settings.get("qk_nope_head_dim"), settings.get("qk_rope_head_dim")
    return llama_like.flags(settings) | _experts(settings) | dict(
        num_query_groups=heads,
        kv_channels=plain + rotated,
        multi_latent_attention=True,
        qk_layernorm=True,
        q_lora_rank=settings.get("q_lora_rank", default=None),
        kv_lora_rank=settings.get("kv_lora_rank"),
        qk_head_dim=plain,
        qk_pos_emb_head_dim=rotated,
        v_head_dim=settings.get("v_head_dim"),
        rotary_interleaved=settings.get("rope_interleave", default=True),
        mtp_num_layers=settings.get(*_COUNTS, default=0),
    )  # fmt: skip


def _experts(settings):
    layers, dense = settings.get("num_hidden_layers"), settings.get("first_k_dense_replace", default=3)
    if dense >= layers:
        return {}
    for key, value in (("scoring_func", "sigmoid"), ("topk_method", "noaux_tc"), ("moe_layer_freq", 1)):
        settings.only(key, value)
    chosen, width, beside = (settings.get(key) for key in ("num_experts_per_tok", "moe_intermediate_size", "n_shared_experts"))
    settings.only("norm_topk_prob", chosen > 1)
    if beside == 0:
        settings.refuse("n_shared_experts", 0, "this class has some")
    return _groups(settings, chosen) | dict(
        num_experts=settings.get("n_routed_experts"),
        moe_layer_freq=experts.where([layer >= dense for layer in range(layers)]),
        moe_router_topk=chosen,
        moe_ffn_hidden_size=width,
        moe_shared_expert_intermediate_size=beside * width,
        moe_router_score_function="sigmoid",
        moe_router_topk_scaling_factor=float(settings.get("routed_scaling_factor", default=1.0)),
        moe_router_enable_expert_bias=True,
        moe_router_load_balancing_type=("seq_aux_loss" if settings.get("seq_aux", default=True) else "aux_loss",),
        moe_aux_loss_coeff=(float(settings.get("aux_loss_alpha", default=0.0)),),
    )


def _groups(settings, chosen):
    """A group's score is the sum of its two best; in ours, of as many as are chosen of each."""
    groups, of_them = settings.get("n_group", default=1), settings.get("topk_group", default=1)
    if groups == of_them:
        return {}
    if chosen != 2 * of_them:
        settings.refuse("topk_group", of_them, f"there is half of num_experts_per_tok {chosen}, or as many as n_group {groups}")
    return dict(moe_router_num_groups=groups, moe_router_group_topk=of_them)


def config(values):
    sizes = ("kv_lora_rank", "qk_head_dim", "qk_pos_emb_head_dim", "v_head_dim")
    rank, plain, rotated, value = (values[name] or 1 for name in sizes)  # 1: of a model without
    keys = llama_like.config(values) | {
        "head_dim": rotated,
        "q_lora_rank": values["q_lora_rank"],
        "kv_lora_rank": rank,
        "qk_nope_head_dim": plain,
        "qk_rope_head_dim": rotated,
        "v_head_dim": value,
        "rope_interleave": values["rotary_interleaved"],
        "attention_bias": False,
        "num_nextn_predict_layers": values["mtp_num_layers"] or 0,
    }
    if values["num_experts"] is None:
        return keys | {"first_k_dense_replace": values["num_layers"]}
    width, beside = values["moe_ffn_hidden_size"], values["moe_shared_expert_intermediate_size"]
    return keys | {
        "first_k_dense_replace": experts.layers_with_experts(values).index(True),
        "moe_layer_freq": 1,
        "n_routed_experts": values["num_experts"],
        "n_shared_experts": 0 if beside is None else beside // width,
        "moe_intermediate_size": width,
        "num_experts_per_tok": values["moe_router_topk"],
        "n_group": values["moe_router_num_groups"] or 1,
        "topk_group": values["moe_router_group_topk"] or 1,
        "scoring_func": values["moe_router_score_function"],
        "topk_method": "noaux_tc",
        "norm_topk_prob": values["moe_router_topk"] > 1,
        "routed_scaling_factor": values["moe_router_topk_scaling_factor"] or 1.0,
        "aux_loss_alpha": values["moe_aux_loss_coeff"][0],
        "seq_aux": values["moe_router_load_balancing_type"][0] == "seq_aux_loss",
    }
