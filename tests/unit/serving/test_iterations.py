"""Schedulers that launch several decode steps at once: when they look, what they hold, what they hide and what it
costs. Against the plain loop: test_replica."""

import numpy as np
import pytest
from unit.serving.toy_steps import ConstantSteps, requests

from simulator.serving.blocks import IterationBlocks
from simulator.serving.growth import Growth, Speculation
from simulator.serving.knobs import BackendKnobs
from simulator.serving.metrics import serving_metrics
from simulator.serving.replay import replay
from workloads.batch import Mtp


def run(rows, *, step_s=1.0, kv_blocks=1000, mtp=None, **knobs):
    steps = ConstantSteps(step_s)
    return replay(
        iter([requests(rows)]), knobs=BackendKnobs(**knobs), step_times=steps, kv_blocks=kv_blocks, mtp=mtp
    )  # fmt: skip


class Drawn:
    """A sequence whose steps bring the tokens that were drawn."""

    def __init__(self, cached, from_step, tokens_S):
        self.cached, self.from_step = cached, from_step
        self._sums_S = np.concatenate([[0], np.cumsum(tokens_S)])

    def gained(self, step):
        return int(self._sums_S[step - self.from_step])


@pytest.mark.parametrize("n_draft", [0, 1, 3])
@pytest.mark.parametrize("n", [2, 4, 8])
def test_the_slots_of_an_iteration_follow_the_report_s_rule(n, n_draft):
    """R_i = R_(i-1) - ΣU_(i-1) + A_(i-1), of which A_i = ΣU_(i-1) are allocated while iteration i runs; of all drafts
    taken for the iteration before the first. For one draft: 4 n - ΣU, from 2 n to 3 n."""
    most, rng = n * (1 + n_draft), np.random.default_rng(n)
    u_IN = rng.integers(1, 2 + n_draft, (50, n))
    blocks = IterationBlocks(10_000, 1, n_steps=n, n_draft=n_draft)
    drawn = Drawn(100, 7, u_IN.ravel())
    left, allocated, brought = most, most, most  # R_0, A_0, ΣU of the iteration before the first
    for i in range(50):
        cached = drawn.cached + drawn.gained(7 + i * n)
        assert blocks.held_slots(drawn, i) - cached == left == 2 * most - brought
        assert most <= left <= most + n * n_draft
        brought = int(u_IN[i].sum())
        left, allocated = left - brought + allocated, brought
    assert n_draft != 1 or most == 2 * n


@pytest.mark.parametrize("block_tokens", [1, 4, 16])
@pytest.mark.parametrize("n_draft", [0, 1])
def test_a_sequence_takes_the_blocks_of_its_slots_when_an_iteration_begins(block_tokens, n_draft):
    blocks = IterationBlocks(10_000, block_tokens, n_steps=4, n_draft=n_draft)
    growth = Growth(37, 5, 31, 31 if n_draft == 0 else 19)
    blocks.used = blocks.of(growth.cached)
    blocks.join(growth)
    for step in range(5, growth.last_step):
        assert blocks.taken_at(step) <= blocks.of(blocks.held_slots(growth, 9)) - blocks.used
        blocks.grow(step, 1)
        assert blocks.used == blocks.of(blocks.held_slots(growth, (step - 5) // 4))
    assert blocks.leave(growth, growth.last_step) == blocks.used


def test_an_arrival_waits_for_the_end_of_an_iteration_or_of_the_next():
    """Steps of 1 s; a prompt until 1 s, then four decodes at once until 5 s and 9 s."""
    rows = [(0.0, 16, 20), (2.5, 16, 2)]
    assert run(rows, steps_per_schedule=4).requests["admitted_s"].tolist() == [0.0, 5.0]
    assert run(rows, steps_per_schedule=4, async_scheduling=True).requests["admitted_s"].tolist() == [0.0, 9.0]


def test_a_request_that_ends_keeps_its_place_to_the_end_of_the_iteration():
    """The second ends at 3 s and takes part in two steps more, the last at 20 s of an iteration until 21 s."""
    rows = [(0.0, 16, 20), (0.0, 16, 3), (0.5, 16, 2)]
    plain = run(rows, max_num_seqs=2, steps_per_schedule=4)
    assert plain.requests["end_s"].tolist()[1] == 3.0
    assert plain.requests["admitted_s"].tolist() == [0.0, 0.0, 5.0]
    late = run(rows, max_num_seqs=2, steps_per_schedule=4, async_scheduling=True)
    assert late.requests["admitted_s"].tolist() == [0.0, 0.0, 9.0]
    assert run([(0.0, 16, 3)], steps_per_schedule=4).n_wasted == 2
    assert serving_metrics(run([(0.0, 16, 3)], steps_per_schedule=4))["wasted_share"] == 0.5


def test_what_comes_after_the_last_answer_waits_for_the_iteration():
    """The first is answered at 3 s, its iteration runs until 5 s."""
    assert run([(0.0, 16, 3), (3.5, 16, 2)], steps_per_schedule=4).requests["admitted_s"].tolist() == [0.0, 5.0]


@pytest.mark.parametrize(("n", "step_s"), [(1, 10.0), (2, 5.0), (4, 3.0), (8, 3.0)])
def test_the_host_hides_behind_all_steps_of_an_iteration(n, step_s):
    """Steps of 3 s and a scheduler of 10 s: an iteration takes the longer of 10 s and 3 n s."""
    done = run([(0.0, 16, 17)], step_s=3.0, steps_per_schedule=n, async_scheduling=True, scheduler_overhead_s=10.0)
    assert done.requests["end_s"][0] - done.requests["first_token_s"][0] == 16 * step_s
    shown = run([(0.0, 16, 17)], step_s=3.0, steps_per_schedule=n, scheduler_overhead_s=10.0)
    assert shown.requests["end_s"][0] - shown.requests["first_token_s"][0] == 16 * 3.0 + 16 / n * 10.0


def test_drafts_that_are_never_accepted_bring_one_token_per_step():
    rows = [(i * 3.0, 20 + i, 5 + i) for i in range(20)]
    none = run(rows).requests
    in_vain = run(rows, mtp=Mtp(n_draft=2, acceptance=(0.0, 0.0))).requests
    assert in_vain.equals(none)
    assert Speculation(Mtp(n_draft=1, acceptance=(0.0,)), seed=0).n_steps(50) == 50
