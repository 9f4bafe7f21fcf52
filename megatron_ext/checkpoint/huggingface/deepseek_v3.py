"""DeepSeek-V3 and R1 (arXiv:2412.19437): latent attention, the first layers dense, then experts by sigmoid in groups, balanced by
a bias, beside shared ones. The layers that predict further tokens, behind the last, are left out, as transformers leaves them."""

from megatron_ext.checkpoint.conversion import experts, llama_like
from megatron_ext.checkpoint.conversion.mapping import in_fp32, same

ARCHITECTURE = "DeepseekV3ForCausalLM"
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


def ignored(values):
    layers = range(values["num_layers"], values["num_layers"] + 9)
    return (*llama_like.IGNORED, rf"^model\.layers\.({'|'.join(map(str, layers))})\.")


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
    rank, plain, rotated, value = (values[name] or 0 for name in sizes)
    keys = llama_like.config(values) | {
        "head_dim": rotated,
        "q_lora_rank": values["q_lora_rank"],
        "kv_lora_rank": rank,
        "qk_nope_head_dim": plain,
        "qk_rope_head_dim": rotated,
        "v_head_dim": value,
        "rope_interleave": values["rotary_interleaved"],
        "attention_bias": False,
        "num_nextn_predict_layers": 0,
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
