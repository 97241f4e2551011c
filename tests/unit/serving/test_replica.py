"""One replica: by hand, against the scheduler written out plainly, and what must hold whatever comes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.serving.plain_loop import Job, PlainLoop
from unit.serving.toy_steps import TICK_S, ConstantSteps, ToyGroups, ToyLines, ToySteps, requests, step_s

from simulator.serving.distributions import steps_of
from simulator.serving.knobs import BackendKnobs
from simulator.serving.replay import replay
from workloads.batch import Mtp

ROOMY = 10_000


def run(rows, *, knobs=None, steps=None, kv_blocks=ROOMY, **more):
    return replay(
        iter([requests(rows)]),
        knobs=knobs or BackendKnobs(),
        step_times=steps or ToyLines(),
        kv_blocks=kv_blocks,
        **more,
    )


def test_a_trace_worked_out_by_hand():
    """Two requests; ticks: 8 per step, 1 per decode, 1 per 256 cached tokens, 1 per 16 prompt tokens.

    0: prompt of 256 alone: 8 + 16 = 24. At 10 comes a prompt of 512; at 24 the step of the first's second token and
    that prompt: 8 + 1 + 1 + 32 = 42, to 66: the first's second and last token, the second's first. Then the second
    alone with 512 cached: 8 + 1 + 2 = 11, to 77; with 513: 11 and 1/256.
    """
    table = run([(0.0, 256, 2), (10 * TICK_S, 512, 3)]).requests
    assert (table["admitted_s"] / TICK_S).tolist() == [0, 24]
    assert (table["first_token_s"] / TICK_S).tolist() == [24, 66]
    assert (table["end_s"] / TICK_S).tolist() == [66, 88 + 1 / 256]


def test_where_steps_are_not_mixed_prompts_go_first_and_decodes_wait():
    """As above, but the second prompt has a step of its own: 24 to 64, then both decode: 8 + 2 + (256 + 512) / 256."""
    done = run([(0.0, 256, 2), (10 * TICK_S, 512, 2)], knobs=BackendKnobs(mixed_steps=False))
    assert (done.requests["first_token_s"] / TICK_S).tolist() == [24, 64]
    assert (done.requests["end_s"] / TICK_S).tolist() == [77, 77]
    assert sorted((done.odd_gaps_N2 / [TICK_S, 1]).tolist()) == [[13, -1], [53, 1]]  # the first waited 40 more


@st.composite
def loads(draw):
    """Streams with prompts and outputs small beside a KV room that is often too small for all of them."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng, n = np.random.default_rng(seed), draw(st.integers(1, 40))
    arrival = np.cumsum(rng.integers(0, draw(st.sampled_from([1, 40, 400])), n)) * TICK_S
    prompt, output = rng.integers(1, 120, n), rng.integers(1, 60, n)
    return list(zip(arrival.tolist(), prompt.tolist(), output.tolist(), strict=True))


KNOBS = st.builds(
    BackendKnobs, max_num_seqs=st.integers(1, 12), max_batched_tokens=st.sampled_from([16, 64, 1000]),
    chunked_prefill=st.booleans(), mixed_steps=st.booleans(), block_tokens=st.sampled_from([1, 4, 16]),
    async_scheduling=st.booleans(), scheduler_overhead_s=st.sampled_from([0.0, 3 * TICK_S, 50 * TICK_S]),
    sampling_overhead_s=st.sampled_from([0.0, TICK_S]), steps_per_schedule=st.sampled_from([1, 1, 2, 3, 4, 8]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    rows=loads(), knobs=KNOBS, room=st.sampled_from([200, 400, 4000]), steps=st.sampled_from([ToyLines(), ToySteps()])
)
def test_the_fast_loop_is_the_plain_one_to_the_last_bit(rows, knobs, room, steps):
    kv_blocks = -(-room // knobs.block_tokens)
    done = run(rows, knobs=knobs, steps=steps, kv_blocks=kv_blocks)
    plain = PlainLoop([Job(*row) for row in rows], knobs, step_s, kv_blocks)
    jobs, table = plain.run(), done.requests
    assert table["admitted_s"].tolist() == [job.admitted_s for job in jobs]
    assert table["first_token_s"].tolist() == [job.first_s for job in jobs]
    assert table["end_s"].tolist() == [job.end_s for job in jobs]
    assert table["preemptions"].tolist() == [job.preemptions for job in jobs]
    assert done.n_wasted == plain.n_wasted
    seconds, weights = steps_of(done.iterations)
    odd = done.odd_gaps_N2
    total = (seconds * weights).sum() + (odd[:, 0] * odd[:, 1]).sum()
    assert weights.sum() + odd[:, 1].sum() == len(plain.gaps)
    assert total == sum(plain.gaps)


@settings(max_examples=150, deadline=None)
@given(rows=loads(), knobs=KNOBS, room=st.sampled_from([200, 400, 4000]), n_groups=st.integers(2, 4))
def test_groups_step_together_each_with_its_own_scheduler(rows, knobs, room, n_groups):
    kv_blocks = -(-room // knobs.block_tokens)
    knobs = replace(knobs, group_router="round_robin")
    done = run(rows, knobs=knobs, steps=ToyGroups(), kv_blocks=kv_blocks, n_groups=n_groups)
    plain = PlainLoop([Job(*row) for row in rows], knobs, step_s, kv_blocks, n_groups)
    jobs, table = plain.run(), done.requests
    assert table["admitted_s"].tolist() == [job.admitted_s for job in jobs]
    assert table["first_token_s"].tolist() == [job.first_s for job in jobs]
    assert table["end_s"].tolist() == [job.end_s for job in jobs]
    assert table["preemptions"].tolist() == [job.preemptions for job in jobs]
    seconds, weights = steps_of(done.iterations)
    odd = done.odd_gaps_N2
    assert (seconds * weights).sum() + (odd[:, 0] * odd[:, 1]).sum() == sum(plain.gaps)


@settings(max_examples=60, deadline=None)
@given(rows=loads(), knobs=KNOBS, swap=st.booleans(), drafts=st.integers(0, 3), late=st.booleans())
def test_every_request_ends_once_and_no_block_leaks(rows, knobs, swap, drafts, late):
    changed = {"preemption": "swap" if swap else "recompute", "async_scheduling": late}
    knobs = BackendKnobs(**{**vars(knobs), **changed})
    kv_blocks = -(-250 // knobs.block_tokens)
    mtp = Mtp(n_draft=drafts, acceptance=[0.7] * drafts)
    done = run(rows, knobs=knobs, kv_blocks=kv_blocks, mtp=mtp, kv_bytes_per_token=1e5)
    table = done.requests
    assert (table["state"] == "done").all()
    assert (table["arrival_s"] <= table["admitted_s"]).all()
    assert (table["admitted_s"] < table["first_token_s"]).all()
    assert (table["first_token_s"] <= table["end_s"]).all()
    runs = done.iterations
    ends = runs["start_s"] + runs["n_steps"] * (runs["step_s"] + runs["growth_s"] * (runs["n_steps"] - 1) / 2)
    assert (runs["start_s"].to_numpy()[1:] >= ends.to_numpy()[:-1] - 1e-9).all()
    used = done.samples["kv_used_share"]
    assert used.iloc[-1] == 0.0
    assert used.between(0.0, 1.0).all()


@settings(max_examples=25, deadline=None)
@given(rows=loads())
def test_the_time_that_sequences_decode_is_the_steps_times_those_in_them(rows):
    """Little's law of the decodes: both sides are kept apart, one by request and one by step."""
    done = run(rows, knobs=BackendKnobs(block_tokens=4))
    seconds, weights = steps_of(done.iterations)
    assert (done.requests["end_s"] - done.requests["first_token_s"]).sum() == (seconds * weights).sum()


def test_a_request_that_can_never_fit_is_rejected_with_a_reason():
    table = run([(0.0, 1000, 10), (0.0, 100, 10), (0.0, 100, 0)], kv_blocks=40).requests
    assert table["state"].tolist() == ["rejected", "done", "rejected"]
    assert table["reason"].tolist() == [
        "1000 prompt and 10 output tokens exceed the KV room of 640 tokens",
        "",
        "100 prompt and 0 output tokens: at least one of each is needed",
    ]


def test_what_the_clock_cuts_off_is_still_running():
    table = run([(0.0, 100, 10), (0.0, 100, 10_000), (50.0, 100, 10)], until_s=5.0).requests
    assert table["state"].tolist() == ["done", "running"]


def test_the_same_seed_gives_the_same_bits():
    rows = [(i * TICK_S * 20, 50 + i, 30) for i in range(50)]
    first, again = (run(rows, mtp=Mtp(n_draft=2, acceptance=[0.8, 0.5]), seed=7).requests for _ in range(2))
    assert first.equals(again)


def test_a_swapped_request_comes_back_without_computing_its_prompt_again():
    """Two sequences of 16 + 16 tokens in 3 blocks: the later is preempted; its 16 tokens go and come at 1 tick each."""
    rows = [(0.0, 15, 16), (0.0, 15, 16)]
    knobs = BackendKnobs(preemption="swap", swap_bytes_per_s=1 / TICK_S)
    done = run(rows, knobs=knobs, kv_blocks=3, kv_bytes_per_token=1.0)
    assert done.requests["preemptions"].tolist() == [0, 1]
    assert done.iterations["prefill_tokens"].sum() == 30
    again = run(rows, kv_blocks=3)
    assert again.iterations["prefill_tokens"].sum() == 30 + 15 + 2  # prompt and the two tokens that were out


@pytest.mark.parametrize(("policy", "first"), [("fcfs", 0), ("lcfs", 2), ("shortest_prompt", 1)])
def test_the_policy_says_who_goes_first(policy, first):
    """While one request fills the replica, three come; whichever the policy prefers is admitted next."""
    rows = [(0.0, 16, 50), (TICK_S, 40, 5), (2 * TICK_S, 20, 5), (3 * TICK_S, 30, 5)]
    admitted = run(rows, knobs=BackendKnobs(policy=policy, max_num_seqs=1)).requests["admitted_s"].to_numpy()[1:]
    assert admitted.argmin() == first


def test_a_prompt_takes_no_more_of_a_step_than_its_group_s_budget():
    """Two groups of 64 tokens a step: a prompt of 100 needs two steps, two prompts of 64 share one."""
    knobs = BackendKnobs(max_batched_tokens=64)
    lone = run([(0.0, 100, 1)], knobs=knobs, n_groups=2)
    assert lone.iterations["prefill_tokens"].tolist() == [64, 36]
    pair = run([(0.0, 64, 1), (0.0, 64, 1)], knobs=knobs, n_groups=2)
    assert pair.iterations["prefill_tokens"].tolist() == [128]


def test_host_time_is_hidden_behind_a_step_that_is_longer():
    rows = [(0.0, 16, 3)]  # steps of 9, 9 + 1/16 and so on

    def end_ticks(**knobs):
        return run(rows, knobs=BackendKnobs(**knobs)).requests["end_s"][0] / TICK_S

    plain = end_ticks()
    assert end_ticks(scheduler_overhead_s=TICK_S) == plain + 3
    assert end_ticks(scheduler_overhead_s=TICK_S, async_scheduling=True) == plain
    assert end_ticks(scheduler_overhead_s=20 * TICK_S, async_scheduling=True) == 60
    assert end_ticks(sampling_overhead_s=TICK_S, sequence_overhead_s=TICK_S) == plain + 6


def test_a_preempted_decode_waits_from_its_last_token_on():
    """Prompts go first: two decodes wait behind the third's prompt, and one of them has to go before it has decoded.
    Every second from first to last token is in a gap."""
    rows = [(0.0, 6, 5), (0.0, 4, 7), (1.0, 8, 7), (3.0, 1, 4)]
    knobs = BackendKnobs(mixed_steps=False, block_tokens=1)
    done = run(rows, knobs=knobs, steps=ConstantSteps(1.0), kv_blocks=23)
    seconds, weights = steps_of(done.iterations)
    odd = done.odd_gaps_N2
    gaps_s = (seconds * weights).sum() + (odd[:, 0] * odd[:, 1]).sum()
    assert done.requests["preemptions"].sum() >= 1
    assert gaps_s == (done.requests["end_s"] - done.requests["first_token_s"]).sum()
