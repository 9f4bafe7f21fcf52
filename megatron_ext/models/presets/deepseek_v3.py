"""DeepSeek-V3, 671 B parameters, of which a token passes through 37 B, and a layer of 11.6 B that predicts one token more
(arXiv:2412.19437, section 4.2): `--preset deepseek-v3-671b`.

Multi-head latent attention; three dense layers, then 256 experts in each, of which a token passes through 8, from 4 of 8 groups,
and one for all. Sigmoid scores; a bias that moves by 0.001 after each update balances them, beside a loss by sequence of weight
1e-4. Samples of 4,096, 14.8 T tokens, batch 63 M = 15,360 samples, reached from 3,072 over the first 469 B tokens:
`--rampup-batch-size 3072 1536 114_501_953 --lr-warmup-iters 2000` (the paper gives the ends, not the steps).

2,000 updates of warm-up to 2.2e-4, constant until 10 T tokens, which the preset has; then cosine to 2.2e-5 over 4.3 T, and 0.5 T
at 2.2e-5 and 7.3e-6. The weight of the token beyond the next falls from 0.3 to 0.1 at 10 T; the bias stands still for the last
500 B.
"""

PRESETS = {
    "deepseek_v3_671b": dict(
        num_layers=61,
        hidden_size=7168,
        ffn_hidden_size=18432,
        num_attention_heads=128,
        seq_length=4096,
        multi_latent_attention=True,
        q_lora_rank=1536,
        kv_lora_rank=512,
        qk_head_dim=128,
        qk_pos_emb_head_dim=64,
        v_head_dim=128,
        num_experts=256,
        moe_layer_freq="[0]*3+[1]*58",
        moe_router_topk=8,
        moe_ffn_hidden_size=2048,
        moe_shared_expert_intermediate_size=2048,
        moe_router_score_function="sigmoid",
        moe_router_num_groups=8,
        moe_router_group_topk=4,
        moe_router_topk_scaling_factor=2.5,
        moe_router_enable_expert_bias=True,
        moe_router_bias_update_rate=1e-3,
        moe_router_load_balancing_type=("seq_aux_loss",),
        moe_aux_loss_coeff=(1e-4,),
        mtp_num_layers=1,
        mtp_loss_scaling_factor=0.3,
        normalization="rmsnorm",
        norm_epsilon=1e-6,
        activation="swiglu",
        position_embedding_type="rope",
        rotary_base=10000,
        rotary_interleaved=True,
        add_bias_linear=False,
        untie_embeddings_and_output_weights=True,
        init_method_std=0.006,
        global_batch_size=15360,
        train_tokens=14_800_000_000_000,
        lr=2.2e-4,
        lr_decay_style="constant",
        lr_warmup_iters=2000,
        weight_decay=0.1,
        adam_beta1=0.9,
        adam_beta2=0.95,
        clip_grad=1.0,
    )
}
