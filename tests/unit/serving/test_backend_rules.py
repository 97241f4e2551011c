"""Where vLLM's and SGLang's schedulers differ, and what asynchronous scheduling does not know in time."""

import pytest
from unit.serving.toy_steps import TICK_S, ConstantSteps, requests

from simulator.serving.blocks import Blocks
from simulator.serving.decodes import Decodes
from simulator.serving.growth import Growth, Plain
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import Ledger
from simulator.serving.preemption import loser
from simulator.serving.replay import replay
from simulator.serving.reserve import OutputReserve

SGLANG = {
    "mixed_steps": False, "block_tokens": 1, "whole_prompt_fits": True, "reserved_output_share": 0.7,
    "reserved_share_floor": 0.14, "reserve_decay_steps": 600, "reserve_ahead_steps": 20, "admits_after_end": True,
    "preempted_first": "fewest_output", "preempted_wait": "back", "prefix_known": "computed",
}  # fmt: skip


def run(rows, *, kv_blocks=1000, **knobs):
    steps = ConstantSteps(1.0)
    return replay(iter([requests(rows)]), knobs=BackendKnobs(**knobs), step_times=steps, kv_blocks=kv_blocks).requests


def ledger_of(*rows):
    ledger = Ledger()
    ledger.extend(requests([(0.0, *row) for row in rows]), len(rows))
    return ledger


def reserve_of(ledger, **knobs):
    return OutputReserve(BackendKnobs(**{**SGLANG, **knobs}), ledger, Blocks(1000, 1))


def test_a_prompt_enters_by_its_first_chunk_or_only_where_all_of_it_fits():
    """20 blocks of 16 hold 320 tokens. While one of 200 runs, one of 160 comes in chunks of 64: its first finds room,
    again and again, its third never does."""
    rows, knobs = [(0.0, 200, 20), (5.0, 160, 2)], {"max_batched_tokens": 64}
    by_chunk = run(rows, kv_blocks=20, **knobs)
    whole = run(rows, kv_blocks=20, whole_prompt_fits=True, **knobs)
    assert by_chunk["preemptions"][1] > 1
    assert whole["preemptions"].tolist() == [0, 0]
    assert whole["admitted_s"][1] == whole["end_s"][0]


def test_the_share_kept_for_answers_falls_to_its_floor_and_is_set_anew_by_preemption():
    """0.7 falls to 0.098 in 600 steps. Then 600 of 1,000 tokens are out: (600 + 20) of 1,001."""
    ledger = ledger_of((10, 1000))
    reserve = reserve_of(ledger)
    reserve.join(0, Growth(10, 0, 1000, 1000))
    assert reserve.tokens(0) == pytest.approx(700)
    assert reserve.share(300) == pytest.approx((0.7 + 0.098) / 2)
    assert reserve.share(5000) == pytest.approx(0.098)
    reserve.preempted(600)
    assert reserve.share(601) == pytest.approx(620 / 1001)
    reserve.restart(700)
    assert reserve.share(700) == 0.7


def test_an_answer_is_reckoned_with_up_to_the_cap():
    """Of 50 and 30 tokens to come 40 + 30 count; 20 steps later 30 + 10; of one that left early nothing does."""
    reserve = reserve_of(ledger_of((1, 50), (1, 30), (1, 90)), reserved_output_cap=40, reserved_share_floor=1.0)
    long, short, early = Growth(1, 0, 50, 50), Growth(1, 0, 30, 30), Growth(1, 0, 90, 90)
    for request, growth in enumerate((long, short, early)):
        reserve.join(request, growth)
    reserve.leave(2, early, 0)
    assert reserve.tokens(0) == pytest.approx(0.7 * (40 + 30))
    assert reserve.tokens(20) == pytest.approx(0.7 * (30 + 10))


def test_prompts_of_one_step_are_all_reckoned_with():
    """100 blocks of a token, answers of 40 after prompts of 10: the second finds 90 - 40 - 40 - 10 = 0 left, and the
    third nothing, although none of them decodes yet."""
    assert run([(0.0, 10, 40)] * 3, kv_blocks=100, **SGLANG)["admitted_s"].tolist()[:2] == [0.0, 0.0]
    assert run([(0.0, 10, 40)] * 3, kv_blocks=100, **SGLANG)["admitted_s"][2] > 0.0


@pytest.mark.parametrize(("by_output", "lost"), [(False, 3), (True, 2)])
def test_who_is_preempted(by_output, lost):
    """Out by step 10: 10, 5, 5 and 7 tokens; of the two with 5 the longer prompt goes."""
    ledger = ledger_of((9, 99), (20, 99), (30, 99), (9, 99))
    decodes = Decodes(Plain())
    for request, step in ((0, 0), (3, 3), (1, 5), (2, 5)):
        decodes.grow(step - decodes.step)
        decodes.join(request, cached=9, tokens=90)
    decodes.grow(10 - decodes.step)
    assert loser(ledger, decodes, latest_first=[3, 2, 1, 0], prompts={}, by_output=by_output) == lost


def test_a_preempted_request_waits_in_front_or_behind():
    """Two fill 40 blocks while a short third waits for a place. The second has to go: in front of the third it keeps it
    waiting until the first is done after 30 s; behind it, the third enters in the next step."""
    rows, knobs = [(0.0, 8, 30), (0.0, 8, 30), (1.5, 1, 1)], {"max_num_seqs": 2, "block_tokens": 1}
    tables = {at: run(rows, kv_blocks=40, preempted_wait=at, **knobs) for at in ("front", "back")}
    assert tables["front"]["admitted_s"][2] == tables["front"]["end_s"][0] == 30.0
    assert tables["back"]["admitted_s"][2] < 20.0


def test_asynchronous_scheduling_sees_an_arrival_one_step_later():
    """Steps of 1 s. What comes during the third step joins the fourth, or the fifth, put together when it was there;
    where nothing runs it joins at once."""
    rows = [(0.0, 16, 20), (2.5, 16, 2), (100.0, 16, 2)]
    assert run(rows)["admitted_s"].tolist() == [0.0, 3.0, 100.0]
    assert run(rows, async_scheduling=True)["admitted_s"].tolist() == [0.0, 4.0, 100.0]


def test_asynchronous_scheduling_notices_an_end_one_step_later():
    """The second of two places is free after 3 s, and is known to be after 4 s; a lone request's at once."""
    rows = [(0.0, 16, 20), (0.0, 16, 3), (0.5, 16, 2)]
    assert run(rows, max_num_seqs=2)["admitted_s"].tolist() == [0.0, 0.0, 3.0]
    assert run(rows, max_num_seqs=2, async_scheduling=True)["admitted_s"].tolist() == [0.0, 0.0, 4.0]
    alone = [(0.0, 16, 3), (0.5, 16, 2)]
    assert run(alone, max_num_seqs=1, async_scheduling=True)["admitted_s"].tolist() == [0.0, 3.0]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_sglang_s_rules_answer_everybody_in_a_small_pool(asynchronous):
    rows = [(i * 40 * TICK_S, 20 + i % 7, 5 + i % 30) for i in range(200)]
    table = run(rows, kv_blocks=120, async_scheduling=asynchronous, **SGLANG)
    assert (table["state"] == "done").all()
