"""What the scale factors of the report's section 2.3 are for, at initialisation."""

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from unit.layers.tiny import tiny_spec

from workloads.layers.attention import MLA
from workloads.layers.moe import MoE
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings, expert_compensation
from workloads.layers.weights import initialise

torch.set_num_threads(1)
N_SEEDS = 4
FLAT = 0.25  # sampling error of a variance over the few heads and seeds here, in relative terms


@torch.no_grad()
def logit_variance(*, scale_latents, **shape):
    """Variance of query · key over tokens and heads, weights drawn from N(0, 1 / d_model)."""
    spec = tiny_spec(n_heads=16, **shape)
    variances = []
    for seed in range(N_SEEDS):
        generator = torch.Generator().manual_seed(seed)
        mla = MLA(spec, LayerSettings(scale_latents=scale_latents))
        initialise(mla, spec.hidden**-0.5, generator)
        x_BSD = torch.randn(1, 24, spec.hidden, generator=generator)
        new = mla.project(x_BSD, Rotation.at(0, 24, spec.attention.qk_rope_head_dim, 1e7, x_BSD))
        key_BCHX, _ = mla.decompress(new.entries_BSX)
        query_BSHX = torch.cat([new.nope_BSHA, new.rope_BSHP], dim=-1)
        variances.append(torch.einsum("bshx,bchx->bhsc", query_BSHX, key_BCHX).var())
    return float(torch.stack(variances).mean())


SWEEPS = {
    "d_q": [{"hidden": 256, "kv_lora_rank": 32, "q_lora_rank": d} for d in (16, 64, 256)],
    "d_kv": [{"hidden": 256, "q_lora_rank": 64, "kv_lora_rank": d} for d in (16, 64, 256)],
    "d_model": [{"hidden": d, "q_lora_rank": 64, "kv_lora_rank": 32} for d in (128, 512, 1024)],
}


@pytest.mark.parametrize("sweep", SWEEPS)
def test_with_alpha_the_variance_of_attention_logits_is_flat(sweep):
    variances = [logit_variance(scale_latents=True, **shape) for shape in SWEEPS[sweep]]
    assert max(variances) / min(variances) < 1 + FLAT


@pytest.mark.parametrize("sweep", SWEEPS)
def test_without_alpha_it_is_not(sweep):
    variances = [logit_variance(scale_latents=False, **shape) for shape in SWEEPS[sweep]]
    assert max(variances) / min(variances) > 2


@torch.no_grad()
def moe_variance(n_splits, routed_scaling):
    """Output variance of a MoE whose N experts of width F, top-K, became m N of width F / m, top m K."""
    spec = tiny_spec(hidden=128, n_routed=16 * n_splits, n_zero=0, top_k=4 * n_splits, expert_ffn=64 // n_splits)
    variances = []
    for seed in range(N_SEEDS):
        generator = torch.Generator().manual_seed(seed)
        moe = MoE(spec, LayerSettings(routed_scaling=routed_scaling))
        initialise(moe, 0.05, generator)
        variances.append(moe(torch.randn(128, spec.hidden, generator=generator)).var())
    return float(torch.stack(variances).mean())


def test_gamma_keeps_the_output_variance_when_experts_are_split():
    whole = moe_variance(1, expert_compensation(1))
    for n_splits in (2, 4, 8):
        assert moe_variance(n_splits, expert_compensation(n_splits)) == pytest.approx(whole, rel=FLAT)


def test_without_gamma_the_variance_falls_with_the_square_of_the_split():
    whole = moe_variance(1, 1.0)
    for n_splits in (2, 4, 8):
        assert moe_variance(n_splits, 1.0) == pytest.approx(whole / n_splits**2, rel=FLAT)


def test_a_split_below_one_is_refused():
    with pytest.raises(ValueError, match="n_splits: got 0"):
        expert_compensation(0)
