"""Grouped experts against one product per expert."""

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.layers.tiny import tiny_spec
from unit.layers.watching import Watch

from workloads.layers.experts import GroupedExperts
from workloads.layers.ffn import swiglu
from workloads.layers.grouped import grouped_ffn, grouped_native, grouped_padded, rounds

torch.set_num_threads(1)
HIDDEN, WIDTH = 8, 4
loads = st.lists(st.integers(0, 40), min_size=1, max_size=16).filter(any)


def problem(load, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = ((sum(load), HIDDEN), (len(load), 2 * WIDTH, HIDDEN), (len(load), HIDDEN, WIDTH))
    return [torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes]


def one_by_one(rows_MD, load_G, gate_up_GFD, down_GDF):
    parts = rows_MD.split(load_G.tolist())
    return torch.cat([swiglu(x @ up.T) @ down.T for x, up, down in zip(parts, gate_up_GFD, down_GDF, strict=True)])


def outputs_and_gradients(product, load, dtype):
    operands = problem(load, dtype)
    out_MD = product(operands[0], torch.tensor(load), *operands[1:])
    out_MD.square().sum().backward()
    return [out_MD, *(x.grad for x in operands)]


@settings(deadline=None, max_examples=60)
@given(loads)
@example([0] * 15 + [40])  # one expert has everything
@example([3, 0, 0, 0, 0])  # mostly idle
@example([5] * 16)
def test_padded_products_equal_one_product_per_expert_in_float64(load):
    pairs = zip(*(outputs_and_gradients(f, load, torch.float64) for f in (grouped_padded, one_by_one)), strict=True)
    for ours, reference in pairs:
        torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(not hasattr(torch.nn.functional, "grouped_mm"), reason="this torch has no grouped_mm")
@pytest.mark.parametrize("load", [[5, 0, 9, 2], [16, 16], [0, 0, 1, 40]], ids=str)
def test_torchs_grouped_product_gives_the_numbers_of_the_padded_one(load):
    pairs = zip(*(outputs_and_gradients(f, load, torch.float32) for f in (grouped_native, grouped_padded)), strict=True)
    for ours, reference in pairs:
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5 * float(reference.detach().abs().max()))


def test_no_rows_leave_gradients_of_zero():
    rows_MD, gate_up_GFD, down_GDF = problem([0, 0, 0])
    out_MD = grouped_ffn(rows_MD, torch.tensor([0, 0, 0]), gate_up_GFD, down_GDF)
    out_MD.sum().backward()
    assert out_MD.shape == (0, HIDDEN)
    assert not gate_up_GFD.grad.any()
    assert not down_GDF.grad.any()


@settings(deadline=None)
@given(loads)
def test_every_row_gets_one_slot_of_its_own_expert(load):
    start_G = torch.tensor([0, *load]).cumsum(0)
    seen, done = [], 0
    for part in rounds(torch.tensor(load)):
        expert_m = part.experts_U[part.slot_m // part.height]
        place_m = part.slot_m % part.height + done
        assert torch.equal(start_G[expert_m] + place_m, part.row_m)
        assert len(part.slot_m.unique()) == len(part.slot_m)
        seen += part.row_m.tolist()
        done += part.height
    assert sorted(seen) == list(range(sum(load)))


@settings(deadline=None)
@given(st.lists(st.integers(0, 2000), min_size=1, max_size=512).filter(any))
@example([1] + [0] * 511)
@example([100_000] + [1] * 511)
@example([2**i for i in range(16)])
def test_rounds_are_few_and_their_padding_is_bounded(load):
    parts = list(rounds(torch.tensor(load)))
    n_experts = len(load)
    assert len(parts) <= n_experts.bit_length() + 1  # each halves the experts
    for part in parts:
        # 2 × ceil(mean) per expert, at most twice as many experts as have rows
        assert part.n_padded <= 2 * (sum(load) + min(n_experts, 2 * sum(load)))


def test_the_number_of_operations_does_not_grow_with_experts_or_tokens():
    def n_calls(n_experts, tokens_per_expert):
        operands = problem([tokens_per_expert] * n_experts)
        with torch.no_grad(), Watch() as watch:
            grouped_padded(operands[0], torch.full((n_experts,), tokens_per_expert), *operands[1:])
        return watch.n_calls

    assert len({n_calls(n_experts, tokens) for n_experts in (4, 64) for tokens in (2, 64)}) == 1


def test_a_load_for_another_number_of_experts_is_refused():
    experts = GroupedExperts(tiny_spec())
    with pytest.raises(ValueError, match=r"load_G: got shape \(3,\); allowed \(8,\)"):
        experts(torch.zeros(0, 32), torch.zeros(3, dtype=torch.int64))
