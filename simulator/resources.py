"""Demands and capacities: all that the engine knows of an op and of a device.

C rank classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workloads.ops import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one op needs on each rank class, in this order: `latency_s_C` during which nothing moves and nothing is
    held; then SM time and bytes at once, at the pace of the scarcest; then, when every rank of its group has got so
    far, `tail_latency_s` (propagation).

    `sms`: streaming multiprocessors wanted at most; they go to the kernel that started first, without preemption.
    `holds_sms`: the kernel (a communication kernel) starts only when all `sms` are free and keeps them to its end,
    waits for other ranks included; otherwise (a compute kernel) it takes up to `sms` of what is left, at least one,
    and more when others leave. `sm_s_C`: SM-seconds of work. `bytes_C`: resource name to bytes.
    `share_beside_compute`: part of its pace that it keeps while a kernel with SM time runs on the same device;
    `compute_share`: part of its own that such a kernel keeps meanwhile.
    `group_C`: ranks with the same number end together; None: each rank for itself.
    """

    latency_s_C: FloatArray
    sm_s_C: FloatArray
    sms: int
    holds_sms: bool = False
    bytes_C: Mapping[str, FloatArray] = field(default_factory=dict)
    group_C: IntArray | None = None
    tail_latency_s: float = 0.0
    share_beside_compute: float = 1.0
    compute_share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Capacities:
    """What one device offers: SMs, and bytes/s of each named resource ("hbm", "nvlink.egress", "nic.ingress", ...)."""

    n_sms: int
    bytes_per_s: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Activity:
    """One op as the engine sees it: an in-order stream, the activities it waits for, and its demand; `name` is for
    messages."""

    stream: str
    deps: tuple[int, ...]
    demand: Demand
    name: str = ""
