"""The keys of released Hugging Face config.json files that decide shapes, as the releases write them."""

DEEPSEEK_V3 = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "attention_bias": False,
    "first_k_dense_replace": 3, "hidden_size": 7168, "intermediate_size": 18432, "kv_lora_rank": 512,
    "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_routed_experts": 256, "n_shared_experts": 1,
    "num_attention_heads": 128, "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "tie_word_embeddings": False, "topk_method": "noaux_tc", "v_head_dim": 128, "vocab_size": 129280,
    "n_group": 8, "topk_group": 4,
}  # fmt: skip

KIMI_K2 = {
    **DEEPSEEK_V3, "model_type": "kimi_k2", "first_k_dense_replace": 1, "n_routed_experts": 384,
    "num_attention_heads": 64, "num_key_value_heads": 64, "num_nextn_predict_layers": 0, "vocab_size": 163840,
    "n_group": 1, "topk_group": 1,
}  # fmt: skip

GLM_5 = {
    **DEEPSEEK_V3, "architectures": ["GlmMoeDsaForCausalLM"], "model_type": "glm_moe_dsa", "hidden_size": 6144,
    "index_head_dim": 128, "index_n_heads": 32, "index_topk": 2048, "intermediate_size": 12288,
    "num_attention_heads": 64, "num_hidden_layers": 78,
    "num_key_value_heads": 64, "q_lora_rank": 2048, "qk_nope_head_dim": 192, "v_head_dim": 256, "vocab_size": 154880,
    "n_group": 1, "topk_group": 1,
}  # fmt: skip

GLM_4_5 = {
    "architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "attention_bias": True,
    "first_k_dense_replace": 3, "head_dim": 128, "hidden_size": 5120, "intermediate_size": 12288,
    "moe_intermediate_size": 1536, "n_routed_experts": 160, "n_shared_experts": 1, "num_attention_heads": 96,
    "num_experts_per_tok": 8, "num_hidden_layers": 92, "num_key_value_heads": 8, "num_nextn_predict_layers": 1,
    "partial_rotary_factor": 0.5, "tie_word_embeddings": False, "use_qk_norm": True, "vocab_size": 151552,
}  # fmt: skip

GLM_4_5_AIR = {
    **GLM_4_5, "first_k_dense_replace": 1, "hidden_size": 4096, "intermediate_size": 10944,
    "moe_intermediate_size": 1408, "n_routed_experts": 128, "num_hidden_layers": 46, "use_qk_norm": False,
}  # fmt: skip

LONGCAT_FLASH = {
    "architectures": ["LongcatFlashForCausalLM"], "model_type": "longcat_flash", "attention_bias": False,
    "attention_method": "MLA", "expert_ffn_hidden_size": 2048, "ffn_hidden_size": 12288, "hidden_size": 6144,
    "kv_lora_rank": 512, "moe_topk": 12, "n_routed_experts": 512, "num_attention_heads": 64, "num_layers": 28,
    "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 131072,
    "zero_expert_num": 256, "zero_expert_type": "identity",
}  # fmt: skip

LONGCAT_FLASH_LITE = {
    **LONGCAT_FLASH, "architectures": ["LongcatFlashNgramForCausalLM"], "model_type": "longcat_flash_ngram",
    "emb_neighbor_num": 4, "emb_split_num": 4, "expert_ffn_hidden_size": 1024, "ffn_hidden_size": 6144,
    "hidden_size": 3072, "n_routed_experts": 256, "ngram_vocab_size_ratio": 78, "num_attention_heads": 32,
    "num_layers": 14, "zero_expert_num": 128,
}  # fmt: skip

LONGCAT_2 = {  # without model_type, and with the older names of the n-gram keys
    **{key: value for key, value in LONGCAT_FLASH.items() if key != "model_type"},
    "architectures": ["LongcatCausalLM"], "attention_method": "LSA", "cli_factor": 2, "hidden_size": 8192,
    "index_head_dim": 128, "index_init_tokens": 16, "index_local_tokens": 1024, "index_n_heads": 32, "index_topk": 2048,
    "mtp_num_layers": 3, "n_routed_experts": 768, "num_layers": 38, "oe_neighbor_num": 5, "oe_split_num": 4,
    "oe_vocab_size_ratio": 100.567, "vocab_size": 163840, "zero_expert_num": 128,
}  # fmt: skip

QWEN3_235B = {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "attention_bias": False,
    "decoder_sparse_step": 1, "head_dim": 128, "hidden_size": 4096, "intermediate_size": 12288, "mlp_only_layers": [],
    "moe_intermediate_size": 1536, "num_attention_heads": 64, "num_experts": 128, "num_experts_per_tok": 8,
    "num_hidden_layers": 94, "num_key_value_heads": 4, "sliding_window": None, "tie_word_embeddings": False,
    "use_sliding_window": False, "vocab_size": 151936,
}  # fmt: skip

QWEN3_32B = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False, "head_dim": 128,
    "hidden_size": 5120, "intermediate_size": 25600, "num_attention_heads": 64, "num_hidden_layers": 64,
    "num_key_value_heads": 8, "tie_word_embeddings": False, "use_sliding_window": False, "vocab_size": 151936,
}  # fmt: skip

QWEN3_0_6B = {
    **QWEN3_32B, "hidden_size": 1024, "intermediate_size": 3072, "num_attention_heads": 16, "num_hidden_layers": 28,
    "tie_word_embeddings": True,
}  # fmt: skip

LLAMA_3_1_8B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "hidden_size": 4096,
    "intermediate_size": 14336, "mlp_bias": False, "num_attention_heads": 32, "num_hidden_layers": 32,
    "num_key_value_heads": 8, "tie_word_embeddings": False, "vocab_size": 128256,
}  # fmt: skip

LLAMA_3_1_70B = {
    **LLAMA_3_1_8B, "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64,
    "num_hidden_layers": 80,
}  # fmt: skip

LLAMA_2_7B = {  # names no key-value heads: as many as heads
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
    "num_attention_heads": 32, "num_hidden_layers": 32, "tie_word_embeddings": False, "vocab_size": 32000,
}  # fmt: skip

MIXTRAL_8X7B = {
    "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "num_local_experts": 8, "sliding_window": None, "tie_word_embeddings": False, "vocab_size": 32000,
}  # fmt: skip
