"""Models from Hugging Face config.json files of the families that longsim can count exactly.

Keys and their defaults are those of each family's configuration class in Hugging Face transformers.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from hw_profiles.faults import Fault, InputFaults
from workloads.config_keys import ConfigKeys
from workloads.model import NO_EXPERTS, GqaSpec, IndexerSpec, MlaSpec, ModelSpec, MoeSpec, MtpSpec, NgramSpec

CONFIG_FILE = "config.json"
LONGCAT_FFN_SHARE = 2.0 / 3.0  # K_e = 8 of 12 in LongCat-Flash, Flash-Lite and LongCat-2.0; no key of the config


def model_from_config(path_or_mapping: str | Path | Mapping[str, Any]) -> ModelSpec:
    """Return the model that a Hugging Face config describes: a parsed config.json, its path, or its directory.

    Raises InputFaults (a ValueError, one line per fault) for a file that cannot be read, an architecture that is none
    of FAMILIES, and every missing, malformed or unsupported key at once.
    """
    config, name = _read(path_or_mapping)
    family = _family(config)
    keys = ConfigKeys(config)
    title = name or str(config.get("_name_or_path") or family).rstrip("/").rpartition("/")[2]
    model = FAMILIES[family](keys, title)
    keys.check()
    return model


def _read(source: str | Path | Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the config and the name of the directory that it stands in ("" for a mapping)."""
    if isinstance(source, Mapping):
        return source, ""
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except ValueError as error:  # JSON and UTF-8 faults
        raise _unreadable(path, str(error)) from None
    if not isinstance(config, dict):
        raise _unreadable(path, f"a JSON {type(config).__name__}")
    return config, path.resolve().parent.name if path.name == CONFIG_FILE else path.stem


def _unreadable(path: Path, reason: str) -> InputFaults:
    allowed = f"a readable {CONFIG_FILE} with a JSON object"
    return InputFaults([Fault(field=str(path), got=reason, allowed=allowed, remedy="check the file")])


def _family(config: Mapping[str, Any]) -> str:
    """Return the family by model_type, else by architecture; InputFaults with the list for any other."""
    architectures = config.get("architectures")
    names = architectures if isinstance(architectures, list) else []
    found = [config.get("model_type"), *(ARCHITECTURES.get(str(name)) for name in names)]
    family = next((str(word) for word in found if word in FAMILIES), None)
    if family is None:
        got = repr(config.get("model_type")) + (f" ({', '.join(map(str, names))})" if names else "")
        allowed = ", ".join(sorted(FAMILIES))
        remedy = "use a config of one of these families, or model_overrides on a model of the zoo"
        raise InputFaults([Fault(field="model_type", got=got, allowed=allowed, remedy=remedy)])
    return family


def _deepseek(keys: ConfigKeys, name: str) -> ModelSpec:
    """MLA, leading dense layers, then MoE with shared experts: DeepSeek-V3, Kimi-K2, GLM-5."""
    keys.refuse("attention_bias", [False], "biases of MLA projections are not modelled")
    keys.refuse("moe_layer_freq", [1], "only leading dense layers are modelled")
    keys.refuse("cli_factor", [1], "in layers of one attention, an indexer that several share is not modelled")
    return ModelSpec(
        name=name, title=name, block="moe", hidden=keys.count("hidden_size"), n_layers=keys.count("num_hidden_layers"),
        attention=_mla(keys), dense_ffn=keys.count("intermediate_size"),
        n_dense_layers=keys.count("first_k_dense_replace", least=0),
        moe=_sigmoid_moe(keys), vocab=keys.count("vocab_size"), tied_embeddings=keys.flag("tie_word_embeddings"),
        indexer=_indexer(keys), mtp=_mtp(keys, "moe", default=0),
    )  # fmt: skip


def _glm4(keys: ConfigKeys, name: str) -> ModelSpec:
    """GQA with partial rotary embedding, leading dense layers, then MoE with shared experts: GLM-4.5, GLM-4.6."""
    return ModelSpec(
        name=name, title=name, block="moe", hidden=keys.count("hidden_size"), n_layers=keys.count("num_hidden_layers"),
        attention=_gqa(keys, qk_norm=keys.flag("use_qk_norm"), o_bias=False),
        dense_ffn=keys.count("intermediate_size"), n_dense_layers=keys.count("first_k_dense_replace", least=0),
        moe=_sigmoid_moe(keys), vocab=keys.count("vocab_size"), tied_embeddings=keys.flag("tie_word_embeddings"),
        mtp=_mtp(keys, "moe", default=0),
    )  # fmt: skip


def _longcat(keys: ConfigKeys, name: str) -> ModelSpec:
    """ScMoE layers with zero-computation experts; n-gram tables where the config names them. One dense draft head
    where it says nothing of them, as in the release."""
    keys.refuse("attention_bias", [False], "biases of MLA projections are not modelled")
    keys.refuse("attention_method", ["MLA", "LSA"], "only MLA and its sparse form are modelled")
    keys.refuse("cli_factor", [1, 2], "an indexer is one attention's, or shared by the two of a layer")
    keys.refuse("zero_expert_type", ["identity"], "only identity experts cost nothing")
    top_k = keys.count("moe_topk", "num_experts_per_tok")
    n_zero = keys.count_or_null("zero_expert_num")
    return ModelSpec(
        name=name, title=name, block="scmoe", hidden=keys.count("hidden_size"), n_layers=keys.count("num_layers"),
        attention=_mla(keys), dense_ffn=keys.count("ffn_hidden_size", "intermediate_size"),
        moe=MoeSpec(
            n_routed_experts=keys.count("n_routed_experts"), n_zero_experts=n_zero, top_k=top_k,
            mean_ffn_experts=top_k * LONGCAT_FFN_SHARE if n_zero else float(top_k),
            expert_ffn=keys.count("expert_ffn_hidden_size", "moe_intermediate_size"), correction_bias=True,
        ),
        vocab=keys.count("vocab_size"), tied_embeddings=keys.flag("tie_word_embeddings"),
        indexer=_indexer(keys), mtp=_mtp(keys, "dense", default=1), ngram=_ngram(keys),
    )  # fmt: skip


def _qwen3_moe(keys: ConfigKeys, name: str) -> ModelSpec:
    """GQA with normalised queries and keys, MoE in every layer: Qwen3-235B-A22B, Qwen3-30B-A3B."""
    keys.refuse("decoder_sparse_step", [1], "only MoE in every layer is modelled")
    keys.refuse("mlp_only_layers", [[]], "only MoE in every layer is modelled")
    _refuse_sliding_window(keys)
    return ModelSpec(
        name=name, title=name, block="moe", hidden=keys.count("hidden_size"), n_layers=keys.count("num_hidden_layers"),
        attention=_gqa(keys, qk_norm=True), dense_ffn=keys.count("intermediate_size"),
        moe=_softmax_moe(keys, "moe_intermediate_size"), vocab=keys.count("vocab_size"),
        tied_embeddings=keys.flag("tie_word_embeddings"),
    )  # fmt: skip


def _mixtral(keys: ConfigKeys, name: str) -> ModelSpec:
    """GQA and MoE in every layer: Mixtral-8x7B, Mixtral-8x22B."""
    keys.refuse("sliding_window", [], "sliding windows are not modelled")
    return ModelSpec(
        name=name, title=name, block="moe", hidden=keys.count("hidden_size"), n_layers=keys.count("num_hidden_layers"),
        attention=_gqa(keys), dense_ffn=keys.count("intermediate_size"),
        moe=_softmax_moe(keys, "intermediate_size"), vocab=keys.count("vocab_size"),
        tied_embeddings=keys.flag("tie_word_embeddings"),
    )  # fmt: skip


def _llama(keys: ConfigKeys, name: str) -> ModelSpec:
    """GQA and a dense SwiGLU FFN: Llama 2 and 3."""
    keys.refuse("mlp_bias", [False], "biases of the FFN are not modelled")
    return _dense(keys, name, _gqa(keys, mha_by_default=True))


def _qwen3(keys: ConfigKeys, name: str) -> ModelSpec:
    """GQA with normalised queries and keys and a dense SwiGLU FFN: Qwen3-0.6B to 32B."""
    _refuse_sliding_window(keys)
    return _dense(keys, name, _gqa(keys, qk_norm=True))


def _dense(keys: ConfigKeys, name: str, attention: GqaSpec) -> ModelSpec:
    return ModelSpec(
        name=name, title=name, block="dense", hidden=keys.count("hidden_size"),
        n_layers=keys.count("num_hidden_layers"), attention=attention,
        dense_ffn=keys.count("intermediate_size"), moe=NO_EXPERTS, vocab=keys.count("vocab_size"),
        tied_embeddings=keys.flag("tie_word_embeddings"),
    )  # fmt: skip


FAMILIES: Mapping[str, Callable[[ConfigKeys, str], ModelSpec]] = {
    "deepseek_v3": _deepseek,
    "deepseek_v32": _deepseek,
    "glm4_moe": _glm4,
    "glm_moe_dsa": _deepseek,
    "kimi_k2": _deepseek,
    "llama": _llama,
    "longcat_flash": _longcat,
    "longcat_flash_ngram": _longcat,
    "mixtral": _mixtral,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
}
ARCHITECTURES: Mapping[str, str] = {
    "DeepseekV3ForCausalLM": "deepseek_v3",
    "DeepseekV32ForCausalLM": "deepseek_v32",
    "Glm4MoeForCausalLM": "glm4_moe",
    "GlmMoeDsaForCausalLM": "glm_moe_dsa",
    "LlamaForCausalLM": "llama",
    "LongcatCausalLM": "longcat_flash",
    "LongcatFlashForCausalLM": "longcat_flash",
    "LongcatFlashNgramForCausalLM": "longcat_flash_ngram",
    "MixtralForCausalLM": "mixtral",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
}


def _mla(keys: ConfigKeys) -> MlaSpec:
    return MlaSpec(
        n_heads=keys.count("num_attention_heads"),
        q_lora_rank=keys.count_or_null("q_lora_rank"),
        kv_lora_rank=keys.count("kv_lora_rank"),
        qk_nope_head_dim=keys.count("qk_nope_head_dim"),
        qk_rope_head_dim=keys.count("qk_rope_head_dim"),
        v_head_dim=keys.count("v_head_dim"),
    )


def _gqa(
    keys: ConfigKeys, *, qk_norm: bool = False, o_bias: bool | None = None, mha_by_default: bool = False
) -> GqaSpec:
    """`attention_bias` biases queries, keys, values and, unless `o_bias` says otherwise, the output projection.
    `mha_by_default`: a config without key-value heads has as many as heads."""
    n_heads, bias = keys.count("num_attention_heads"), keys.flag("attention_bias")
    return GqaSpec(
        n_heads=n_heads,
        n_kv_heads=keys.count("num_key_value_heads", default=n_heads if mha_by_default else None),
        head_dim=keys.count("head_dim", default=keys.count("hidden_size") // n_heads),
        qk_norm=qk_norm,
        qkv_bias=bias,
        o_bias=bias if o_bias is None else o_bias,
    )


def _sigmoid_moe(keys: ConfigKeys) -> MoeSpec:
    """DeepSeek-V3's router: a correction bias per expert, shared experts as wide as the routed ones."""
    top_k, width = keys.count("num_experts_per_tok"), keys.count("moe_intermediate_size")
    n_shared = keys.count_or_null("n_shared_experts")
    keys.refuse("topk_method", ["noaux_tc"], "only the router with a correction bias is modelled")
    return MoeSpec(
        n_routed_experts=keys.count("n_routed_experts"), n_zero_experts=0, top_k=top_k, mean_ffn_experts=float(top_k),
        expert_ffn=width, n_shared_experts=n_shared, shared_ffn=width if n_shared else 0, correction_bias=True,
        n_expert_groups=keys.count("n_group", default=1), n_limited_groups=keys.count("topk_group", default=1),
    )  # fmt: skip


def _softmax_moe(keys: ConfigKeys, width: str) -> MoeSpec:
    top_k = keys.count("num_experts_per_tok")
    return MoeSpec(
        n_routed_experts=keys.count("num_experts", "num_local_experts"), n_zero_experts=0, top_k=top_k,
        mean_ffn_experts=float(top_k), expert_ffn=keys.count(width),
    )  # fmt: skip


def _mtp(keys: ConfigKeys, ffn: Literal["dense", "moe"], *, default: int) -> MtpSpec | None:
    n_heads = keys.count("num_nextn_predict_layers", "mtp_num_layers", "num_nextn_layers", default=default, least=0)
    return MtpSpec(n_layers=n_heads, ffn=ffn) if n_heads else None


def _indexer(keys: ConfigKeys) -> IndexerSpec | None:
    """The indexer of DeepSeek Sparse Attention and of LongCat's; none where the config names no `index_topk`."""
    if not keys.has("index_topk"):
        return None
    return IndexerSpec(
        n_heads=keys.count("index_n_heads"), head_dim=keys.count("index_head_dim"), top_k=keys.count("index_topk"),
        n_initial=keys.count("index_init_tokens", default=0, least=0),
        n_local=keys.count("index_local_tokens", default=0, least=0), sharing=keys.count("cli_factor", default=1),
    )  # fmt: skip


def _ngram(keys: ConfigKeys) -> NgramSpec | None:
    if not keys.has("ngram_vocab_size_ratio", "oe_vocab_size_ratio"):
        return None
    return NgramSpec(
        ratio=keys.number("ngram_vocab_size_ratio", "oe_vocab_size_ratio"),
        n_neighbours=keys.count("emb_neighbor_num", "oe_neighbor_num", least=2),
        n_splits=keys.count("emb_split_num", "oe_split_num"),
    )


def _refuse_sliding_window(keys: ConfigKeys) -> None:
    keys.refuse("use_sliding_window", [False], "sliding windows are not modelled")
