"""MLA: its two cores agree, its rotation is relative, its cache holds what it should."""

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from unit.layers.tiny import longcat_flash_spec, tiny_spec

from workloads.layers.attention import MLA
from workloads.layers.cache import LatentCache
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise

torch.set_num_threads(1)
SPEC = tiny_spec()
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def mla_of(seed=0):
    mla = MLA(SPEC, LayerSettings()).double()
    initialise(mla, 0.3, torch.Generator().manual_seed(seed))
    return mla


def rotation(first, n_positions, like):
    return Rotation.at(first, n_positions, SPEC.attention.qk_rope_head_dim, 1e4, like)


def states(n_sequences, n_positions, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_sequences, n_positions, SPEC.hidden, generator=generator, dtype=torch.float64)


@torch.no_grad()
def test_absorbed_and_decompressed_cores_give_the_same_numbers():
    mla, x_BSD = mla_of(), states(2, 7)
    whole = mla.project(x_BSD, rotation(0, 7, x_BSD))
    last = mla.project(x_BSD[:, 4:], rotation(4, 3, x_BSD))
    absorbed = mla.core_absorbed(last, whole.entries_BSX)
    torch.testing.assert_close(absorbed, mla.core_decompressed(last, whole.entries_BSX), **EXACT)
    torch.testing.assert_close(absorbed, mla.core_decompressed(whole, whole.entries_BSX)[:, 4:], **EXACT)


@torch.no_grad()
def test_decode_on_the_cache_continues_the_prefill():
    mla, x_BSD = mla_of(), states(2, 6)
    cache = LatentCache.of(SPEC, 2, 6, x_BSD)
    parts = [mla(x_BSD[:, a:b], rotation(a, b - a, x_BSD), cache) for a, b in ((0, 3), (3, 4), (4, 6))]
    torch.testing.assert_close(torch.cat(parts, dim=1), mla(x_BSD, rotation(0, 6, x_BSD)), **EXACT)


@torch.no_grad()
def test_a_later_position_changes_nothing_before_it():
    mla, x_BSD = mla_of(), states(1, 6)
    other_BSD = x_BSD.clone()
    other_BSD[:, 5] += 1.0
    before, after = (mla(x, rotation(0, 6, x_BSD)) for x in (x_BSD, other_BSD))
    torch.testing.assert_close(before[:, :5], after[:, :5], **EXACT)
    assert not torch.allclose(before[:, 5], after[:, 5])


@torch.no_grad()
def test_outputs_depend_on_distances_between_positions_only():
    mla, x_BSD = mla_of(), states(1, 5)
    near, far = (mla(x_BSD, rotation(first, 5, x_BSD)) for first in (0, 1000))
    torch.testing.assert_close(near, far, rtol=1e-9, atol=1e-9)  # angles of about 1000 rad lose three digits


def test_a_rotation_turns_each_pair_by_position_times_frequency():
    x_SHP = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0], dtype=torch.float64).view(1, 1, 8)
    turned_P = rotation(3, 1, x_SHP).rotate(x_SHP).flatten()
    angle_I = torch.tensor([3.0, 3.0 / 10, 3.0 / 100, 3.0 / 1000], dtype=torch.float64)  # theta = 1e4, P = 8
    torch.testing.assert_close(turned_P, torch.stack([angle_I.cos(), angle_I.sin()], dim=1).flatten(), **EXACT)


def test_gradients_by_finite_differences():
    mla, x_BSD = mla_of(), states(1, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mla(x, rotation(0, 3, x_BSD)), (x_BSD,))


def test_the_cache_of_longcat_flash_takes_64512_bytes_per_token_in_bf16():
    spec = longcat_flash_spec()
    with torch.device("meta"):
        cache = LatentCache.of(spec, 1, 1, torch.empty(0, dtype=torch.bfloat16))
    body_UBCX = cache.entries_UBCX[: spec.n_attentions]
    assert body_UBCX.numel() * body_UBCX.element_size() == 64_512  # longcat.md 1.3: 2 B × 576 × 56


def test_a_cache_that_is_full_says_so():
    mla, x_BSD = mla_of(), states(2, 4)
    cache = LatentCache.of(SPEC, 2, 3, x_BSD)
    with torch.no_grad(), pytest.raises(ValueError, match="up to position 4; allowed 2 sequences of 3 positions"):
        mla(x_BSD, rotation(0, 4, x_BSD), cache)


def test_a_cache_in_training_is_refused():
    mla, x_BSD = mla_of(), states(2, 3)
    with pytest.raises(ValueError, match="entries that require a gradient"):
        mla(x_BSD, rotation(0, 3, x_BSD), LatentCache.of(SPEC, 2, 3, x_BSD))
