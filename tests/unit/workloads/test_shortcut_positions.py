"""Where the MoE of a ScMoE layer starts in each schedule: after the state that its shortcut position names.

Expected orders are written out from the layer's equations (report, section 2; ScMoE paper, section 3).
"""

from dataclasses import replace

import pytest
from unit.workloads.toys import toy_step

from workloads.lower import lower
from workloads.zoo import tiny

# The last op of the backbone whose result the MoE reads: the norm after that state.
INPUT = {3: "mla0.norm", 2: "mla0.post_norm", 1: "mla1.norm", 0: "mla1.post_norm"}
BEHIND = {0: {"ffn1"}, 1: {"mla1", "ffn1"}, 2: {"ffn0", "mla1", "ffn1"}, 3: {"mla0", "ffn0", "mla1", "ffn1"}}


def ops_of(shortcut, schedule):
    """Layer 0 of the tiny model: name, stream and the names it waits for, by name."""
    step = toy_step(model=replace(tiny(), shortcut=shortcut), parts=("layers",))
    ops = lower(step, schedule).ops
    return {op.name: (op.stream, {ops[d].name for d in op.deps}) for op in ops if op.layer == 0}


def ancestors(ops, name, streams=True):
    """Every op that ends before `name` can start: through dependencies and, in a stream, the op before it."""
    order, seen, todo = list(ops), set(), [name]
    while todo:
        at = todo.pop()
        before = [o for o in order[: order.index(at)] if ops[o][0] == ops[at][0]][-1:] if streams else []
        for other in {*ops[at][1], *before} & set(ops):
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen


@pytest.mark.parametrize("schedule", ["sequential", "sbo", "two_stream"])
@pytest.mark.parametrize("shortcut", INPUT)
def test_the_router_follows_the_state_that_its_position_names(shortcut, schedule):
    assert ops_of(shortcut, schedule)["router.gemm"][1] == {INPUT[shortcut]}


@pytest.mark.parametrize("schedule", ["tbo", "tbo_phased"])
@pytest.mark.parametrize("shortcut", INPUT)
def test_two_half_batches_send_after_their_attention_or_where_the_input_comes_later(shortcut, schedule):
    ops = ops_of(shortcut, schedule)
    expected = INPUT[min(shortcut, 2)]  # position 3 could send earlier; nothing of the other half would hide it
    assert f"{expected}@a" in ancestors(ops, "router.gemm@a")


@pytest.mark.parametrize("shortcut", INPUT)
def test_two_streams_hide_the_branch_behind_all_of_the_backbone_that_follows_its_input(shortcut):
    """What neither precedes the branch nor waits for it: counted in blocks of the backbone."""
    ops = ops_of(shortcut, "two_stream")
    branch = {name for name in ops if name.split(".")[0] in {"router", "dispatch", "experts", "combine"}}
    free = {
        name.split(".")[0]
        for name in set(ops) - branch - {"merge"} - ancestors(ops, "router.gemm")
        if not ancestors(ops, name) & branch and name.split(".")[1] != "post_norm"
    }
    assert free == BEHIND[shortcut]


@pytest.mark.parametrize("shortcut", INPUT)
def test_sbo_places_the_experts_before_the_core_of_the_second_attention_or_after_a_later_input(shortcut):
    ops = ops_of(shortcut, "sbo")
    experts = ancestors(ops, "experts.gate_up")
    assert ("mla1.absorb_k" in experts, "mla1.core" in experts) == (True, shortcut == 0)
    assert "experts.down" in ancestors(ops, "ffn1.gate_up")


@pytest.mark.parametrize("schedule", ["sequential", "tbo", "tbo_phased", "sbo", "two_stream"])
@pytest.mark.parametrize("shortcut", [0, 1, 3])
def test_every_position_does_the_same_work(shortcut, schedule):
    names = sorted(ops_of(shortcut, schedule))
    assert names == sorted(ops_of(2, schedule))
