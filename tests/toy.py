"""The toy machine of the tests, and activities on it, in numbers that one can follow in one's head.

One device computes 1e12 FLOP/s on 10 SMs (0.1 MFLOP per SM and microsecond), reads 1e9 B/s from HBM (1,000 bytes per
microsecond) and has one link of 1e9 B/s each way with a latency of 1 microsecond. C rank classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hw_profiles.schema import AllToAll, Device, Efficiency, Fabric, HardwareProfile, Launch, Node, Tier
from simulator.engine.plan import Times
from simulator.engine.run import run
from simulator.resources import Activity, Capacities, Demand

US = 1e-6
LATENCY_S = 1e-6
CAPACITIES = Capacities(n_sms=10, bytes_per_s={"hbm": 1e9, "link.egress": 1e9, "link.ingress": 1e9})

Amount = float | Sequence[float]


def machine(n_devices_per_node: int = 2, max_devices: int = 2) -> HardwareProfile:
    """The toy machine as a profile: no L2 (activations go to HBM), no launch gaps, every efficiency 1."""
    link = Tier(bytes_per_s=1e9, efficiency=1.0, latency_s=LATENCY_S)
    full = {"bf16": 1.0, "fp8": 1.0}
    return HardwareProfile(
        name="toy",
        title="A toy",
        device=Device(
            name="toy device", n_sms=10, hbm_bytes=1e9, hbm_bytes_per_s=1e9, usable_hbm_share=1.0, l2_bytes=0.0,
            l2_bytes_per_s=float("inf"), power_w=100.0, usd_per_hour=1.0, peak_flops_per_s={"bf16": 1e12, "fp8": 1e12},
        ),
        node=Node(n_devices=n_devices_per_node),
        tiers={"nvlink": link, "nic": link},
        fabric=Fabric(
            kind="single_node" if max_devices <= n_devices_per_node else "fat_tree",
            oversubscription=1.0,
            max_devices=max_devices,
        ),
        efficiency=Efficiency(gemm=full, grouped_gemm=full, attention_decode=full, attention_prefill=full, hbm=1.0),
        launch=Launch(graph_gap_s=0.0, eager_gap_s=0.0),
        all_to_all=AllToAll(
            low_latency_tiers="nvlink_and_nic", counts_local_copies=False, hooked=True, low_latency_sms=2, normal_sms=4
        ),
    )  # fmt: skip


def per_class(amount: Amount, n_classes: int) -> NDArray[np.float64]:
    return np.broadcast_to(np.asarray(amount, dtype=float), (n_classes,)).copy()


def op(
    stream: str = "main",
    after: Sequence[int] = (),
    *,
    mflop: Amount = 0.0,
    sms: int | None = None,
    holds: bool = False,
    latency_us: Amount = 0.0,
    tail_us: float = 0.0,
    group: Sequence[int] | None = None,
    n_classes: int = 1,
    **bytes_on: Amount,
) -> Activity:
    """An activity: `mflop` on `sms` SMs (10 where it computes), bytes on hbm, egress and ingress."""
    names = {"hbm": "hbm", "egress": "link.egress", "ingress": "link.ingress"}
    mflop_C = per_class(mflop, n_classes)
    demand = Demand(
        latency_s_C=per_class(latency_us, n_classes) * US,
        sm_s_C=mflop_C * 1e6 / 1e11,
        sms=sms if sms is not None else (10 if mflop_C.any() else 0),
        holds_sms=holds,
        bytes_C={names[name]: per_class(amount, n_classes) for name, amount in bytes_on.items()},
        group_C=None if group is None else np.array(group),
        tail_latency_s=tail_us * US,
    )
    return Activity(stream=stream, deps=tuple(after), demand=demand)


def flow(stream: str, after: Sequence[int] = (), *, n_bytes: Amount, **more: object) -> Activity:
    """A message that leaves over the link, one latency later received."""
    return op(stream, after, egress=n_bytes, tail_us=1.0, group=[0], **more)  # type: ignore[arg-type]


def times_of(activities: Sequence[Activity], *, n_classes: int = 1, contention: bool = True) -> Times:
    return run(activities, CAPACITIES, n_classes=n_classes, contention=contention)


def starts_us(activities: Sequence[Activity], c: int = 0, **options: object) -> list[float]:
    """When each activity starts on rank class c [microseconds]."""
    return [float(t) for t in times_of(activities, **options).start_OC[:, c] / US]  # type: ignore[arg-type]


def ends_us(activities: Sequence[Activity], c: int = 0, **options: object) -> list[float]:
    """When each activity ends on rank class c [microseconds]."""
    return [float(t) for t in times_of(activities, **options).end_OC[:, c] / US]  # type: ignore[arg-type]


def both_ways(n_bytes: Amount) -> Mapping[str, Amount]:
    """As many bytes out as in."""
    return {"egress": n_bytes, "ingress": n_bytes}
