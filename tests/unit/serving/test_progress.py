"""Replays under way: what has ended is told once, a watch ends them where they stand, full queues turn away."""

import pandas as pd
import pytest
from unit.serving.toy_steps import ConstantSteps, ToyLines, requests

from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import Ledger
from simulator.serving.metrics import serving_metrics
from simulator.serving.replay import replay
from workloads.traffic.requests import Request
from workloads.traffic.sources import traffic_of

ROWS = [(i * 0.01, 50, 1 + i % 30) for i in range(100)]


def run(traffic=None, *, watch=None, steps=None, n_replicas=2, **knobs):
    return replay(
        traffic or iter([requests(ROWS)]), knobs=BackendKnobs(**knobs), step_times=steps or ToyLines(),
        kv_blocks=1000, n_replicas=n_replicas, watch=watch,
    )  # fmt: skip


def users():
    return traffic_of("users:5,think=0.1", n_requests=100, prompt="fixed:64", output="fixed:10")


@pytest.mark.parametrize("make", [lambda: iter([requests(ROWS)]), users])
def test_what_has_ended_is_told_once(make):
    told = []

    def watch(progress):
        if progress.n_done % 7 == 0:
            told.append(progress.take_ended())
        return True

    table = run(make(), watch=watch).requests
    rows = pd.concat(told, ignore_index=True).sort_values("request", ignore_index=True)
    assert len(rows) >= 90  # the last ones end after the last look
    assert rows["request"].is_unique
    assert rows["end_s"].tolist() == table["end_s"][rows["request"]].tolist()


@pytest.mark.parametrize("make", [lambda: iter([requests(ROWS)]), users])
def test_a_watch_changes_nothing(make):
    assert run(make(), watch=lambda progress: True).requests.equals(run(make()).requests)


def test_a_stopped_stream_has_what_came_until_then():
    table = run(watch=lambda progress: progress.n_arrived < 40).requests
    assert len(table) == 40
    assert table["state"].value_counts()["done"] > 10


def test_a_replay_stops_after_the_last_arrival_too():
    stopped = run(steps=ConstantSteps(1.0), watch=lambda progress: progress.n_done < 50)
    assert len(stopped.requests) == 100
    assert 50 <= (stopped.requests["state"] == "done").sum() < 60


def test_stopped_sessions_ask_no_more():
    assert len(run(users(), watch=lambda progress: progress.n_done < 30).requests) < 40


def test_a_full_queue_turns_away_and_is_an_overload():
    """One at a time, ten seconds each; two come every second, three may wait."""
    rows = [(i * 0.5, 10, 10) for i in range(200)]
    done = run(iter([requests(rows)]), steps=ConstantSteps(1.0), n_replicas=1, max_num_seqs=1, max_queue=3)
    rejected = done.requests[done.requests["state"] == "rejected"]
    assert set(rejected["reason"]) == {"the queue is full"}
    assert done.samples["waiting"].max() == 3
    assert serving_metrics(done)["verdict"] == "overloaded"


def test_a_session_that_was_turned_away_asks_again():
    traffic = traffic_of("users:9,think=1", n_requests=60, prompt="fixed:10", output="fixed:10")
    table = run(traffic, steps=ConstantSteps(1.0), n_replicas=1, max_num_seqs=1, max_queue=2).requests
    assert len(table) == 60
    assert set(table["state"]) == {"done", "rejected"}


def test_prefix_ids_go_once_a_request_is_answered():
    """A conversation's ids are far larger than all else that is known of its requests."""
    ledger = Ledger()
    for _ in range(2):
        ledger.add(Request(arrival_s=0.0, prompt_tokens=32, output_tokens=1, prefix_ids=(1, 2), block_tokens=16))
    ledger.done(0, 1.0)
    assert ledger.prefix_ids == [(), (1, 2)]
