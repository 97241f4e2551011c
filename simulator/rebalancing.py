"""What it costs to place experts anew now and then: weights that change rank, over the links they cross.

S source and D destination rank of an EP group, E ranks of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hw_profiles.schema import HardwareProfile
from simulator.borders import lane_bytes_per_s, shared_borders
from workloads.borders import Scope, crossings
from workloads.memory import WEIGHT_BYTES
from workloads.ops import FloatArray
from workloads.placements import rebalance_moves
from workloads.step import StepSpec
from workloads.zoo import expert_parameters


@dataclass(frozen=True, kw_only=True)
class Rebalancing:
    """Spread over the steps between two placements: bytes that a GPU receives, mean [B], and the slowest's time [s]."""

    bytes_per_step: float
    s_per_step: float


def rebalancing(step: StepSpec, profile: HardwareProfile) -> Rebalancing:
    """Return the cost per step of a new placement every `rebalance_every_steps` (at least 1).

    Nothing else runs meanwhile: the busiest link carries all its moved experts at its payload rate, those inside nodes,
    between them and on the links that groups share all at once. All EP groups move at the same time.
    """
    every = step.layout.rebalance_every_steps
    moved_SD = rebalance_moves(step) * expert_parameters(step.model) * WEIGHT_BYTES[step.precision.weights]
    node_E = np.arange(step.layout.ep) // step.devices_per_node
    same_node_SD = node_E[:, None] == node_E
    parts: dict[Scope, FloatArray] = {
        "node": np.where(same_node_SD, moved_SD, 0.0), "fabric": np.where(same_node_SD, 0.0, moved_SD)
    }  # fmt: skip
    return Rebalancing(
        bytes_per_step=float(moved_SD.sum() / step.layout.ep / every),
        s_per_step=max([*_lanes_s(parts, profile), *_borders_s(parts, step, profile)]) / every,
    )


def _lanes_s(parts: Mapping[Scope, FloatArray], profile: HardwareProfile) -> Iterator[float]:
    """Seconds of the fullest device's own lanes, out and in; 0 where nothing crosses nodes."""
    tiers: Mapping[Scope, str] = {"node": "nvlink", "fabric": "nic"}
    for scope, tier in tiers.items():
        for axis in (0, 1):
            most_bytes = float(parts[scope].sum(axis=axis).max())
            yield most_bytes / lane_bytes_per_s(profile, tier) if most_bytes else 0.0


def _borders_s(parts: Mapping[Scope, FloatArray], step: StepSpec, profile: HardwareProfile) -> Iterator[float]:
    """Seconds of the fullest link of each kind that groups share."""
    for shared in shared_borders(profile, step.n_gpus):
        pair_SD = parts[shared.border.scope]
        groups = (crossings(shared.border, pair_SD, first) for first in range(0, step.n_gpus, len(pair_SD)))
        yield float(np.sum(list(groups), axis=0).max()) / shared.bytes_per_s
