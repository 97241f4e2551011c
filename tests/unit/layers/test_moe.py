"""The mixture of experts against its formula, its gradients, and its memory."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from torch.func import functional_call
from unit.layers.tiny import tiny_spec
from unit.layers.watching import Watch

from workloads.layers.moe import MoE
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise

torch.set_num_threads(1)


def moe_of(spec, dtype=torch.float64, **settings):
    moe = MoE(spec, LayerSettings(**settings)).to(dtype)
    initialise(moe, 0.4, torch.Generator().manual_seed(0))
    moe.router.bias_E.normal_(0.0, 0.05, generator=torch.Generator().manual_seed(1))
    return moe


def tokens(n_tokens, spec, dtype=torch.float64, seed=2):
    return torch.randn(n_tokens, spec.hidden, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def formula(moe, x_TD, n_routed, n_selectable):
    """Sum over i of g_i E_i(x), term by term as the report writes it (2.1)."""
    out = []
    for x_D in x_TD:
        score_E = torch.softmax(moe.router.classifier.weight @ x_D, dim=0)
        biased = (score_E + moe.router.bias_E)[:n_selectable].tolist()
        chosen = sorted(range(n_selectable), key=lambda i: -biased[i])[: moe.router.top_k]
        terms = []
        for i in chosen:
            expert_D = x_D
            if i < n_routed:
                gate, up = (moe.experts.gate_up_GFD[i] @ x_D).chunk(2)
                expert_D = moe.experts.down_GDF[i] @ (gate * torch.sigmoid(gate) * up)
            terms.append(6.0 * score_E[i] * expert_D)
        out.append(sum(terms))
    return torch.stack(out)


@pytest.mark.parametrize("policy", ["skip", "remap0", "none"])
def test_the_layer_is_the_reports_formula(policy):
    spec = tiny_spec()
    moe = moe_of(spec, zero_experts=policy)
    x_TD = tokens(20, spec)
    with torch.no_grad():
        expected = formula(moe, x_TD, n_routed=8, n_selectable=8 if policy == "none" else 12)
        torch.testing.assert_close(moe(x_TD), expected, rtol=1e-12, atol=1e-12)


def test_scores_of_a_token_sum_to_one_and_chosen_weights_are_not_renormalised():
    spec = tiny_spec()
    routing = moe_of(spec).router(tokens(20, spec))
    torch.testing.assert_close(routing.scores_TE.sum(1), torch.ones(20, dtype=torch.float64))
    assert (routing.weights_TK.sum(1) < 6.0).all()
    torch.testing.assert_close(routing.weights_TK, 6.0 * routing.scores_TE.gather(1, routing.ids_TK))


def test_the_bias_steers_the_choice_and_leaves_the_weights():
    spec = tiny_spec()
    router, x_TD = moe_of(spec).router, tokens(20, spec)
    before = router(x_TD).scores_TE
    router.bias_E[5] += 10.0
    after = router(x_TD)
    assert (after.ids_TK == 5).any(dim=1).all()
    torch.testing.assert_close(after.scores_TE, before)


def test_a_half_precision_model_routes_in_float32():
    spec = tiny_spec()
    routing = moe_of(spec, torch.bfloat16).router(tokens(4, spec, torch.bfloat16))
    assert routing.scores_TE.dtype == routing.weights_TK.dtype == torch.float32


@pytest.mark.parametrize("seed", range(3))
def test_gradients_by_finite_differences(seed):
    spec = tiny_spec(hidden=6, n_routed=4, n_zero=2, top_k=3, expert_ffn=4)
    moe = moe_of(spec)
    x_TD = tokens(5, spec, seed=seed).requires_grad_()
    ids_TK = moe.router(x_TD).ids_TK
    assert 0 < (ids_TK >= 4).sum() < ids_TK.numel()
    names, weights = zip(*moe.named_parameters(), strict=True)

    def layer(x_TD, *weights):
        return functional_call(moe, dict(zip(names, weights, strict=True)), (x_TD,))

    assert torch.autograd.gradcheck(layer, (x_TD, *weights))


def test_no_token_gives_no_output():
    spec = tiny_spec()
    assert moe_of(spec)(torch.zeros(0, spec.hidden, dtype=torch.float64)).shape == (0, spec.hidden)


@pytest.mark.parametrize("policy", ["skip", "remap0", "none"])
def test_no_tensor_is_larger_than_a_few_rows_per_choice(policy):
    spec = tiny_spec(hidden=16, n_routed=64, n_zero=32, top_k=4, expert_ffn=8)
    moe = moe_of(spec, zero_experts=policy)
    x_TD = tokens(256, spec).requires_grad_()
    with Watch() as watch:
        moe(x_TD).sum().backward()
    choices = 256 * spec.moe.top_k * spec.hidden
    assert watch.largest <= 4 * choices < 256 * 64 * spec.hidden


def test_memory_grows_in_step_with_tokens():
    spec = tiny_spec(hidden=64, n_routed=8, n_zero=4, top_k=3, expert_ffn=16)
    moe = moe_of(spec)
    largest = []
    for n_tokens in (512, 4096):
        with torch.no_grad(), Watch() as watch:
            moe(tokens(n_tokens, spec))
        largest.append(watch.largest)
    assert largest[1] < 1.5 * 8 * largest[0]


def test_zero_experts_may_be_absent():
    spec = tiny_spec(n_zero=0)
    moe = moe_of(spec)
    with torch.no_grad():
        torch.testing.assert_close(moe(tokens(6, spec)), formula(moe, tokens(6, spec), n_routed=8, n_selectable=8))


def test_a_model_without_zero_experts_and_one_that_never_picks_them_have_equal_policies():
    spec = tiny_spec()
    moe = moe_of(spec)
    moe.router.bias_E[8:] = -10.0
    with torch.no_grad():
        with_none = moe_of(spec, zero_experts="none")
        with_none.load_state_dict(moe.state_dict())
        torch.testing.assert_close(moe(tokens(6, spec)), with_none(tokens(6, spec)))


def test_top_k_over_the_pool_is_refused():
    spec = tiny_spec()
    with pytest.raises(ValueError, match="top_k: got 13; allowed 1 to 12"):
        moe_of(replace(spec, moe=replace(spec.moe, top_k=13)))
    with pytest.raises(ValueError, match="top_k: got 9; allowed 1 to 8"):
        moe_of(replace(spec, moe=replace(spec.moe, top_k=9)), zero_experts="none")
