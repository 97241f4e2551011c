"""Traffic as the command line states it."""

from itertools import chain

import numpy as np
import pytest
from unit.traffic.trace_files import TRACES, write

from hw_profiles.faults import InputFaults
from workloads.traffic.sessions import ClosedLoop, Conversations
from workloads.traffic.sources import traffic_of


def arrivals_s(traffic):
    return np.concatenate([chunk.arrival_s_N for chunk in traffic])


def faults_of(text, **options):
    with pytest.raises(InputFaults) as error:
        traffic_of(text, **options)
    return [str(fault) for fault in error.value.faults]


def test_a_constant_rate_with_fixed_lengths_is_exact():
    (chunk,) = traffic_of("constant:2", n_requests=4, prompt="fixed:10", output="fixed:3")
    assert chunk.arrival_s_N.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert chunk.prompt_tokens_N.tolist() == [10] * 4
    assert chunk.output_tokens_N.tolist() == [3] * 4
    assert chunk.session_N.tolist() == [-1] * 4


@pytest.mark.parametrize("text", ["poisson:5", "gamma:5,cv=3", "constant:5", "daily:5,peak=1.5,period=100"])
def test_more_requests_than_a_chunk_come_in_order(text):
    times_s = arrivals_s(traffic_of(text, n_requests=100_000))
    assert len(times_s) == 100_000
    assert (np.diff(times_s) >= 0).all()
    assert 100_000 / times_s[-1] == pytest.approx(5, rel=5 * 3 / 100_000**0.5)  # five standard errors at cv 3


@pytest.mark.parametrize("text", ["poisson:5", "gamma:5", "constant:5"])
def test_scaling_the_rate_divides_the_times(text):
    assert arrivals_s(traffic_of(text, rate_scale=2.0)) == pytest.approx(arrivals_s(traffic_of(text)) / 2, rel=1e-12)


def test_a_trace_is_scaled_and_cut(tmp_path):
    path = write(tmp_path, "azure.csv", TRACES["azure.csv"])
    assert arrivals_s(traffic_of(str(path), rate_scale=0.5, n_requests=2)).tolist() == [0.0, 1.0]


def test_the_same_seed_gives_the_same_traffic_and_another_seed_another():
    first, again, other = (next(traffic_of("poisson:5", seed=seed)) for seed in (1, 1, 2))
    assert (first.arrival_s_N == again.arrival_s_N).all()
    assert (first.prompt_tokens_N == again.prompt_tokens_N).all()
    assert (first.arrival_s_N != other.arrival_s_N).any()


def test_lengths_stay_when_arrivals_change():
    burst, smooth = (next(traffic_of(text, seed=1)) for text in ("gamma:5,cv=4", "constant:80"))
    assert (burst.prompt_tokens_N == smooth.prompt_tokens_N).all()


def test_lengths_from_a_file(tmp_path):
    path = write(tmp_path, "azure.csv", TRACES["azure.csv"])
    (chunk,) = traffic_of("poisson:5", prompt=f"empirical:{path}", output=f"empirical:{path}")
    assert set(chunk.prompt_tokens_N.tolist()) == {600, 1200, 20}
    assert set(chunk.output_tokens_N.tolist()) == {10, 8, 1}


def test_users_conversations_and_agents_wait_for_answers():
    assert isinstance(traffic_of("users:3,think=1"), ClosedLoop)
    assert isinstance(traffic_of("chat:1"), Conversations)
    assert isinstance(traffic_of("agent:1,turns=5"), Conversations)


def test_an_agent_adds_what_its_tool_answers():
    agent = traffic_of("agent:1,turns=2,gap=0,later=1000,system=64", prompt="fixed:100", output="fixed:7", n_requests=2)
    first = next(agent.first_requests())
    second = agent.next_request(0, 100.0)
    assert (first.prompt_tokens, second.arrival_s) == (164, 100.0)
    assert second.prompt_tokens > 164 + 7
    assert agent.next_request(0, 200.0) is None


FAULTS = {
    "poisson:fast": "traffic 'poisson:fast', RATE: got 'fast'; allowed a number, above 0; write poisson:RATE",
    "poisson:0": "traffic 'poisson:0', RATE: got '0'; allowed a number, above 0; write poisson:RATE",
    "gamma:2,cvs=2": "traffic 'gamma:2,cvs=2': got 'cvs'; allowed cv; did you mean 'cv'?",
    "daily:2,peak=3": "traffic 'daily:2,peak=3', peak: got '3'; allowed a number, at least 1, at most 2",
    "users:1.5": "traffic 'users:1.5', N: got '1.5'; allowed a whole number, at least 1; write users:N,think=5",
    "possion:3": "traffic: got 'possion:3'; allowed a file of requests, or poisson:RATE",
    "": "traffic: got ''; allowed a file of requests",
    "chat:1,turns": "traffic 'chat:1,turns', turns: got ''; allowed a whole number, at least 1",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_mistake_in_a_form_says_what_is_allowed(text):
    (fault,) = faults_of(text)
    assert fault.startswith(FAULTS[text])


def test_all_mistakes_of_a_command_come_together():
    found = faults_of(
        "gamma:-1,cv=0", rate_scale=0.0, n_requests=0, seed=-1, prompt="normal:3", output="lognormal:0,cv=x"
    )
    assert [fault.split(": got")[0] for fault in found] == [
        "rate_scale", "n_requests", "seed", "traffic 'gamma:-1,cv=0', RATE", "traffic 'gamma:-1,cv=0', cv",
        "prompt", "output 'lognormal:0,cv=x', MEAN", "output 'lognormal:0,cv=x', cv",
    ]  # fmt: skip


@pytest.mark.parametrize("prompt", ["fixed:99999999999999999999", "lognormal:1e30"])
def test_no_prompt_is_longer_than_a_trace_s_may_be(prompt):
    (fault,) = faults_of("poisson:1", prompt=prompt)
    assert "at least 1, at most 2,147,483,647" in fault


def test_the_rate_of_users_follows_from_the_answers():
    (fault,) = faults_of("users:3", rate_scale=2.0)
    assert fault.startswith("rate_scale: got 2; allowed 1 with users")


def test_a_column_that_lengths_lack_is_told(tmp_path):
    path = write(tmp_path, "t.csv", "a,b\n1,2\n")
    (fault,) = faults_of("poisson:1", prompt=f"empirical:{path}")
    assert fault.startswith("t.csv: got columns a, b; allowed a column named contexttokens")


def test_requests_one_by_one_are_those_of_the_chunk():
    (chunk,) = traffic_of("poisson:1", n_requests=5)
    requests = list(chain(chunk.one_by_one()))
    assert [request.prompt_tokens for request in requests] == chunk.prompt_tokens_N.tolist()
    assert [request.arrival_s for request in requests] == chunk.arrival_s_N.tolist()
