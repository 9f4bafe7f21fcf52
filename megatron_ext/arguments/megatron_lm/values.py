"""Values of our flags that Megatron-LM spells otherwise, or that are not there."""

from __future__ import annotations

from megatron_ext.arguments.megatron_lm.rows import TAKEN, absent, spelled

# fmt: off
VALUES = (
    *spelled("tokenizer_type", gpt2_bpe="GPT2BPETokenizer", huggingface="HuggingFaceTokenizer", tiktoken="TikTokenizer"),
    *spelled("tokenizer_type", sentencepiece="SentencePieceTokenizer GPTSentencePieceTokenizer Llama2Tokenizer"),
    *spelled("tokenizer_type", "its last id ends a document; Megatron-LM up to core 0.16 adds one id", null="NullTokenizer"),
    *absent("tokenizer_type", "BertWordPieceLowerCase BertWordPieceCase", "belongs to BERT, which is not there"),
    *absent("tokenizer_type", "MultimodalTokenizer NullMultimodalTokenizer SFTTokenizer", "is not there"),
    *absent("recompute_granularity", "selective", "attention keeps no scores that could be recomputed", TAKEN),
    *absent("lr_decay_style", "WSD", "is not there; use cosine, linear or constant"),
    *absent("cuda_graph_impl", "transformer_engine", "is not there; use local"),
    *absent("cuda_graph_scope", "full", "all of a layer is captured unless parts are named", TAKEN),
    *absent("optimizer", "sgd muon dist_muon", "is not there; use adam"),
    *absent("position_embedding_type", "mrope yarn", "is not there; use rope, learned_absolute or none"),
    *spelled("position_embedding_type", t5_bias="relative"),
    *absent("transformer_impl", "inference_optimized", "belongs to inference; use transformer_engine or local"),
    *absent("moe_token_dispatcher_type", "flex", "is not there; use alltoall"),
    *spelled("optimizer", its_own=False, adam="adamw"),
    *spelled("position_embedding_type", its_own=False, learned_absolute="learned", rope="rotary"),
    *spelled("transformer_impl", its_own=False, transformer_engine="te"),
)
