"""Replicas that fail: by hand, and what must hold whatever breaks."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.serving.toy_pools import FAILURES, LINKS, POOLS, breaks, loads, pool, serve
from unit.serving.toy_steps import TICK_S

from simulator.failures import FailureEvent, Failures
from simulator.serving.failure_metrics import failure_metrics
from simulator.serving.littles_law import littles_law_gap
from workloads.batch import Mtp

DEAD = Failures(
    events=[FailureEvent(at_s=30 * TICK_S, kind="device")], detection_s=100 * TICK_S, repair_s=200 * TICK_S,
    restart_s=10 * TICK_S,
)  # fmt: skip


def run(rows, failures, *, decode=None, prefill=None, link=None, **more):
    decode = decode or pool()
    pools = {"replicas": decode, **({"prefill": prefill} if prefill else {})}
    return serve(rows, decode=decode, prefill=prefill, link=link, breaks=breaks(failures, pools), **more)


def test_a_dead_replica_by_hand():
    """A prompt of 256 takes 24 ticks, the second token 10, to 34: the step that runs at 30 is the last. Noticed at 130;
    repaired at 330, restarted at 340, weights loaded at 345; the request, alone, waits for the same replica: prompt
    and 2 tokens, 258, take 8 + 258 / 16 ticks."""
    done = run([(0.0, 256, 3)], DEAD)
    assert (done.run.requests["first_token_s"] / TICK_S).tolist() == [24]
    assert (done.run.requests["end_s"] / TICK_S).tolist() == [345 + 8 + 258 / 16]
    (outage,) = done.outages.log
    assert outage.n_moved == 1
    assert outage.serves_s == outage.back_s == 345 * TICK_S
    known = failure_metrics(done.outages.log, n_replicas=1, end_s=done.run.end_s, n_lost=0)
    assert known["availability"] == pytest.approx(1 - 315 / (345 + 8 + 258 / 16))


def test_another_replica_answers_what_the_dead_one_leaves():
    """The second replica takes it at 130 ticks, when the first is known to be dead."""
    done = run([(0.0, 256, 3)], DEAD, decode=pool(2))
    assert (done.run.requests["end_s"] / TICK_S).tolist() == [130 + 8 + 258 / 16]
    assert done.run.requests["replica"].tolist() == [1]


def test_a_spare_node_takes_the_place_at_once():
    done = run([(0.0, 256, 3)], replace(DEAD, n_spare_nodes=1))
    assert done.outages.log[0].back_s == (130 + 10 + 5) * TICK_S
    twice = replace(DEAD, n_spare_nodes=1, events=[*DEAD.events, FailureEvent(at_s=200 * TICK_S, kind="device")])
    second = run([(0.0, 256, 300)], twice).outages.log[1]
    assert second.back_s == (330 + 10 + 5) * TICK_S  # the first one's node, repaired


def test_a_straggler_makes_every_step_longer_while_it_lasts():
    """Prompt 24 ticks; from 24 on twice as long: 20 for the second token; whole again at 40, so 10 + 1/256."""
    slow = Failures(events=[FailureEvent(at_s=10 * TICK_S, kind="straggler")], straggler_slowdown=2.0,
                    straggler_s=30 * TICK_S)  # fmt: skip
    done = run([(0.0, 256, 3)], slow)
    assert (done.run.requests["end_s"] / TICK_S).tolist() == [24 + 20 + 10 + 1 / 256]


def test_a_degraded_replica_goes_on_with_the_groups_that_are_left():
    """Two groups of one GPU; one dies at 30, and what it had goes to the other."""
    failures = replace(DEAD, then="degraded", reconfigure_s=20 * TICK_S)
    done = run([(0.0, 256, 200), (0.0, 256, 200)], failures, decode=pool(n_groups=2))
    (outage,) = done.outages.log
    assert (outage.capacity, outage.n_moved) == (0.5, 1)
    assert outage.serves_s == 150 * TICK_S
    assert (done.run.requests["state"] == "done").all()


@settings(max_examples=150, deadline=None)
@given(
    rows=loads(), decode=POOLS, failures=FAILURES, n_draft=st.integers(0, 2),
    before=st.none() | st.tuples(POOLS, LINKS), dies=st.sampled_from(["replicas", "prefill"]),
)  # fmt: skip
def test_whatever_breaks(rows, decode, failures, n_draft, before, dies):
    """Every request ends once, or is lost where failures say so; nothing leaks; a dead replica runs no step."""
    mtp = Mtp(n_draft=n_draft, acceptance=(0.7, 0.5)[:n_draft])
    prefill, link = before or (None, None)
    failures = replace(failures, events=[replace(e, pool=dies if before else "replicas") for e in failures.events])
    done = run(rows, failures, decode=decode, prefill=prefill, link=link, mtp=mtp)
    table = done.run.requests
    assert set(table["state"]) <= {"done", "rejected"}
    lost = table["reason"] == "lost with its replica"
    assert not lost.any() or failures.retry == "lost"
    answered = table[table["state"] == "done"]
    assert (answered["first_token_s"] >= answered["admitted_s"]).all()
    assert (answered["end_s"] >= answered["first_token_s"]).all()
    assert done.run.samples.groupby("replica").last()["kv_used_share"].max() == 0.0
    if not lost.any():
        assert littles_law_gap(done.run) < 1e-9
    first = prefill.n_replicas if prefill and dies == "replicas" else 0
    for outage in done.outages.log:
        steps = done.run.iterations[done.run.iterations["replica"] == first + outage.replica]
        assert not ((steps["start_s"] > outage.at_s) & (steps["start_s"] < outage.serves_s)).any()
    again = run(rows, failures, decode=decode, prefill=prefill, link=link, mtp=mtp)
    assert again.run.requests.equals(table)


def test_failures_that_are_drawn_come_as_often_as_they_should():
    """Two replicas of two GPUs, a failure of each per 0.01 hours: 4 x 100 per hour; back at once."""
    drawn = Failures(mtbf_hours={"device": 0.01}, detection_s=0.0, repair_s=0.0, restart_s=0.0)
    rows = [(3600.0 * i / 50, 10, 2) for i in range(51)]
    done = run(rows, drawn, decode=pool(2, n_groups=2))
    n = sum(outage.at_s < 3600.0 for outage in done.outages.log)
    assert n == pytest.approx(400, abs=4 * 400**0.5)
