"""Metrics by hand, and the verdict on queues that plainly grow, stand or are none."""

import numpy as np
import pytest
from unit.serving.toy_steps import ConstantSteps, requests

from simulator.serving.distributions import weighted_spread
from simulator.serving.knobs import BackendKnobs
from simulator.serving.metrics import Slo, serving_metrics
from simulator.serving.replay import replay


def run(rows, **knobs):
    """Every step takes a second."""
    return replay(iter([requests(rows)]), knobs=BackendKnobs(**knobs), step_times=ConstantSteps(1.0), kv_blocks=100_000)


def test_latencies_and_rates_of_two_requests():
    """One waits for the other: first tokens after 1 and 4 s, then a token each second; 3 and 5 tokens in 8 s."""
    metrics = serving_metrics(
        run([(0.0, 10, 3), (0.0, 10, 5)], max_num_seqs=1), slo=Slo(ttft_s=2.0), n_gpus=4, usd_per_gpu_hour=9.0
    )
    assert metrics["elapsed_s"] == 8.0
    assert metrics["ttft_s"]["mean"] == 2.5
    assert metrics["tpot_s"]["p99"] == metrics["itl_s"]["p99"] == 1.0
    assert metrics["e2e_s"]["mean"] == (3 + 8) / 2
    assert metrics["tokens_per_s_per_gpu"] == 8 / 8 / 4
    assert metrics["goodput_per_s"] == 1 / 8
    assert metrics["slo_share"] == 0.5
    assert metrics["usd_per_million_output_tokens"] == pytest.approx(4 * 9.0 * 8 / 3600 / 8 * 1e6)
    assert metrics["busy_share"] == 1.0
    assert metrics["mean_in_system"] == (3 + 8) / 8


def test_weighted_percentiles_are_those_of_the_values_written_out():
    rng = np.random.default_rng(0)
    values, weights = rng.integers(0, 50, 200).astype(float), rng.integers(1, 9, 200)
    written = np.repeat(values, weights)
    spread = weighted_spread(values, weights.astype(float))
    assert spread["p90"] == np.percentile(written, 90, method="inverted_cdf")
    assert spread["mean"] == pytest.approx(written.mean(), rel=1e-12)


def test_a_negative_weight_takes_a_value_back():
    assert weighted_spread(np.array([1.0, 9.0, 1.0]), np.array([5.0, 1.0, -5.0]))["p50"] == 9.0


@pytest.mark.parametrize(("gap_s", "verdict"), [(12.0, "stable"), (10.2, "stable"), (8.0, "overloaded")])
def test_the_verdict_follows_the_load(gap_s, verdict):
    """Service takes 10 s, one at a time."""
    rows = [(i * gap_s, 10, 10) for i in range(400)]
    assert serving_metrics(run(rows, max_num_seqs=1))["verdict"] == verdict


def test_a_long_queue_that_no_longer_grows_is_a_backlog():
    """A hundred come at once, then one every 10 s, as fast as they are served."""
    rows = [(0.0, 10, 10)] * 100 + [(i * 10.0, 10, 10) for i in range(1, 400)]
    assert serving_metrics(run(rows, max_num_seqs=1))["verdict"] == "backlogged"
