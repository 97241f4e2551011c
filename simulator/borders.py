"""The shared links of a machine that can be what bounds its ranks: as borders for lowering, with their rates.

Links that carry all that the lanes behind them can bring are left out: they never bind, and no time is lost on them.
Rank r stands on device r.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from hw_profiles.schema import HardwareProfile
from hw_profiles.topology import shared_links
from hw_profiles.topology.sharing import SharedLink
from workloads.borders import Border
from workloads.step import AllToAll

_NAMES = {"nic": "shared_nic"}  # "nic" is the lane of a device into its tier
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class SharedBorder:
    """A border with what its links offer: bytes/s each way, and the seconds that crossing one adds."""

    border: Border
    bytes_per_s: float
    latency_s: float


def shared_borders(profile: HardwareProfile, n_devices: int) -> list[SharedBorder]:
    """Return the borders of the first `n_devices` that can bind or that add latency, inner ones first."""
    if n_devices > profile.fabric.max_devices:
        return []
    ups = [link for link in shared_links(profile, n_devices).links if link.direction == "up"]
    kinds = [list(links) for _, links in groupby(ups, key=_stem)]
    return [_border(links) for links in kinds if _matters(profile, links)]


def step_borders(profile: HardwareProfile, n_devices: int, all_to_all: AllToAll) -> tuple[Border, ...]:
    """Return the borders of `shared_borders` as a step takes them: low-latency kernels that send every copy over the
    NIC cross those of the fabric between two ranks of a node too, and none inside it."""
    borders = tuple(shared.border for shared in shared_borders(profile, n_devices))
    nic_only = profile.all_to_all.low_latency_tiers == "nic" and n_devices > profile.node.n_devices
    if all_to_all != "low_latency" or not nic_only:
        return borders
    return tuple(replace(border, scope="any") for border in borders if border.scope == "fabric")


def lane_bytes_per_s(profile: HardwareProfile, tier: str) -> float:
    """Return what one device's lane into `tier` carries: where several share a NIC, one alone may take all of it."""
    own = profile.tiers[tier]
    several = profile.fabric.devices_per_nic or 1 if tier == "nic" else 1
    return own.bytes_per_s * own.efficiency * several


def _stem(link: SharedLink) -> str:
    return link.name.rpartition(".")[0].rstrip("0123456789")


def _matters(profile: HardwareProfile, links: Sequence[SharedLink]) -> bool:
    lane = lane_bytes_per_s(profile, "nvlink" if links[0].scope == "node" else "nic")
    binds = any(link.bytes_per_s < len(link.devices) * link.share * lane * (1.0 - ROUNDING) for link in links)
    return len(links) > 1 and (binds or links[0].latency_s > 0.0)


def _border(links: Sequence[SharedLink]) -> SharedBorder:
    name = _stem(links[0])
    border = Border(
        name=_NAMES.get(name, name), scope=links[0].scope, share=links[0].share,
        groups=tuple(link.devices for link in links),
    )  # fmt: skip
    return SharedBorder(border=border, bytes_per_s=links[0].bytes_per_s, latency_s=links[0].latency_s)
