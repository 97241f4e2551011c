"""Losses, monitors, growth, optimiser and width transfer against cases worked by hand; gradients in float64."""

from math import exp, log, sqrt

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from unit.layers.tiny import tiny_spec

from workloads.layers.balance_loss import device_balance_loss, group_choices, group_of_experts
from workloads.layers.growth import grown_spec, stack_layers, stack_moments
from workloads.layers.hidden_z_loss import hidden_z_loss
from workloads.layers.language_model import LanguageModel
from workloads.layers.optimiser import (
    LONGCAT_EPSILON,
    adamw,
    gradient_rms,
    gradient_rms_range,
    initialise_transferred,
)
from workloads.layers.router_health import alpha_for_ratio, gradient_ratio, probability_gradient, router_similarity
from workloads.layers.routing_watch import RoutingWatch
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise

torch.set_num_threads(1)
F64 = torch.float64
# 4 routed experts on 2 devices, 2 zero experts, K = 3, K_e = 2: group 0 holds 0 and 1, group 1 holds 2 and 3
GROUP_E = group_of_experts(4, 2, 2)


def model(n_layers=2, seed=0, **shape):
    made = LanguageModel(tiny_spec(n_layers=n_layers, **shape), LayerSettings())
    initialise(made, 0.1, torch.Generator().manual_seed(seed))
    return made


def balance(scores_BSE, ids_BSK):
    return device_balance_loss(scores_BSE, ids_BSK, GROUP_E, n_devices=2, mean_ffn_experts=2.0)


def test_devices_hold_contiguous_shares_and_zero_experts_are_a_group_of_their_own():
    assert GROUP_E.tolist() == [0, 0, 1, 1, 2, 2]
    assert group_of_experts(4, 0, 4).tolist() == [0, 1, 2, 3]


def test_choices_are_counted_by_sequence_and_group():
    ids_BSK = torch.tensor([[[0, 1, 4], [0, 2, 5]], [[2, 3, 4], [2, 3, 1]]])
    assert group_choices(ids_BSK, GROUP_E, 3).tolist() == [[3, 1, 2], [1, 4, 1]]


def test_balance_loss_worked_by_hand():
    # One sequence of 2 tokens. f_0 = 2 / (2 x 2) x 3, f_1 = 1/2 x 1, f_2 = 1 / ((3 - 2) x 2) x 2 = 1
    ids_BSK = torch.tensor([[[0, 1, 4], [0, 2, 5]]])
    scores_BSE = torch.tensor([[[0.3, 0.3, 0.1, 0.1, 0.1, 0.1], [0.5, 0.1, 0.2, 0.0, 0.1, 0.1]]], dtype=F64)
    # P_0 = (0.6 + 0.6) / 2, P_1 = (0.2 + 0.2) / 2, P_2 = (0.2 + 0.2) / 2
    assert float(balance(scores_BSE, ids_BSK)) == pytest.approx(1.5 * 0.6 + 0.5 * 0.2 + 1.0 * 0.2)


def test_at_the_target_the_loss_is_one_whatever_the_scores():
    ids_BSK = torch.tensor([[[0, 2, 4], [1, 3, 5]]])
    scores_BSE = torch.rand(1, 2, 6, dtype=F64).softmax(dim=-1)
    assert float(balance(scores_BSE, ids_BSK)) == pytest.approx(1.0)


def test_the_loss_is_the_mean_over_sequences():
    ids_BSK = torch.tensor([[[0, 1, 4], [0, 2, 5]], [[2, 3, 4], [2, 3, 1]]])
    scores_BSE = torch.rand(2, 2, 6, dtype=F64).softmax(dim=-1)
    each = [float(balance(scores_BSE[i : i + 1], ids_BSK[i : i + 1])) for i in range(2)]
    assert float(balance(scores_BSE, ids_BSK)) == pytest.approx(sum(each) / 2)


def test_gradient_of_the_balance_loss():
    ids_BSK = torch.randint(6, (2, 5, 3), generator=torch.Generator().manual_seed(1))
    logits_BSE = torch.randn(2, 5, 6, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: balance(z.softmax(dim=-1), ids_BSK), logits_BSE)


def test_a_group_count_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="n_devices: got 3; allowed a divisor of n_routed_experts=4"):
        group_of_experts(4, 2, 3)


def test_a_budget_that_leaves_no_choice_for_zero_experts_is_refused():
    with pytest.raises(ValueError, match="mean_ffn_experts: got 3; allowed below top_k=3"):
        device_balance_loss(
            torch.ones(1, 1, 6), torch.tensor([[[0, 1, 4]]]), GROUP_E, n_devices=2, mean_ffn_experts=3.0
        )


def test_hidden_z_loss_worked_by_hand():
    z_TD = torch.tensor([[0.0, 0.0], [log(3.0), -log(5.0)]], dtype=F64)
    assert float(hidden_z_loss(z_TD)) == pytest.approx((log(2.0) ** 2 + log(8.0) ** 2) / 2)


def test_gradient_of_the_hidden_z_loss():
    assert torch.autograd.gradcheck(hidden_z_loss, torch.randn(3, 4, dtype=F64, requires_grad=True))


def test_hidden_z_loss_is_bounded_below_by_the_largest_activation():
    assert float(hidden_z_loss(torch.tensor([[-100.0, 1.0]], dtype=F64))) == pytest.approx(100.0**2)
    assert exp(float(hidden_z_loss(torch.zeros(1, 4, dtype=F64))) ** 0.5) == pytest.approx(4.0)


def test_probability_gradient_adds_up_over_tokens():
    scores_TE = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=F64, requires_grad=True)
    assert probability_gradient((scores_TE**2).sum(), scores_TE).tolist() == [2 + 6, 4 + 8]


def test_gradient_ratio_and_the_alpha_that_brings_it_about():
    balance_E, language_E = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 50.0])
    assert gradient_ratio(2.0, balance_E, language_E) == pytest.approx(0.2)
    assert alpha_for_ratio(0.1, balance_E, language_E) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="target: got 0"):
        alpha_for_ratio(0.0, balance_E, language_E)


def test_the_probability_gradient_of_a_balance_loss_is_f():
    ids_BSK = torch.tensor([[[0, 1, 4], [0, 2, 5]]])
    scores_BSE = torch.full((1, 2, 6), 1 / 6, dtype=F64, requires_grad=True)
    assert probability_gradient(balance(scores_BSE, ids_BSK), scores_BSE).tolist() == [1.5, 1.5, 0.5, 0.5, 1.0, 1.0]


def test_router_similarity_worked_by_hand():
    # Angles 0, 90 and 45 degrees: cosines 0, 1/sqrt 2, 1/sqrt 2
    rows_ED = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]], dtype=F64)
    assert router_similarity(rows_ED) == pytest.approx(sqrt(2.0) / 3)
    assert router_similarity(torch.ones(4, 3)) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="got 1 rows"):
        router_similarity(torch.ones(1, 3))


def test_a_stacked_model_repeats_the_layers_of_the_shallow_one():
    shallow, spec = model(n_layers=2), tiny_spec(n_layers=2)
    shallow.layers[1].moe.router.bias_E.fill_(0.5)
    deep = LanguageModel(grown_spec(spec, 2), LayerSettings())
    deep.load_state_dict(stack_layers(shallow.state_dict(), 2, 2))
    ids_BS, at = torch.arange(6).view(1, 6), deep.context(6)
    x_BSD = shallow.hidden(ids_BS)
    for block in shallow.layers:
        x_BSD = block(x_BSD, at)
    assert torch.equal(deep.hidden(ids_BS), x_BSD)
    assert [float(block.moe.router.bias_E[0]) for block in deep.layers] == [0.0, 0.5, 0.0, 0.5]


def test_every_copy_of_a_weight_has_the_moments_of_its_original():
    shallow = model(n_layers=1)
    deep = LanguageModel(grown_spec(tiny_spec(n_layers=1), 2), LayerSettings())
    kept, optimiser = (adamw(of, 0.01) for of in (shallow, deep))
    shallow(torch.arange(6).view(1, 6)).square().mean().backward()
    kept.step()
    stack_moments(shallow, kept, deep, optimiser, n_layers=1, times=2)
    original = kept.state[shallow.layers[0].ffn_0.down.weight]
    for block in deep.layers:
        copy = optimiser.state[block.ffn_0.down.weight]
        assert torch.equal(copy["exp_avg"], original["exp_avg"])
        assert torch.equal(copy["exp_avg_sq"], original["exp_avg_sq"])
        assert float(copy["step"]) == 1.0
    ours, theirs = optimiser.state[deep.head.weight], kept.state[shallow.head.weight]
    assert torch.equal(ours["exp_avg"], theirs["exp_avg"])
    first, second = (optimiser.state[block.ffn_0.down.weight]["exp_avg"] for block in deep.layers)
    first.zero_()
    assert second.abs().max() > 0.0  # copies go their own ways


def test_stacking_another_depth_is_refused():
    with pytest.raises(ValueError, match=r"stack: got layers \[0, 1\], 2 times; allowed layers 0 to 2"):
        stack_layers(model(n_layers=2).state_dict(), 3, 2)


def test_width_transfer_divides_variance_and_learning_rate_of_all_but_the_embedding():
    made, s = model(hidden=64, vocab=400), 4.0
    initialise_transferred(made, 0.2, s, torch.Generator().manual_seed(0))
    std = {name: float(weight.detach().std()) for name, weight in made.named_parameters() if weight.ndim > 1}
    assert std["embed.weight"] == pytest.approx(0.2, rel=0.05)
    assert std["head.weight"] == pytest.approx(0.1, rel=0.05)
    assert std["layers.0.moe.experts.down_GDF"] == pytest.approx(0.1, rel=0.05)
    optimiser = adamw(made, 0.01, width_factor=s)
    rate = {id(weight): group["lr"] for group in optimiser.param_groups for weight in group["params"]}
    assert rate[id(made.embed.weight)] == rate[id(made.norm.weight)] == 0.01
    assert rate[id(made.head.weight)] == rate[id(made.layers[1].ffn_0.down.weight)] == 0.0025
    assert len(rate) == len(list(made.parameters()))


def test_adamw_has_the_epsilon_of_the_report_and_a_first_step_of_the_learning_rate():
    made = model()
    optimiser = adamw(made, 0.01, weight_decay=0.0)
    assert {group["eps"] for group in optimiser.param_groups} == {LONGCAT_EPSILON} == {1e-16}
    before = made.head.weight.detach().clone()
    made.head.weight.grad = torch.full_like(before, -1e-12)  # far below the usual 1e-8
    optimiser.step()
    assert torch.allclose(made.head.weight - before, torch.full_like(before, 0.01), rtol=1e-3)


def test_rms_of_gradients_counts_every_number():
    made = torch.nn.Linear(2, 1)
    made.weight.grad, made.bias.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([0.0])
    assert gradient_rms(made) == pytest.approx(sqrt(25 / 3))


def test_range_of_gradients_is_of_single_parameters():
    made = torch.nn.Linear(2, 1)
    made.weight.grad, made.bias.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([-1.0])
    assert gradient_rms_range(made) == (pytest.approx(1.0), pytest.approx(sqrt(25 / 2)))


def test_tied_embeddings_cannot_transfer():
    with pytest.raises(ValueError, match="untied embeddings"):
        adamw(torch.nn.Linear(2, 2), 0.1)


def test_a_watch_holds_the_last_routing_of_every_layer_with_its_graph():
    made = model(n_layers=2)
    with RoutingWatch(made) as watch:
        made(torch.arange(4).view(1, 4))
        made(torch.arange(6).view(1, 6))
    assert [routing.ids_TK.shape for routing in watch.routings] == [(6, 3), (6, 3)]
    assert watch.routings[0].scores_TE.requires_grad
    with pytest.raises(ValueError, match="Linear without a Router"):
        RoutingWatch(torch.nn.Linear(1, 1))
