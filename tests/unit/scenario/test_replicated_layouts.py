"""Replicated tokens: one group of one node shares attention, FFNs and experts."""

import pytest

from hw_profiles.faults import InputFaults
from simulator.scenario import build_scenario


def scenario(n_gpus=8, **layout):
    return build_scenario({
        "model": "qwen3_235b", "machine": "h200_sxm", "n_gpus": n_gpus, "layout": layout,
        "batch": {"sequences_per_gpu": 4, "context_tokens": 1000},
    })  # fmt: skip


def test_several_groups_may_stand_side_by_side():
    scenario(attention_tp=4, dense_tp=4, ep=2, moe_tp=2, tp_tokens="replicated")


@pytest.mark.parametrize(("layout", "fault"), [
    ({"moe_tp": 2}, r"layout\.moe_tp: got 2; allowed 1 with scattered tokens"),
    ({"attention_tp": 4, "ep": 8, "tp_tokens": "replicated"}, r"allowed attention_tp = dense_tp = ep \* moe_tp"),
    ({"n_gpus": 16, "attention_tp": 16, "dense_tp": 16, "ep": 16, "tp_tokens": "replicated"},
     r"layout\.tp_tokens: got 'replicated' over 16 ranks; allowed groups in one node of 8"),
])  # fmt: skip
def test_groups_that_share_only_a_part_or_leave_the_node_are_refused(layout, fault):
    with pytest.raises(InputFaults, match=fault):
        scenario(**layout)
