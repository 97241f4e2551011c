"""Expert all-to-alls of DeepEP: low latency (one copy per chosen expert), normal (one per rank, one per node).

Names: tokens per rank, hidden, copies per token (chosen experts), ranks, experts. Eight ranks share a node.
"""

from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import Amount, Chip, FloatArray, corrected, knots_at, smooth_max

RANKS_PER_NODE = 8
BYTE_KNOTS = knots_at(1e5, 1e6, 1e7, 1e8, 1e9)


@dataclass(frozen=True, kw_only=True)
class LowLatencyCurve:
    """Coefficients of `low_latency_s`. `value_bytes`, `token_bytes`: payload of one copy (dispatch 1 + 4/128, 16 B;
    combine 2 B, none). `expert_s`: signalling per expert; `sm_bytes_per_s`: rate at which one SM issues copies of a
    token (few experts mean few SMs); `nic_loss`: growth of time per remote byte per doubling of the nodes.
    """

    value_bytes: float
    token_bytes: float
    floor_s: float
    expert_s: float
    knee_s: float
    nvlink_share: float
    sm_bytes_per_s: float
    sharpness: float
    nic_floor_s: float = 1.2e-5
    nic_node_s: float = 1e-6
    nic_share: float = 0.8
    nic_loss: float = 0.05


def low_latency_s(
    tokens: Amount,
    hidden: Amount,
    copies: Amount,
    experts: Amount,
    ranks: Amount,
    *,
    chip: Chip,
    curve: LowLatencyCurve,
    reach: int = RANKS_PER_NODE,
) -> FloatArray:
    """Return the seconds of a low-latency dispatch or combine at the busiest rank: `tokens` × `copies` leave or enter.

    floor + per expert + smooth_max(knee, slowest of NVLink, NIC and issue). Bytes: one copy per chosen expert, of which
    `reach`/ranks stay off the NIC and all others cross it. `reach`: ranks, the own one included, that are reached
    without the NIC: the node's, or 1 for kernels that send every copy through it.
    """
    sent_bytes = tokens * copies * (hidden * curve.value_bytes + curve.token_bytes)
    remote_share = np.maximum(0.0, 1.0 - reach / np.asarray(ranks, dtype=np.float64))
    doublings = np.log2(np.maximum(1.0, np.asarray(ranks) / RANKS_PER_NODE))
    nvlink_s = sent_bytes * (1.0 - remote_share) / chip.nvlink_bytes_per_s
    nic_s = sent_bytes * remote_share / chip.nic_bytes_per_s
    groups = np.ceil(experts / chip.n_sms)
    issue_s = sent_bytes / (np.ceil(experts / groups) * curve.sm_bytes_per_s)
    nic_busy_s = nic_s / curve.nic_share * (1.0 + curve.nic_loss * doublings)
    busy_s = np.maximum(nvlink_s / curve.nvlink_share, np.maximum(nic_busy_s, issue_s))
    crosses = np.where(remote_share > 0.0, curve.nic_floor_s, 0.0) + curve.nic_node_s * doublings
    fitted_s = curve.floor_s + curve.expert_s * experts + crosses + smooth_max(curve.knee_s, busy_s, curve.sharpness)
    return np.maximum(fitted_s, np.maximum(nvlink_s, nic_s))


@dataclass(frozen=True, kw_only=True)
class NormalCurve:
    """Coefficients of `normal_s`. `value_bytes`: per hidden value of one copy; `sm_bytes_per_s`: rate of one SM;
    `forward_bytes_per_s`: the same across nodes, where an SM handles each NVLink copy and each NIC copy once;
    `nic_*`: as in the low-latency curve; log factors over the bytes of the tier (pipelines fill slowly).
    """

    value_bytes: float
    floor_s: float
    choice_s: float
    knee_s: float
    nvlink_share: float
    sm_bytes_per_s: float
    sharpness: float
    log_bytes: tuple[float, ...] = (0.0,) * 5
    nic_floor_s: float = 1e-6
    nic_node_s: float = 1e-6
    nic_share: float = 0.8
    nic_loss: float = 0.05
    forward_bytes_per_s: float = 5e9
    overlap: float = 3.0
    log_nic_bytes: tuple[float, ...] = (0.0,) * 5


def distinct_groups(groups: Amount, copies: Amount) -> FloatArray:
    """Return the expected number of `groups` that `copies` uniform choices touch: g (1 - (1 - 1/g)^copies)."""
    return np.asarray(groups * (1.0 - (1.0 - 1.0 / np.asarray(groups, dtype=np.float64)) ** copies))


def normal_s(
    tokens: Amount, hidden: Amount, rank_copies: Amount, node_copies: Amount, choices: Amount, nodes: Amount,
    sms: Amount, *, chip: Chip, curve: NormalCurve,
) -> FloatArray:  # fmt: skip
    """Return the seconds of one normal dispatch or combine kernel.

    `rank_copies`: ranks that a token reaches (all over NVLink in the end), `node_copies`: other nodes it reaches (over
    the NIC, once each), `choices`: chosen experts per token (their indices and weights are handled per token).
    """
    copy_bytes = tokens * hidden * curve.value_bytes
    nvlink_bytes, nic_bytes = copy_bytes * rank_copies, copy_bytes * node_copies
    nvlink_s, nic_s = nvlink_bytes / chip.nvlink_bytes_per_s, nic_bytes / chip.nic_bytes_per_s
    by_sm_s = nvlink_bytes / (sms * curve.sm_bytes_per_s)
    local_s = smooth_max(nvlink_s / curve.nvlink_share, by_sm_s, 4.0)
    local_s = local_s / nvlink_bytes * corrected(nvlink_bytes, BYTE_KNOTS, curve.log_bytes)
    doublings = np.log2(nodes)
    remote_s = corrected(np.maximum(nic_bytes, 1.0), BYTE_KNOTS, curve.log_nic_bytes) / chip.nic_bytes_per_s
    remote_s = remote_s / curve.nic_share * (1.0 + curve.nic_loss * doublings)
    handled_bytes = np.where(nic_bytes > 0.0, nvlink_bytes + nic_bytes, 0.0)
    forward_s = handled_bytes / (sms * curve.forward_bytes_per_s)
    busy_s = smooth_max(local_s, np.maximum(remote_s, forward_s), curve.overlap)
    crosses = np.where(np.asarray(nodes) > 1, curve.nic_floor_s, 0.0) + curve.nic_node_s * doublings
    fitted_s = curve.floor_s + curve.choice_s * choices + crosses + smooth_max(curve.knee_s, busy_s, curve.sharpness)
    return np.maximum(fitted_s, np.maximum(nic_s, nvlink_s * (1.0 - 1.0 / RANKS_PER_NODE)))
