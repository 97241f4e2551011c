"""What it costs to place experts anew now and then: weights that change rank, over the links they cross."""

from dataclasses import dataclass

import numpy as np

from hw_profiles.schema import HardwareProfile
from workloads.memory import WEIGHT_BYTES
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

    Nothing else runs meanwhile: the slowest rank sends and receives all its moved experts at the payload rate of the
    link inside its node and of its NIC, both at once.
    """
    moves, every = rebalance_moves(step), step.layout.rebalance_every_steps
    expert_bytes = expert_parameters(step.model) * WEIGHT_BYTES[step.precision.weights]
    rate = {name: tier.bytes_per_s * tier.efficiency for name, tier in profile.tiers.items()}
    node_E = np.maximum(moves.received_node_E, moves.sent_node_E) / rate["nvlink"]
    remote_E = np.maximum(moves.received_remote_E, moves.sent_remote_E)
    remote_E = remote_E / rate["nic"] if remote_E.any() else remote_E * 0.0
    received_E = moves.received_node_E + moves.received_remote_E
    return Rebalancing(
        bytes_per_step=float(received_E.mean() * expert_bytes / every),
        s_per_step=float(np.maximum(node_E, remote_E).max() * expert_bytes / every),
    )
