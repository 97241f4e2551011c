"""Blocks of many sequences at once are the blocks of each of them, counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.serving.blocks import Blocks, PlannedBlocks
from simulator.serving.growth import Growth, Speculation
from simulator.serving.prefix_cache import PrefixCache
from workloads.batch import Mtp

PLENTY = 1_000_000


def sequences(same):
    """Sequences that join at decode step 0, 40 tokens from their end at least."""
    steps = st.integers(40, 60)
    pairs = (
        steps.map(lambda n: (n, n)) if same else steps.flatmap(lambda n: st.tuples(st.integers(n, 4 * n), st.just(n)))
    )
    return st.lists(
        st.builds(lambda cached, p: Growth(cached, 0, *p), st.integers(1, 50), pairs), min_size=1, max_size=9
    )


def held(blocks, growths, step):
    return sum(blocks.of(g.cached + g.gained(step)) for g in growths)


def started(kind, growths, size, total=PLENTY):
    blocks = kind(total, size)
    for growth in growths:
        blocks.join(growth)
        blocks.used += blocks.of(growth.cached)
    return blocks


@given(growths=sequences(same=True), size=st.integers(1, 17), runs=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_sequences_that_gain_one_token_each_step(growths, size, runs):
    blocks, step = started(Blocks, growths, size), 0
    for n_steps in runs:
        assert blocks.taken_at(step) == held(blocks, growths, step + 1) - held(blocks, growths, step)
        blocks.grow(step, n_steps)
        step += n_steps
        assert blocks.used == held(blocks, growths, step)


@given(growths=sequences(same=False), size=st.integers(1, 17), runs=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_sequences_whose_steps_bring_several_tokens(growths, size, runs):
    blocks, step = started(PlannedBlocks, growths, size), 0
    for n_steps in runs:
        assert blocks.taken_at(step) == held(blocks, growths, step + 1) - held(blocks, growths, step)
        blocks.grow(step, n_steps)
        step += n_steps
        assert blocks.used == held(blocks, growths, step)
    blocks.leave(growths[0], step)
    blocks.grow(step, 1)
    rest = growths[1:]
    left = blocks.of(growths[0].cached + growths[0].gained(step))
    assert blocks.used == held(blocks, rest, step + 1) + left


@given(growths=sequences(same=True), size=st.integers(1, 17), spare=st.integers(0, 30), asked=st.integers(1, 40))
def test_as_many_steps_fit_as_find_blocks(growths, size, spare, asked):
    for kind in (Blocks, PlannedBlocks):
        blocks = started(kind, growths, size)
        blocks.total = blocks.used + spare
        fitting = blocks.steps_that_fit(0, asked)
        assert held(blocks, growths, fitting) <= blocks.total
        assert fitting == asked or held(blocks, growths, fitting + 1) > blocks.total


def test_drafts_bring_as_many_tokens_per_step_as_their_acceptance_says():
    """1 + 0.8 + 0.8 · 0.5 = 2.2 tokens per step; the last step of 100 tokens wastes half a token or so: 1 %."""
    law = Speculation(Mtp(n_draft=2, acceptance=[0.8, 0.5]), seed=3)
    steps = sum(law.n_steps(100) for _ in range(2000))
    assert 200_000 / steps == pytest.approx(2.2, rel=0.02)


def test_hashed_blocks_are_shared_kept_and_dropped_oldest_first():
    blocks = Blocks(10, 4)
    cache = PrefixCache(blocks, 2)
    blocks.used = 6  # a request has computed three hashed blocks
    assert cache.publish([1, 2, 3]) == (1, 2, 3)
    assert cache.n_known([1, 2, 9]) == 2
    assert cache.newly_used([1, 2]) == 0  # in use already
    cache.use([1, 2])
    cache.release([1, 2, 3])
    assert blocks.used == 4  # 3 is idle
    cache.release([1, 2])
    assert (blocks.used, cache.newly_used([1, 2, 3])) == (0, 6)
    blocks.used = 5  # one hashed block has to go: the end of the prompt, which went idle first
    assert cache.n_known([1, 2, 3]) == 2
