"""Prompts that share their beginning, and replicas that share the requests."""

import pytest
from unit.serving.toy_steps import TICK_S, ToyLines, requests

from hw_profiles.faults import InputFaults
from simulator.serving.knobs import BackendKnobs
from simulator.serving.replay import replay


def run(chunk, **more):
    return replay(iter([chunk]), **{"knobs": BackendKnobs(), "step_times": ToyLines(), "kv_blocks": 1000, **more})


def turns(rows, ids):
    return requests(rows, prefix_ids=ids, block_tokens=64)


LATER = [(0.0, 128, 2), (1.0, 192, 2), (2.0, 128, 2)]
IDS = [[1, 2], [1, 2, 3], [1, 2]]


def test_blocks_of_earlier_prompts_are_not_computed_again():
    """The second prompt finds two hashed blocks of 64; the third, all of which is known, computes its last KV block of
    16 tokens: a token at least has to be computed."""
    done = run(turns(LATER, IDS))
    assert done.requests["hit_tokens"].tolist() == [0, 128, 112]
    assert done.iterations["prefill_tokens"].sum() == 128 + 64 + 16


@pytest.mark.parametrize(("prefix_known", "hits"), [("scheduled", [0, 128]), ("computed", [0, 0])])
def test_equal_prompts_of_one_step_share_blocks_where_they_are_known_once_scheduled(prefix_known, hits):
    done = run(
        turns([(0.0, 192, 2), (0.0, 192, 2)], [[1, 2, 3], [1, 2, 4]]), knobs=BackendKnobs(prefix_known=prefix_known)
    )
    assert done.requests["hit_tokens"].tolist() == hits


def test_without_prefix_caching_every_prompt_is_computed():
    done = run(turns(LATER, IDS), knobs=BackendKnobs(prefix_caching=False))
    assert done.requests["hit_tokens"].tolist() == [0, 0, 0]


def test_what_is_cached_gives_way_to_those_who_run():
    """20 blocks of 16 tokens: the prompt between takes 17 of them, so that of the first prompt's 8 blocks 4 can stay,
    which is one hashed block; the third prompt finds its first."""
    rows = [(0.0, 128, 2), (1.0, 256, 2), (2.0, 192, 2)]
    done = run(turns(rows, [[1, 2], [7, 8, 9, 10], [1, 2, 3]]), kv_blocks=20)
    assert done.requests["hit_tokens"].tolist() == [0, 0, 0]
    roomy = run(turns(rows, [[1, 2], [7, 8, 9, 10], [1, 2, 3]]), kv_blocks=30)
    assert roomy.requests["hit_tokens"].tolist() == [0, 0, 128]


def test_hashed_blocks_that_cut_kv_blocks_are_refused():
    with pytest.raises(InputFaults, match=r"serving\.block_tokens: got 48; allowed a divisor of 64"):
        run(turns(LATER, IDS), knobs=BackendKnobs(block_tokens=48))


def test_arrivals_that_go_backwards_are_refused():
    with pytest.raises(InputFaults, match="an arrival before the one before it"):
        run(requests([(1.0, 5, 5), (0.5, 5, 5)]))


def replicas_of(chunk, router):
    return run(chunk, n_replicas=2, router=router).requests["replica"].tolist()


def test_round_robin_takes_the_replicas_in_turn():
    assert replicas_of(requests([(i * 1.0, 16, 2) for i in range(4)]), "round_robin") == [0, 1, 0, 1]


def test_the_least_loaded_replica_takes_the_request():
    """The first occupies replica 0 for long; the others are short and come when replica 1 is idle again."""
    rows = [(0.0, 16, 5000)] + [(1.0 + i, 16, 2) for i in range(3)]
    assert replicas_of(requests(rows), "least_loaded") == [0, 1, 1, 1]


def test_a_known_prompt_goes_where_it_is_known():
    """Two prompts come at once and go apart; later ones that begin like the second follow it."""
    chunk = turns([(0.0, 128, 2), (0.0, 128, 2), (5.0, 192, 2), (9.0, 192, 2)], [[1, 2], [8, 9], [8, 9, 10], [1, 2, 3]])
    assert replicas_of(chunk, "least_loaded") == [0, 1, 0, 0]
    assert replicas_of(chunk, "prefix_aware") == [0, 1, 1, 0]


def test_two_replicas_are_two_single_ones():
    rows = [(i * 7 * TICK_S, 40 + i, 20) for i in range(30)]
    both = run(requests(rows), n_replicas=2).requests
    for replica in (0, 1):
        own = run(requests(rows[replica::2])).requests
        assert both["end_s"][replica::2].tolist() == own["end_s"].tolist()
