"""The timer, on a clock that the tests move by hand."""

import pytest

pytest.importorskip("torch", reason="the timer times torch")

from validation.measure.timing import Rule, host_stopwatch, spread_of, time_by_turns, time_work

RULE = Rule(n_warm_up=3, n_repeats=20, sample_s=1e-3, spread_bound=0.05, n_rounds=3)


class FakeDevice:
    """A clock, and work that takes the next of `costs_s` of it, the last one for ever."""

    def __init__(self, *costs_s):
        self.costs_s, self.now_s, self.n_calls = list(costs_s), 0.0, 0

    def __call__(self):
        self.now_s += self.costs_s[min(self.n_calls, len(self.costs_s) - 1)]
        self.n_calls += 1

    @property
    def stopwatch(self):
        return host_stopwatch(lambda: self.now_s)


def test_steady_work_takes_what_it_takes():
    device = FakeDevice(0.002)
    timing = time_work(device, device.stopwatch, RULE)
    assert timing.median_s == pytest.approx(0.002, rel=1e-12)  # sums of decimals
    assert (timing.n_repeats, timing.n_rounds, timing.marked) == (20, 1, "")


def test_slow_first_calls_do_not_count():
    device = FakeDevice(9.0, 1.0, 0.002)
    assert time_work(device, device.stopwatch, RULE).median_s == pytest.approx(0.002, rel=1e-12)


def test_short_work_is_called_until_a_sample_is_long_enough():
    device = FakeDevice(0.3e-3)
    time_work(device, device.stopwatch, RULE)
    assert device.n_calls == 1 + 3 + 20 * 4  # 4 calls of 0.3 ms fill 1 ms


def test_work_too_short_for_the_clock_is_called_no_more_than_allowed():
    device = FakeDevice(0.0, 0.0, 0.0, 0.0, 1e-9)
    time_work(device, device.stopwatch, RULE)
    assert device.n_calls == 1 + 3 + 20 * RULE.most_calls


def test_a_wide_spread_is_measured_again():
    unsteady = [0.002, 0.004] * 10
    device = FakeDevice(*[0.002] * 4, *unsteady, 0.003)
    timing = time_work(device, device.stopwatch, RULE)
    assert timing.median_s == pytest.approx(0.003, rel=1e-12)
    assert (timing.n_rounds, timing.marked) == (2, "")


def test_work_that_never_settles_is_marked_with_its_steadiest_round():
    unsteady, steadier = [0.002, 0.006] * 10, [0.002, 0.003] * 10
    device = FakeDevice(*[0.002] * 4, *unsteady, *steadier, *unsteady)
    timing = time_work(device, device.stopwatch, RULE)
    assert timing.median_s == pytest.approx(0.0025)
    assert timing.n_rounds == 3
    assert timing.marked == "spread 0.400 above 0.05"


def test_a_drift_of_the_device_hits_all_that_are_timed_together_alike():
    speed = [1.0]

    class Drifting(FakeDevice):
        def __call__(self):
            speed[0] *= 1.01
            clock.now_s += self.costs_s[0] * speed[0]

    clock = FakeDevice(0.0)
    once, twice = time_by_turns([Drifting(0.01), Drifting(0.02)], clock.stopwatch, RULE)
    assert twice.median_s / once.median_s == pytest.approx(2.0 * 1.01)  # the second of each turn is one step later


def test_spread_is_the_interquartile_range_over_the_median():
    assert spread_of([1.0] * 20) == 0.0
    assert spread_of([0.5] * 10 + [1.5] * 10) == 1.0
    assert spread_of([1.0] * 19 + [100.0]) == 0.0  # one disturbed sample is no spread
