"""The ScMoE paper's block pair by hand: attention A, FFN and shared expert 1, gate + encode + decode G, in times of one
routed expert; the pair's compute never overlaps itself."""

from itertools import product

import pytest

from validation.block_pair_fit import Speedup, fit_pair
from validation.block_pairs import Design, PairTimes, elapsed, speedup
from validation.suites.scmoe import full_hiding_share, hidden_share

# Both all-to-alls of one routed expert: 0.6 / 0.4 x (2 + 3) / 2 = 3.75, so 1.875 each way.
TIMES = PairTimes(attention=2.0, overhead=3.0, share=0.6)
POSITIONS = {position: Design(n_routed=1, shared=True, shortcut=position) for position in (0, 1, 2, 3)}

# What comes before the MoE's input, and the operators of the backbone after it.
BEFORE = {0: (2, 1, 2), 1: (2, 1), 2: (2,), 3: ()}
CASES = list(product((0.0, 0.7, 4.0), (0.0, 2.5), (0.0, 0.2, 0.5, 0.8)))
AFTER = {0: (1,), 1: (2, 1), 2: (1, 2, 1), 3: (2, 1, 2, 1)}


def test_the_baseline_does_everything_in_turn():
    """2 attentions, one FFN, G, two experts, twice the traffic of one expert: 4 + 1 + 3 + 2 + 7.5."""
    assert elapsed(Design(n_routed=2), TIMES) == pytest.approx(17.5, rel=1e-12)


def test_one_routed_expert_halves_experts_and_traffic():
    assert elapsed(Design(n_routed=1), TIMES) == pytest.approx(4 + 1 + 3 + 1 + 3.75, rel=1e-12)


@pytest.mark.parametrize(("position", "expected"), [
    (0, 5 + 3 + 1 + 1.875 + 1.875),  # the shared expert hides behind one of the all-to-alls
    (1, 3 + 3 + 1 + 2.0 + 1.875),  # dispatch behind A, combine beside the shared expert
    (2, 2 + 3 + 1 + 1.875 + 3.0),  # dispatch beside the FFN, combine behind A and the shared expert
    (3, 0 + 3 + 1 + 3.0 + 3.0),  # A and FFN on either side: nothing is exposed
])  # fmt: skip
def test_a_position_takes_what_its_slots_leave(position, expected):
    assert elapsed(POSITIONS[position], TIMES) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("position", [0, 1, 2, 3])
@pytest.mark.parametrize(("attention", "overhead", "share"), CASES)
def test_the_engine_agrees_with_the_elapsed_time_of_the_slot_that_the_rule_chooses(
    position, attention, overhead, share
):
    """max(pre, dispatch) + expert + max(post, combine), the slot by least |pre - dispatch| + |post - combine|."""
    times = PairTimes(attention=attention, overhead=overhead, share=share)
    durations = [attention if d == 2 else 1.0 for d in AFTER[position]]
    first = sum(attention if d == 2 else 1.0 for d in BEFORE[position])
    way = times.all_to_all / 2
    slots = [(sum(durations[:i]), sum(durations[i:])) for i in range(len(durations) + 1)]
    pre, post = min(slots, key=lambda s: round(abs(s[0] - way) + abs(s[1] - way), 9))
    by_hand = first + overhead + max(pre, way) + 1.0 + max(post, way)
    assert elapsed(POSITIONS[position], times) == pytest.approx(by_hand, rel=1e-12)


def test_an_moe_in_every_block_leaves_one_attention_to_a_pair():
    design = Design(n_routed=2, every_block=True)
    assert elapsed(design, TIMES) == pytest.approx(2 + 3 + 2 + 7.5, rel=1e-12)


def test_training_adds_a_backward_pass_of_twice_the_compute_and_the_same_traffic():
    """Top-2: 17.5 + 2 x 10 + 7.5; top-1: 12.75 + 2 x 9 + 3.75."""
    assert speedup(Design(n_routed=1), TIMES, "train") == pytest.approx(45.0 / 34.5, rel=1e-12)


def test_the_hidden_share_is_what_compute_covers():
    """Position 2: 0.875 of the dispatch's 1.875 stands alone, nothing of the combine."""
    assert hidden_share(TIMES) == pytest.approx(1 - 0.875 / 3.75, rel=1e-9)


def test_all_hides_until_a_dispatch_outlasts_the_ffn():
    """One way takes as long as the FFN: both of two experts 4, of 4 + 2 + 3."""
    assert full_hiding_share(TIMES) == pytest.approx(4 / 9, abs=1e-5)


def test_the_fit_finds_the_times_that_made_the_speedups():
    """A small way, so that the shared expert hides all of it: top-1, shared expert and position 2 tell three things."""
    true = PairTimes(attention=1.5, overhead=0.8, share=0.3)
    designs = (Design(n_routed=1), POSITIONS[0], POSITIONS[2])
    made = [Speedup(design=d, phase="inference", value=speedup(d, true, "inference")) for d in designs]
    fitted = fit_pair(made, share=0.3)
    assert (fitted.attention, fitted.overhead) == pytest.approx((1.5, 0.8), abs=0.01)  # the search ends at 1e-3


def test_one_figure_fits_one_unknown():
    true = PairTimes(attention=1.5, overhead=0.8, share=0.3)
    made = [Speedup(design=Design(n_routed=1), phase="train", value=speedup(Design(n_routed=1), true, "train"))]
    assert fit_pair(made, share=0.3, overhead=0.8).attention == pytest.approx(1.5, abs=0.01)
