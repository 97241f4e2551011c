"""Blocks of many sequences at once are the blocks of each of them, counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.serving.blocks import Blocks, PlannedBlocks, block_pool
from simulator.serving.growth import Growth, Speculation
from simulator.serving.knobs import BackendKnobs
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


def asked(blocks, growths, step, slots_ahead):
    """Blocks after `step` decode steps: in its last one a sequence asked for its next token and so many slots more."""
    tokens = [g.cached + (g.gained(step - 1) + 1 + slots_ahead if step else 0) for g in growths]
    return sum(blocks.of(n) for n in tokens)


def planned(slots_ahead):
    return lambda total, size: PlannedBlocks(total, size, slots_ahead=slots_ahead)


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


@given(
    growths=sequences(same=False), size=st.integers(1, 17), ahead=st.integers(3, 9),
    runs=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)  # fmt: skip
def test_sequences_that_verify_drafts_hold_slots_for_all_of_them(growths, size, ahead, runs):
    blocks, step = started(planned(ahead), growths, size), 0
    for n_steps in runs:
        here = asked(blocks, growths, step, ahead)
        assert blocks.taken_at(step) == asked(blocks, growths, step + 1, ahead) - here
        blocks.grow(step, n_steps)
        step += n_steps
        assert blocks.used == asked(blocks, growths, step, ahead)
    assert blocks.leave(growths[0], step) == asked(blocks, growths[:1], step, ahead)
    assert blocks.taken_at(step) == asked(blocks, growths[1:], step + 1, ahead) - asked(
        blocks, growths[1:], step, ahead
    )


@given(growths=sequences(same=True), size=st.integers(1, 17), spare=st.integers(0, 30), n_steps=st.integers(1, 40))
def test_as_many_steps_fit_as_find_blocks(growths, size, spare, n_steps):
    for kind in (Blocks, planned(0)):
        blocks = started(kind, growths, size)
        blocks.total = blocks.used + spare
        fitting = blocks.steps_that_fit(0, n_steps)
        assert held(blocks, growths, fitting) <= blocks.total
        assert fitting == n_steps or held(blocks, growths, fitting + 1) > blocks.total


def test_two_drafts_take_the_block_of_five_slots_at_once():
    """12 tokens in blocks of 4: the next token, two drafts and two lookahead slots reach token 17: two blocks more."""
    blocks = block_pool(100, BackendKnobs(block_tokens=4), n_draft=2)
    blocks.join(Growth(12, 0, 4, 2))
    assert (blocks.taken_at(0), blocks.taken_at(1)) == (2, 0)


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
