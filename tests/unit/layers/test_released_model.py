"""The layers against transformers' LongcatFlash: same weights, same logits."""

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")
transformers = pytest.importorskip("transformers", reason="the reference implementation is in transformers")

from unit.layers.tiny import tiny_spec

from workloads.layers.cache import LatentCache
from workloads.layers.language_model import LanguageModel
from workloads.layers.recorder import RoutingRecorder
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import from_released

torch.set_num_threads(1)
TOLERANCE = 1e-5  # float32, logits of order 1
SHAPES = [
    {},
    {"hidden": 48, "n_layers": 1, "n_heads": 2, "q_lora_rank": 24, "kv_lora_rank": 12, "top_k": 5},
    {"hidden": 64, "n_layers": 3, "n_routed": 16, "n_zero": 8, "top_k": 6, "expert_ffn": 24, "vocab": 97},
]


def reference_of(spec, seed):
    attention, moe = spec.attention, spec.moe
    config = transformers.LongcatFlashConfig(
        vocab_size=spec.vocab, hidden_size=spec.hidden, num_layers=spec.n_layers,
        num_attention_heads=attention.n_heads, ffn_hidden_size=spec.dense_ffn, q_lora_rank=attention.q_lora_rank,
        kv_lora_rank=attention.kv_lora_rank, qk_nope_head_dim=attention.qk_nope_head_dim,
        qk_rope_head_dim=attention.qk_rope_head_dim, head_dim=attention.qk_rope_head_dim,
        v_head_dim=attention.v_head_dim, moe_topk=moe.top_k, n_routed_experts=moe.n_routed_experts,
        zero_expert_num=moe.n_zero_experts, expert_ffn_hidden_size=moe.expert_ffn, max_position_embeddings=128,
        attn_implementation="eager", initializer_range=0.2,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = transformers.LongcatFlashForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in [*model.named_parameters(), *model.named_buffers()]:
            if "norm" in name:
                weight.uniform_(0.5, 1.5)
            if name.endswith("e_score_correction_bias"):
                weight.normal_(0.0, 0.1)
        model.lm_head.weight.mul_(0.2)
    return model


@pytest.fixture(params=[(seed, shape) for shape in SHAPES for seed in (0, 1)], ids=str)
def pair(request):
    seed, shape = request.param
    spec = tiny_spec(**shape)
    reference = reference_of(spec, seed)
    ours = LanguageModel(spec, LayerSettings())
    ours.load_state_dict(from_released(reference.state_dict(), spec.moe.n_routed_experts))
    ids_BS = torch.randint(spec.vocab, (2, 9), generator=torch.Generator().manual_seed(seed))
    return spec, reference, ours, ids_BS


@torch.no_grad()
def test_prefill_gives_the_reference_logits(pair):
    _, reference, ours, ids_BS = pair
    assert (ours(ids_BS) - reference(ids_BS).logits).abs().max() < TOLERANCE


@torch.no_grad()
def test_decode_on_the_latent_cache_gives_the_reference_logits(pair):
    spec, reference, ours, ids_BS = pair
    cache = LatentCache.of(spec, 2, 9, ours.embed.weight)
    prompt = reference(ids_BS[:, :5], use_cache=True)
    assert (ours(ids_BS[:, :5], cache) - prompt.logits).abs().max() < TOLERANCE
    for at in range(5, 9):
        step = reference(ids_BS[:, at : at + 1], cache=prompt.cache, use_cache=True)
        assert (ours(ids_BS[:, at : at + 1], cache) - step.logits).abs().max() < TOLERANCE


@torch.no_grad()
def test_two_tokens_verified_in_one_decode_step_give_the_prefill_logits(pair):
    spec, _, ours, ids_BS = pair
    cache = LatentCache.of(spec, 2, 9, ours.embed.weight)
    ours(ids_BS[:, :7], cache)
    assert (ours(ids_BS[:, 7:], cache) - ours(ids_BS)[:, 7:]).abs().max() < TOLERANCE


@torch.no_grad()
def test_the_comparison_has_zero_experts_and_a_bias_that_changes_choices(pair):
    _, _, ours, ids_BS = pair
    with RoutingRecorder(ours) as recorder:
        ours(ids_BS)
    biased = recorder.trace()
    for block in ours.layers:
        block.moe.router.bias_E.zero_()
    with RoutingRecorder(ours) as recorder:
        ours(ids_BS)
    assert 0 < biased.ffn_experts().mean() < biased.top_k
    assert (biased.counts() != recorder.trace().counts()).any()
