"""Queues with known waiting times: exponential service without batching is M/M/1, on several sequences M/M/c."""

from math import factorial

import numpy as np
import pytest
from unit.serving.toy_steps import ConstantSteps

from simulator.serving.knobs import BackendKnobs
from simulator.serving.replay import replay
from workloads.traffic.requests import Requests

MEAN_TOKENS = 1000  # of a geometric output: exponential service to 0.1 %
STEP_S = 1e-3
N = 150_000  # the mean wait's own spread at these loads is then below 1 %


def exponential_stream(rate_per_s):
    """Poisson arrivals; a prompt of one token and a geometric output, whatever the step does: service of mean 1 s."""
    rng = np.random.default_rng(11)
    return Requests(
        arrival_s_N=np.cumsum(rng.exponential(1.0 / rate_per_s, N)),
        prompt_tokens_N=np.ones(N, dtype=np.int64),
        output_tokens_N=rng.geometric(1.0 / MEAN_TOKENS, N),
        session_N=np.full(N, -1, dtype=np.int64),
    )


def erlang_wait_s(rate_per_s, n_servers):
    """Mean wait of M/M/c with a service of mean 1 s (Erlang C)."""
    busy = n_servers * (rate_per_s**n_servers / factorial(n_servers)) / (n_servers - rate_per_s)
    p_wait = busy / (sum(rate_per_s**k / factorial(k) for k in range(n_servers)) + busy)
    return p_wait / (n_servers - rate_per_s)


@pytest.mark.parametrize(("rate_per_s", "n_servers"), [(0.4, 1), (1.8, 3)])
def test_waits_are_those_of_queueing_theory(rate_per_s, n_servers):
    run = replay(
        iter([exponential_stream(rate_per_s)]), knobs=BackendKnobs(max_num_seqs=n_servers),
        step_times=ConstantSteps(STEP_S), kv_blocks=100_000,
    )  # fmt: skip
    waits_s = run.requests["admitted_s"] - run.requests["arrival_s"]
    assert waits_s.mean() == pytest.approx(erlang_wait_s(rate_per_s, n_servers), rel=0.02)


def test_erlangs_formula_of_one_server_is_the_textbook_s():
    assert erlang_wait_s(0.5, 1) == pytest.approx(0.5 / (1 - 0.5))
