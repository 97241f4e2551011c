"""Prefill and decode on pools of their own: against one pool in the limits, and what must hold whatever comes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.serving.toy_pools import AT_ONCE, LINKS, POOLS, loads, pool, serve
from unit.serving.toy_steps import TICK_S, ToyLines, requests

from simulator.serving.knobs import BackendKnobs
from simulator.serving.littles_law import littles_law_gap
from simulator.serving.replay import replay
from simulator.serving.transfers import KvLink
from workloads.batch import Mtp


def split(rows, *, prefill=None, decode=None, link=AT_ONCE, **more):
    done = serve(rows, prefill=prefill or pool(), decode=decode or pool(), link=link, **more)
    return done.run, done.transfers


def test_one_request_by_hand():
    """A prompt of 256 takes 8 + 16 = 24 ticks. Of its 256 bytes in 4 layers, at 8 a tick, 192 can go meanwhile and the
    last layer's 64 take 8 ticks more, and 2 of latency: first token at 34. Then 8 + 1 + 1 with 256 cached, and
    1/256 more with 257."""
    link = KvLink(bytes_per_s=8 / TICK_S, latency_s=2 * TICK_S, bytes_per_token=1.0, n_layers=4)
    done, moved = split([(0.0, 256, 3)], link=link)
    assert (done.requests["first_token_s"] / TICK_S).tolist() == [34]
    assert (done.requests["end_s"] / TICK_S).tolist() == [34 + 20 + 1 / 256]
    assert moved.moved_bytes == 256
    whole, _ = split([(0.0, 256, 3)], link=replace(link, layerwise=False))
    assert (whole.requests["first_token_s"] / TICK_S).tolist() == [24 + 32 + 2]


def test_two_caches_share_a_link():
    """Two prompts of 128 in one step of 8 + 16 ticks, to one group: one cache after the other, the last quarter of each
    at 2 bytes a tick, of which 24 ticks sent 48 before: 80 left of each, 40 ticks and 40 more."""
    link = KvLink(bytes_per_s=2 / TICK_S, latency_s=0.0, bytes_per_token=1.0, n_layers=4)
    done, moved = split([(0.0, 128, 2), (0.0, 128, 2)], link=link)
    assert (done.requests["first_token_s"] / TICK_S).tolist() == [24 + 40, 24 + 80]
    assert moved.queued_s / TICK_S == 40


@pytest.mark.parametrize("n_draft", [0, 2])
def test_one_at_a_time_over_an_infinite_link_is_one_pool(n_draft):
    rows = [(i * 1e6 * TICK_S, 50 + 37 * i, 1 + 11 * i) for i in range(8)]
    mtp = Mtp(n_draft=n_draft, acceptance=(0.7, 0.5)[:n_draft])
    apart = split(rows, mtp=mtp)[0].requests
    together = replay(iter([requests(rows)]), knobs=BackendKnobs(), step_times=ToyLines(), kv_blocks=10_000, mtp=mtp)
    for name in ("admitted_s", "first_token_s", "end_s"):
        assert apart[name].tolist() == together.requests[name].tolist()


def test_prompts_that_never_meet_decodes_are_answered_as_if_decodes_took_no_time():
    """With decodes elsewhere the waits for prompts are those of a queue of prompts alone."""
    rng = np.random.default_rng(5)
    rows = [
        (float(t), int(p), 30)
        for t, p in zip(np.cumsum(rng.exponential(0.02, 300)), rng.integers(1, 900, 300), strict=True)
    ]
    alone = [(arrival, prompt, 1) for arrival, prompt, _ in rows]
    apart = split(rows, decode=pool(knobs=BackendKnobs(max_num_seqs=300)))[0].requests
    prompts_only = replay(iter([requests(alone)]), knobs=BackendKnobs(), step_times=ToyLines(), kv_blocks=10_000)
    np.testing.assert_allclose(apart["first_token_s"], prompts_only.requests["first_token_s"], rtol=1e-12)


def test_a_full_decode_pool_holds_caches_back_and_they_block_the_prompts():
    """Decode has room for one sequence, prefill for two prompts: the first is fetched at once, so the fourth
    starts when the second is fetched, after the first one's end."""
    small = pool(kv_blocks=5)
    done, _ = split([(0.0, 64, 10)] * 4, decode=small, prefill=pool(kv_blocks=8))
    table = done.requests
    assert (table["first_token_s"].to_numpy()[1:] >= table["end_s"].to_numpy()[:-1]).all()
    assert table["admitted_s"].iloc[3] >= table["end_s"].iloc[0]


@settings(max_examples=150, deadline=None)
@given(rows=loads(), prefill=POOLS, decode=POOLS, link=LINKS, n_draft=st.integers(0, 2))
def test_every_request_ends_once_and_leaves_nothing(rows, prefill, decode, link, n_draft):
    mtp = Mtp(n_draft=n_draft, acceptance=(0.7, 0.5)[:n_draft])
    done, moved = split(rows, prefill=prefill, decode=decode, link=link, mtp=mtp)
    table = done.requests
    assert set(table["state"]) <= {"done", "rejected"}
    answered = table[table["state"] == "done"]
    assert (answered["admitted_s"] >= answered["arrival_s"]).all()
    assert (answered["first_token_s"] >= answered["admitted_s"]).all()
    assert (answered["end_s"] >= answered["first_token_s"]).all()
    assert done.samples.groupby("replica").last()["kv_used_share"].max() == 0.0
    assert littles_law_gap(done) < 1e-9
    several = answered[answered["output_tokens"] > 1]
    assert moved.moved_bytes == several["prompt_tokens"].sum()
    assert moved.n == len(several)
    again, _ = split(rows, prefill=prefill, decode=decode, link=link, mtp=mtp)
    assert again.requests.equals(table)
