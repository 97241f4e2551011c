"""A recorded routing trace replayed: its own choices come back, as averages and as draws."""

import numpy as np
import pytest

from hw_profiles.faults import InputFaults
from simulator.evaluate import evaluate
from simulator.scenario import load_scenario
from workloads.batch import Batch, RoutingSpec
from workloads.layout import Layout
from workloads.loads import routed_loads
from workloads.routing_trace import routing_trace, write_routing_trace
from workloads.step import StepSpec
from workloads.zoo import tiny

N, Z, K, LAYERS = 8, 4, 3, 2
IDS = np.array([[0, 1, 9], [0, 2, 3], [0, 10, 11], [7, 8, 9]], dtype=np.int16)  # FFN experts: 2, 3, 1, 1


@pytest.fixture
def trace_file(tmp_path):
    path = tmp_path / "routing.npz"
    write_routing_trace(routing_trace([[IDS], [IDS[::-1]]], n_routed_experts=N, n_zero_experts=Z), path)
    return path


@pytest.fixture
def tiny_toml(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text('model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 4\nlayout = { ep = 4 }\n', encoding="utf-8")
    return str(path)


def replayed(trace_file, **routing):
    step = StepSpec(
        model=tiny(), n_gpus=4, devices_per_node=2, phase="decode", layout=Layout(ep=4),
        batch=Batch(sequences_per_gpu=400), routing=RoutingSpec(popularity=f"trace:{trace_file}", **routing),
    )  # fmt: skip
    return routed_loads(step, np.full(4, 400.0))


def test_mean_rows_are_the_recorded_counts_per_token(trace_file):
    rows_LN = replayed(trace_file).rows_LRX.reshape(LAYERS, N)
    counts_N = np.array([3, 1, 1, 1, 0, 0, 0, 1])
    np.testing.assert_allclose(rows_LN, np.tile(counts_N * 1600 / 4, (LAYERS, 1)))


def test_sampled_rows_keep_the_joint_choices(trace_file):
    rows_N = replayed(trace_file, draw="sample").rows_LRX[0].reshape(N)
    assert rows_N[2] == rows_N[3]  # recorded together, drawn together
    assert rows_N[0] == pytest.approx(1200, abs=5 * (1600 * 0.75 * 0.25) ** 0.5)
    assert (rows_N[4:7] == 0).all()


def test_deduplicated_copies_follow_the_recorded_tokens(trace_file):
    loads = replayed(trace_file)
    # ranks hold experts 01 23 45 67, nodes hold ranks 01 23: tokens 0, 1, 2 touch node 0 alone, token 3 node 1 alone
    np.testing.assert_allclose(loads.nic_sent_LR[0], [100, 100, 300, 300])


def test_remap0_sends_recorded_zero_choices_to_expert_0(trace_file):
    rows_N = replayed(trace_file, zero_experts="remap0").rows_LRX[0].reshape(N)
    assert rows_N.sum() == pytest.approx(1600 * K)
    assert rows_N[0] == pytest.approx((3 + 5) * 400)  # five of the twelve recorded choices are zero experts


def test_a_scenario_replays_a_trace(trace_file, tiny_toml):
    answer = evaluate(load_scenario(tiny_toml, [f"routing.popularity=trace:{trace_file}"]))
    assert answer.feasible
    assert answer.metrics["load_imbalance"] == pytest.approx(4 / (7 / 4))  # rank 0 gets 4 of the 7 rows of 4 tokens


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model=longcat_flash"], "512 routed + 256 zero experts, top-12, 28 layers as in longcat_flash"),
        (["routing.zero_experts=none"], "skip, remap0 with a trace"),
    ],
)
def test_a_trace_that_does_not_fit_is_refused_in_words(trace_file, tiny_toml, settings, said):
    with pytest.raises(InputFaults) as refusal:
        load_scenario(tiny_toml, [f"routing.popularity=trace:{trace_file}", *settings])
    assert said in str(refusal.value)


def test_a_file_that_is_no_trace_is_refused_in_words(tmp_path):
    path = tmp_path / "no.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(InputFaults, match=r"no\.npz"):
        load_scenario("longcat-flash-decode-h800x128", [f"routing.popularity=trace:{path}"])
