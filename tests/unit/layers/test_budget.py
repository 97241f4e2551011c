"""The expert-bias controller against cases worked by hand."""

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from unit.layers.tiny import tiny_spec

from workloads.layers.budget import BudgetController, ControlLaw, budget_error, choice_counts
from workloads.layers.router import Router
from workloads.layers.settings import LayerSettings

torch.set_num_threads(1)


def router(n_routed=2, n_zero=1, top_k=2, hidden=8):
    return Router(tiny_spec(hidden=hidden, n_routed=n_routed, n_zero=n_zero, top_k=top_k), LayerSettings())


def controller(of, mean=1.0, **law):
    return BudgetController(of, ControlLaw(**law), mean)


def test_counts_of_two_tokens():
    assert choice_counts(torch.tensor([[0, 2], [0, 1]]), 3).tolist() == [2, 1, 1]


def test_error_of_a_batch_worked_by_hand():
    # T = 4 tokens, K = 2, N = 2, K_e = 1: target 1/4; expert 0 has 3 of 8 choices, expert 1 has 1, the zero expert 4
    assert budget_error(torch.tensor([3, 1, 4]), 2, 2, 1.0).tolist() == [1 / 4 - 3 / 8, 1 / 4 - 1 / 8]


def test_on_target_nothing_moves():
    of = router()
    controller(of, step_size=0.5).update(of, torch.tensor([2, 2, 4]))
    assert of.bias_E.tolist() == [0.0, 0.0, 0.0]


def test_the_printed_law_integrates_and_leaves_zero_experts_alone():
    of = router()
    of.bias_E[2] = 0.25
    control = controller(of, step_size=0.5)
    for _ in range(2):
        control.update(of, torch.tensor([3, 1, 4]))
    assert of.bias_E.tolist() == [-0.125, 0.125, 0.25]


def test_it_goes_on_from_the_bias_that_a_router_has():
    of = router()
    of.bias_E[:2] = torch.tensor([0.5, -0.5])
    controller(of, step_size=1.0).update(of, torch.tensor([3, 1, 4]))
    assert of.bias_E.tolist() == [0.375, -0.375, 0.0]


def test_proportional_and_derivative_terms_stand_beside_the_integral():
    of = router()
    control = controller(of, step_size=1.0, proportional=2.0, derivative=4.0)
    control.update(of, torch.tensor([3, 1, 4]))  # e = -1/8: I -1/8, P -2/8, D none yet
    assert of.bias_E[0] == -0.375
    control.update(of, torch.tensor([1, 3, 4]))  # e = +1/8: I 0, P +2/8, D 4 x 2/8
    assert of.bias_E[0] == 0.25 + 1.0


def test_the_step_size_decays_as_one_over_time():
    law = ControlLaw(step_size=0.6, decay_batches=10.0)
    assert [law.step_size_at(t) for t in (0, 10, 20)] == [0.6, 0.3, pytest.approx(0.2)]


def test_a_restored_controller_goes_on_alike():
    law, counts = {"step_size": 0.3, "decay_batches": 2.0, "derivative": 0.1}, torch.tensor([3, 1, 4])
    straight, broken = router(), router()
    one, first = controller(straight, **law), controller(broken, **law)
    for control, of in ((one, straight), (first, broken)):
        control.update(of, counts)
    second = controller(broken, **law)
    second.load_state_dict(first.state_dict())
    one.update(straight, counts.flip(0))
    second.update(broken, counts.flip(0))
    assert torch.equal(straight.bias_E, broken.bias_E)


def test_it_brings_the_mean_of_a_fixed_router_to_its_target():
    torch.manual_seed(0)
    of = router(n_routed=16, n_zero=8, top_k=3, hidden=16)
    with torch.no_grad():
        of.classifier.weight.normal_(0.0, 0.3)
        of.classifier.weight[16:] -= 0.1
    control, x_TD = controller(of, mean=2.0, step_size=0.2), torch.randn(2048, 16)
    for _ in range(300):
        control.update(of, choice_counts(of(x_TD).ids_TK, 24))
    counts_E = choice_counts(of(x_TD).ids_TK, 24)
    assert float(counts_E[:16].sum()) / 2048 == pytest.approx(2.0, rel=0.01)
    assert float(counts_E[:16].max() / counts_E[:16].float().mean()) < 1.1  # and it evens the experts out


@pytest.mark.parametrize(("law", "mean", "said"), [
    ({"step_size": -1.0}, 1.0, "step_size, decay_batches: got -1, inf"),
    ({"step_size": 1.0, "decay_batches": 0.0}, 1.0, "step_size, decay_batches: got 1, 0"),
    ({"step_size": 1.0}, 3.0, "mean_ffn_experts: got 3; allowed above 0, to 2"),
])  # fmt: skip
def test_bad_laws_are_refused(law, mean, said):
    with pytest.raises(ValueError, match=said):
        controller(router(), mean=mean, **law)
