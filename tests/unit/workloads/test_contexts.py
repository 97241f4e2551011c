import numpy as np
import pytest
from unit.workloads.toys import toy_step

from workloads.batch import Mtp
from workloads.contexts import draw_contexts, rank_batches
from workloads.layout import Layout


def drawn(step, seed=0):
    return draw_contexts(step, np.random.default_rng(seed))


def test_equal_contexts_are_not_drawn():
    assert drawn(toy_step()) is None
    assert drawn(toy_step(context_tokens=0, context_cv=1.0)) is None


@pytest.mark.parametrize("cv", [0.3, 1.0])
def test_contexts_have_the_mean_and_the_spread_asked_for(cv):
    """64,000 lognormal draws: the mean within 5 sigma / sqrt(n), the spread within 5 %."""
    contexts = drawn(toy_step(n_gpus=64, sequences=1000, context_tokens=5000, context_cv=cv))
    assert contexts.shape == (64, 1000)
    assert contexts.mean() == pytest.approx(5000, rel=5 * cv / 64_000**0.5)
    assert contexts.std() / contexts.mean() == pytest.approx(cv, rel=0.05)


def test_least_kv_spreads_the_same_sequences_more_evenly_than_chance():
    random = toy_step(n_gpus=8, ep=4, sequences=16, context_tokens=1000, context_cv=1.0)
    even = toy_step(n_gpus=8, ep=4, sequences=16, context_tokens=1000, context_cv=1.0, request_balance="least_kv")
    by_chance, by_kv = drawn(random), drawn(even)
    assert sorted(by_chance.ravel()) == sorted(by_kv.ravel())
    assert by_kv.shape == by_chance.shape
    assert np.ptp(by_kv.sum(axis=1)) < 0.2 * np.ptp(by_chance.sum(axis=1))


def test_a_group_of_attention_ranks_shares_its_sequences():
    step = toy_step(layout=Layout(attention_tp=2), sequences=3, mtp=Mtp(n_draft=1, acceptance=(0.5,)))
    (batch,) = rank_batches(step, None, 1)
    assert batch.group_sequences_R.tolist() == [6] * 4  # 3 per GPU, 2 GPUs
    assert batch.group_tokens_R.tolist() == [12] * 4  # each with one draft
    assert batch.tokens_R.tolist() == [6] * 4
    assert batch.group_context_R.tolist() == [60] * 4


def test_queries_see_the_cache_and_the_queries_before_them():
    """3 sequences, 10 cached, 2 queries: 3 x (2 x 10 + 1 + 2) pairs."""
    (batch,) = rank_batches(toy_step(mtp=Mtp(n_draft=1, acceptance=(0.5,))), None, 1)
    assert batch.group_pairs_R.tolist() == [3 * (2 * 10 + 3)] * 4


def test_the_first_half_gets_the_odd_sequence():
    halves = rank_batches(toy_step(sequences=5), None, 2)
    assert [half.group_sequences_R[0] for half in halves] == [3, 2]
    assert [half.group_context_R[0] for half in halves] == [30, 20]


def test_a_fraction_of_a_sequence_is_cut_evenly():
    assert [half.tokens_R[0] for half in rank_batches(toy_step(sequences=2.5), None, 2)] == [1.25, 1.25]


def test_halves_hold_the_contexts_that_were_drawn():
    step = toy_step(sequences=3, context_cv=0.5)
    contexts_GS = drawn(step)
    first, second = rank_batches(step, contexts_GS, 2)
    assert first.group_context_R == pytest.approx(contexts_GS[:, :2].sum(axis=1))
    assert second.group_context_R == pytest.approx(contexts_GS[:, 2])


def test_a_prefill_has_its_prompt_as_queries():
    step = toy_step(phase="prefill", prompt_tokens=4, context_tokens=0)
    (batch,) = rank_batches(step, None, 1)
    assert batch.tokens_R.tolist() == [12] * 4
    assert batch.group_pairs_R.tolist() == [3 * (1 + 2 + 3 + 4)] * 4
