"""The timeline: one row per op and rank class, simulated or measured."""

TIMELINE_COLUMNS = (
    "device", "rank", "stream", "op_id", "op", "kind", "layer", "start_s", "end_s", "wait_s",
    "flops", "bytes", "tier", "n_alike", "source", "extrapolated",
)  # fmt: skip
"""device: placement of the class's lowest rank, rank: that rank, stream: in-order lane, op_id: issue order, op: name,
kind: what it is for, layer: -1 outside layers, start_s and end_s [s] (start: when its turn on the stream came, its
inputs were there and, where it had to queue for SMs, it got them), wait_s [s]: part of it spent waiting for other
ranks, flops, bytes (HBM bytes of compute, payload sent of communication), tier: slowest tier crossed or "", n_alike:
ranks the row stands for, source: where the cost comes from, extrapolated: outside its measured range."""
