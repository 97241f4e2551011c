"""Sessions that wait for answers: users who think, conversations whose turns build on what was said."""

import pytest
from unit.serving.toy_steps import ConstantSteps, ToyLines

from simulator.serving.knobs import BackendKnobs
from simulator.serving.replay import replay
from workloads.traffic.sources import traffic_of


def run(text, *, prompt="fixed:64", output="fixed:10", n_requests=200, steps=None, **more):
    traffic = traffic_of(text, n_requests=n_requests, prompt=prompt, output=output)
    return replay(traffic, knobs=BackendKnobs(), step_times=steps or ToyLines(), kv_blocks=10_000, **more)


@pytest.mark.parametrize("n_replicas", [1, 3])
def test_no_user_has_two_requests_at_once_and_all_are_answered(n_replicas):
    table = run("users:7,think=0.1", n_replicas=n_replicas, router="least_loaded").requests
    assert len(table) == 200
    assert (table["state"] == "done").all()
    ends, starts = table["end_s"].to_numpy(), table["arrival_s"].to_numpy()
    assert all(sum((starts <= t) & (ends > t)) <= 7 for t in starts)


def test_users_who_never_think_keep_as_many_requests_running():
    """Five users, a step of 1 s, ten tokens: a round takes ten seconds and all users move together."""
    table = run("users:5,think=0", n_requests=50, steps=ConstantSteps(1.0)).requests
    assert table["end_s"].max() == 10 * 10.0


def test_replicas_that_wait_for_each_other_answer_like_one_that_is_alone():
    """A user of their own for each of two replicas, in turn: as if there were one user and one replica."""
    both = run("users:2,think=0", n_requests=20, steps=ConstantSteps(1.0), n_replicas=2).requests
    alone = run("users:1,think=0", n_requests=10, steps=ConstantSteps(1.0)).requests
    assert both["end_s"][::2].tolist() == both["end_s"][1::2].tolist() == alone["end_s"].tolist()


def test_a_conversation_finds_what_was_said_before():
    """Turns of 64 new tokens and replies of 128: turn t finds all full blocks of the 192 t tokens said before, but the
    last token of a reply is never in the cache."""
    table = run("chat:1,turns=4", n_requests=4, output="fixed:128").requests
    block = 16
    assert table["prompt_tokens"].tolist() == [64, 256, 448, 640]
    assert table["hit_tokens"].tolist() == [(192 * turn - (turn > 0)) // block * block for turn in range(4)]
