"""A normal all-to-all is one op: its flow goes to what takes it up."""

import pandas as pd

from simulator.report.flows import flows


def row(op, kind, start_s, end_s, rank=0):
    return {"op": op, "kind": kind, "layer": 3, "rank": rank, "start_s": start_s, "end_s": end_s}


def test_a_dispatch_of_one_op_flows_to_the_experts_and_a_combine_to_the_merge():
    timeline = pd.DataFrame([
        row("dispatch", "dispatch", 0.0, 1.0),
        row("experts.gate_up", "experts", 1.0, 2.0),
        row("experts.down", "experts", 2.0, 3.0),
        row("combine", "combine", 3.0, 4.0),
        row("merge", "residual", 4.0, 5.0),
    ])  # fmt: skip
    assert [(f.name, f.sender, f.receiver) for f in flows(timeline)] == [("combine", 3, 4), ("dispatch", 0, 1)]
