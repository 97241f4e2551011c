"""Rooflines of compute kernels: FLOPs at a named share of the peak, weights and KV from HBM, activations through L2.

C rank classes.
"""

import numpy as np

from hw_profiles.curves.mla import ROW_TILE
from simulator.costs.cost import Cost, Machine, finish_cost
from simulator.resources import Demand
from workloads.ops import Work

TILE = 128  # rows and columns of an output tile of Hopper's GEMM kernels (CUTLASS and DeepGEMM defaults)


def compute_cost(work: Work, machine: Machine) -> Cost:
    """Return the roofline demand of one compute kernel.

    SM time is FLOPs over the datasheet peak times the family's efficiency, on the SMs that the kernel's grid fills: on
    fewer (`compute_sms`) it takes longer in proportion. Activations beyond the L2 go to HBM.
    Where attention is sparse a row tile holds the heads of one query, which has its keys to itself: it takes the time
    of a full tile (FlashMLA's sparse kernels pad the heads to 64).
    Kinds in `hidden_weight_reads` of the profile read their weights for nothing (theoretical machines).
    """
    profile = machine.profile
    grid = grid_sms(work, profile.device.n_sms)
    sm_s_C = np.zeros_like(work.flops_C)
    if work.kernel != "elementwise":
        share = getattr(profile.efficiency, work.kernel)[work.precision]
        sm_s_C = work.flops_C / (profile.device.peak_flops_per_s[work.precision] * share) * grid
        if work.variant == "sparse":
            sm_s_C = sm_s_C * max(1.0, ROW_TILE / float(np.max(work.shape["heads"])))
    l2_C = np.minimum(work.activation_bytes_C, profile.device.l2_bytes)
    hidden = work.kind in profile.efficiency.hidden_weight_reads
    hbm_C = (0.0 if hidden else work.hbm_bytes_C) + work.activation_bytes_C - l2_C
    demand = Demand(
        latency_s_C=np.full_like(work.flops_C, machine.launch_gap_s),
        sm_s_C=sm_s_C,
        sms=min(grid, machine.compute_sms),
        bytes_C={"hbm": hbm_C, "l2": l2_C},
    )
    return finish_cost(machine, work, demand)


def grid_sms(work: Work, n_sms: int) -> int:
    """SMs that the kernel's grid can fill; an element-wise pass fits beside a GEMM's blocks and claims none."""
    if work.kernel == "elementwise":
        return 0
    if work.kernel != "gemm":
        return n_sms
    shape = work.shape
    rows = float(np.max(shape["m"]))
    tiles = np.ceil(rows / TILE) * np.ceil(float(np.max(shape["n"])) / TILE) * float(np.max(shape["batch"]))
    return int(max(1, min(n_sms, tiles)))
