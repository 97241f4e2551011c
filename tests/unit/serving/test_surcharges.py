"""What steps take beyond their work: experts that move, and routing that is drawn."""

from math import sqrt

import numpy as np
import pytest
from unit.serving.toy_steps import TICK_S, ConstantSteps, ToyLines, requests

from simulator.serving.knobs import BackendKnobs
from simulator.serving.replacing import Replacing
from simulator.serving.replay import replay
from simulator.serving.routing_noise import Added, RoutingNoise
from simulator.serving.surcharges import ReplicaSurcharges, Surcharges

LOAD = [(30 * i * TICK_S, 40 + i % 7, 20 + i % 50) for i in range(60)]
ONE_LONG = [(0.0, 64, 1001)]  # one step with its prompt, then 1,000 decodes


HIDDEN = BackendKnobs(steps_per_schedule=4, async_scheduling=True, scheduler_overhead_s=100 * TICK_S)


def run(rows=LOAD, *, knobs=None, steps=None, seed=0, until_s=float("inf"), **surcharges):
    return replay(iter([requests(rows)]), knobs=knobs or BackendKnobs(), step_times=steps or ToyLines(),
                  kv_blocks=10_000, seed=seed, until_s=until_s, surcharges=Surcharges(**surcharges))  # fmt: skip


def seconds_of(done):
    runs = done.iterations
    return (runs["n_steps"] * (runs["step_s"] + runs["growth_s"] * (runs["n_steps"] - 1) / 2)).sum()


class Slower:
    """Toy steps of expected loads, and draws of them that take so many ticks more per decode or prompt token."""

    def __init__(self, ticks):
        self.ticks = ticks

    def seconds(self, batch):
        return (50 + self.ticks * (batch.n_decode + batch.prefill_tokens)) * TICK_S


def noise(*ticks, other=1.0):
    return RoutingNoise(Slower(0.0), [Slower(t) for t in ticks], Slower(other))


@pytest.mark.parametrize("spread", [1, 5, 100])
def test_the_time_that_experts_add_is_what_one_placement_takes_times_their_number(spread):
    """Of 1,001 steps the 101st, 201st, … 1,001st begin a placement: ten, of the last only a part where it is spread."""
    still = run(ONE_LONG, steps=ConstantSteps(8 * TICK_S))
    moving = Replacing(every_steps=100, spread_steps=spread, seconds=500 * TICK_S)
    done = run(ONE_LONG, steps=ConstantSteps(8 * TICK_S), replacing=moving)
    assert moving.so_far(1001) == (10, pytest.approx((9 + 1 / spread) * 500 * TICK_S))
    assert done.end_s - still.end_s == pytest.approx((9 + 1 / spread) * 500 * TICK_S)
    assert done.n_steps == still.n_steps


def test_experts_pause_the_very_step_after_those_between_two_placements():
    done = run(ONE_LONG, steps=ConstantSteps(8 * TICK_S), replacing=Replacing(every_steps=400, seconds=100 * TICK_S))
    runs = done.iterations[["n_steps", "step_s"]].to_numpy() / [1, TICK_S]
    assert runs.tolist() == [[1, 8], [399, 8], [1, 108], [399, 8], [1, 108], [200, 8]]


@pytest.mark.parametrize("n", [1, 4])
def test_with_requests_that_come_and_go_every_placement_adds_its_time_to_the_steps(n):
    moving, knobs = Replacing(every_steps=7, spread_steps=3, seconds=90 * TICK_S), BackendKnobs(steps_per_schedule=n)
    done = run(knobs=knobs, replacing=moving)
    plain = run(knobs=knobs, steps=ConstantSteps(8 * TICK_S), replacing=moving)
    assert (done.requests["state"] == "done").all()
    assert plain.busy_s == pytest.approx(plain.n_steps * 8 * TICK_S + moving.so_far(plain.n_steps)[1])
    assert seconds_of(done) == pytest.approx(done.busy_s)


def test_the_host_s_time_does_not_hide_behind_experts_that_move():
    """A prompt and 250 iterations of four steps, each as long as the host's 100 ticks, and the placements on top."""
    moving = Replacing(every_steps=7, spread_steps=3, seconds=90 * TICK_S)
    done = run(ONE_LONG, knobs=HIDDEN, steps=ConstantSteps(8 * TICK_S), replacing=moving)
    assert done.n_steps == 1001
    assert done.end_s == pytest.approx(251 * 100 * TICK_S + moving.so_far(1001)[1])


def test_the_host_s_time_hides_behind_steps_as_long_as_their_noise_made_them():
    """Three noisy steps take what they take, the fourth fills the 100 ticks up; its own noise of √2 ticks is on top,
    which 250 iterations show to 5 %. Were three steps' mean filled up, an iteration would vary by √8."""
    done = run(ONE_LONG, knobs=HIDDEN, steps=ConstantSteps(8 * TICK_S), routing=noise(1.0, 3.0), noisy=True)
    runs = done.iterations.iloc[1:]
    ends = runs["n_steps"].cumsum().to_numpy() % 4 == 0
    ticks = np.diff(np.cumsum(runs["n_steps"] * runs["step_s"]).to_numpy()[ends], prepend=0.0) / TICK_S
    assert len(ticks) == 250
    assert ticks.mean() == pytest.approx(100.0, abs=0.3)
    assert ticks.std() == pytest.approx(sqrt(2), rel=0.15)


def test_experts_that_move_after_the_last_step_are_as_those_that_never_move():
    never, late = run(), run(replacing=Replacing(every_steps=10**6, seconds=1.0))
    assert late.requests.equals(never.requests)
    assert late.iterations.equals(never.iterations)


def test_noise_adds_the_mean_of_the_draws_at_its_knots_and_lines_between():
    """Draws take 1 and 3 ticks more per decode: 2 in the mean, standard deviation √2; 11 lies between 8 and 12."""
    found = noise(1.0, 3.0)
    assert found.decodes(8) == pytest.approx(Added(16 * TICK_S, 8 * sqrt(2) * TICK_S))
    assert found.decodes(11) == pytest.approx(Added(22 * TICK_S, 11 * sqrt(2) * TICK_S))
    assert found.with_prompts(10, 300) == pytest.approx(Added(620 * TICK_S, 310 * sqrt(2) * TICK_S))
    assert found.decodes(0) == Added(0.0, 0.0)


def test_the_error_of_noise_is_that_against_another_draw():
    found = noise(1.0, 3.0, other=3.0)
    found.decodes(10)
    assert found.error().worst == pytest.approx(1 - 70 / 80)
    assert noise(1.0, 3.0).error().n_steps == 0


def test_noise_that_is_its_mean_makes_every_step_longer_by_it():
    mean = run(ONE_LONG, steps=ConstantSteps(8 * TICK_S), routing=noise(1.0, 3.0))
    assert mean.end_s == pytest.approx((1001 * 8 + 1000 * 2 + 64 * 2) * TICK_S)


def test_noise_is_the_same_for_the_same_seed_and_another_for_another():
    first, again, other = (run(routing=noise(0.1, 0.3), noisy=True, seed=seed) for seed in (1, 1, 2))
    assert first.requests.equals(again.requests)
    assert not first.requests["end_s"].equals(other.requests["end_s"])


def test_replicas_draw_their_noise_independently():
    drawn = Surcharges(routing=noise(1.0, 3.0), noisy=True)
    assert drawn.of(seed=0, number=0).with_prompts_s(4, 9) != drawn.of(seed=0, number=1).with_prompts_s(4, 9)


@pytest.mark.parametrize("n", [1, 9, 400])
def test_the_sum_of_n_noisy_steps_has_n_times_the_variance_of_one(n):
    """2,000 sums: their standard deviation is known to 1.6 % of itself."""
    drawn = ReplicaSurcharges(noise(1.0, 3.0), Replacing(), np.random.default_rng(0))
    sums = [n * drawn.run(100.0, 0.0, room_s=1e9, most=n, spread_s=2.0, n_done=0)[0] for _ in range(2000)]
    assert np.std(sums) == pytest.approx(2.0 * sqrt(n), rel=0.05)
    assert np.mean(sums) == pytest.approx(100.0 * n, abs=4 * 2.0 * sqrt(n / 2000))


def test_no_step_begins_at_the_end_of_the_clock_or_later_however_long_its_noise():
    done = run(ONE_LONG, steps=ConstantSteps(8 * TICK_S), routing=noise(0.0, 4.0), noisy=True, until_s=900 * TICK_S)
    last = done.iterations.iloc[-1]
    began_s = last["start_s"] + last["step_s"] * (last["n_steps"] - 1)
    assert began_s < 900 * TICK_S <= done.end_s


def test_steps_that_wait_for_experts_are_of_one_length_in_a_run():
    drawn = ReplicaSurcharges(None, Replacing(every_steps=10, spread_steps=4, seconds=8.0), None)
    assert drawn.run(1.0, 0.0, room_s=1e9, most=99, spread_s=0.0, n_done=11) == (3.0, 3)
    assert drawn.run(1.0, 0.0, room_s=1e9, most=99, spread_s=0.0, n_done=14) == (1.0, 6)
