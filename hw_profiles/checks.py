"""What no machine can be: named checks of a profile whose shape is right. Each returns the faults that it finds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from math import inf, isfinite

from hw_profiles.fabric_checks import check_for_bridges_out_of_place, check_for_nics_that_do_not_divide
from hw_profiles.faults import Fault, unknown_word
from hw_profiles.schema import HardwareProfile

TIERS = ("nvlink", "nic")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "fp8", "int8", "fp4")


@dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers a field may hold: `low` to `high`, and `inf` too where a theory leaves the term out."""

    low: float
    high: float
    unit: str
    or_inf: bool = False

    def holds(self, number: float) -> bool:
        """Return whether `number` lies in the range (nan never does)."""
        return self.low <= number <= self.high or (self.or_inf and number == inf)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' or inf' if self.or_inf else ''}"


# Wide enough for a toy machine of a test and for the machines of the next ten years; narrow enough to catch GB for
# bytes, microseconds for seconds, TFLOPS for FLOP/s.
_SHARE = Range(low=1e-6, high=1.0, unit="a share of the datasheet figure")
_RATE = Range(low=1e6, high=1e16, unit="bytes per second", or_inf=True)
_BYTES = Range(low=1e3, high=1e15, unit="bytes")
_SECONDS = Range(low=0.0, high=0.1, unit="seconds")
_RANGES: Mapping[str, Range] = {
    "device.n_sms": Range(low=1, high=1e5, unit="streaming multiprocessors"),
    "device.hbm_bytes": _BYTES,
    "device.hbm_bytes_per_s": _RATE,
    "device.usable_hbm_share": _SHARE,
    "device.l2_bytes": _BYTES,
    "device.l2_bytes_per_s": _RATE,
    "device.power_w": Range(low=1, high=1e5, unit="watts"),
    "device.usd_per_hour": Range(low=0, high=1e3, unit="US dollars per device and hour"),
    "device.peak_flops_per_s.*": Range(low=1e9, high=1e18, unit="FLOP per second"),
    "node.n_devices": Range(low=1, high=1e4, unit="devices"),
    "node.bridges.devices_per_bridge": Range(low=1, high=1e4, unit="devices"),
    "node.bridges.bridges_per_socket": Range(low=1, high=1e4, unit="bridges"),
    "node.bridges.*bytes_per_s": _RATE,
    "node.bridges.*latency_s": _SECONDS,
    "tiers.*.bytes_per_s": _RATE,
    "tiers.*.efficiency": _SHARE,
    "tiers.*.latency_s": _SECONDS,
    "fabric.oversubscription": Range(low=1, high=1e3, unit="downlink over uplink capacity"),
    "fabric.max_devices": Range(low=1, high=1e7, unit="devices"),
    "fabric.n_layers": Range(low=2, high=3, unit="layers of switches: 2 (leaf, spine) or 3 (and core)"),
    "fabric.ports_per_switch": Range(low=2, high=1e4, unit="ports"),
    "fabric.leaves_per_pod": Range(low=1, high=1e4, unit="leaves"),
    "fabric.core_oversubscription": Range(low=1, high=1e3, unit="downlink over uplink capacity"),
    "fabric.switch_latency_s": _SECONDS,
    "fabric.devices_per_nic": Range(low=1, high=1e4, unit="devices"),
    "fabric.nics_per_device": Range(low=1, high=1e4, unit="NICs"),
    "efficiency.*": _SHARE,
    "launch.*": _SECONDS,
    "all_to_all.message_s": _SECONDS,
    "all_to_all.*": Range(low=0, high=1e5, unit="streaming multiprocessors"),
}


def check_profile(profile: HardwareProfile) -> list[Fault]:
    """Return every fault of a profile: impossible numbers, missing parts, parts that contradict each other."""
    checks = (
        check_for_numbers_out_of_range,
        check_for_numbers_without_source,
        check_for_wrong_tiers,
        check_for_unknown_precisions,
        check_for_missing_bf16,
        check_for_efficiency_without_peak,
        check_for_peak_without_efficiency,
        check_for_fabric_that_does_not_fit_nodes,
        check_for_bridges_out_of_place,
        check_for_nics_that_do_not_divide,
        check_for_more_sms_held_than_there_are,
    )
    return [fault for check in checks for fault in check(profile)]


def numbers_of(profile: HardwareProfile) -> Iterator[tuple[str, float]]:
    """Yield the dotted path and value of every number of a profile, in the order of its fields."""
    tables = asdict(profile)
    del tables["provenance"]
    yield from _numbers_in("", tables)


def _numbers_in(prefix: str, table: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    for key, entry in table.items():
        if isinstance(entry, Mapping):
            yield from _numbers_in(f"{prefix}{key}.", entry)
        elif isinstance(entry, int | float) and not isinstance(entry, bool):
            yield f"{prefix}{key}", entry


def check_for_numbers_out_of_range(profile: HardwareProfile) -> Iterator[Fault]:
    """Negative, zero where nothing can be zero, nan, infinite beside a bandwidth, or wrong by a unit."""
    for path, number in numbers_of(profile):
        allowed = next(range_ for pattern, range_ in _RANGES.items() if fnmatchcase(path, pattern))
        if not allowed.holds(number):
            yield Fault(field=path, got=f"{number:g}", allowed=str(allowed), remedy=f"write {allowed.unit}")


def check_for_numbers_without_source(profile: HardwareProfile) -> Iterator[Fault]:
    """A number that no entry of `provenance` explains."""
    for path, number in numbers_of(profile):
        if path not in profile.provenance:
            yield Fault(
                field=path,
                got=f"{number:g} without a source",
                allowed="numbers with an entry in provenance",
                remedy="add its source and reference",
            )


def check_for_wrong_tiers(profile: HardwareProfile) -> Iterator[Fault]:
    """A link tier that the simulator does not know, or one of its two tiers left out."""
    yield from (unknown_word(f"tiers.{name}", name, TIERS) for name in profile.tiers if name not in TIERS)
    yield from (_missing(f"tiers.{name}", f"add [tiers.{name}]") for name in TIERS if name not in profile.tiers)


def _missing(path: str, remedy: str) -> Fault:
    return Fault(field=path, got="nothing", allowed="a value", remedy=remedy)


def _by_precision(profile: HardwareProfile) -> dict[str, Mapping[str, float]]:
    share = profile.efficiency
    return {
        "efficiency.gemm": share.gemm,
        "efficiency.grouped_gemm": share.grouped_gemm,
        "efficiency.attention_decode": share.attention_decode,
        "efficiency.attention_prefill": share.attention_prefill,
    }


def _unknown_in(path: str, names: Iterable[str]) -> Iterator[Fault]:
    return (unknown_word(f"{path}.{name}", name, PRECISIONS) for name in names if name not in PRECISIONS)


def check_for_unknown_precisions(profile: HardwareProfile) -> Iterator[Fault]:
    """A precision that is none of PRECISIONS."""
    yield from _unknown_in("device.peak_flops_per_s", profile.device.peak_flops_per_s)
    for path, shares in _by_precision(profile).items():
        yield from _unknown_in(path, shares)


def check_for_missing_bf16(profile: HardwareProfile) -> Iterator[Fault]:
    """No BF16: every model here computes something in it (router, attention)."""
    families = {"device.peak_flops_per_s": profile.device.peak_flops_per_s, **_by_precision(profile)}
    yield from (
        _missing(f"{path}.bf16", "add the figure for bf16") for path, family in families.items() if "bf16" not in family
    )


def check_for_efficiency_without_peak(profile: HardwareProfile) -> Iterator[Fault]:
    """A share of a peak that the device does not have."""
    peaks = profile.device.peak_flops_per_s
    for path, shares in _by_precision(profile).items():
        for precision in shares:
            if precision in PRECISIONS and precision not in peaks:
                yield Fault(
                    field=f"{path}.{precision}",
                    got="a share of a peak that is not there",
                    allowed=f"precisions of device.peak_flops_per_s: {', '.join(sorted(peaks))}",
                    remedy=f"add device.peak_flops_per_s.{precision} or delete this line",
                )


def check_for_peak_without_efficiency(profile: HardwareProfile) -> Iterator[Fault]:
    """A precision the device computes in, but whose matrix products have no efficiency."""
    for family in ("gemm", "grouped_gemm"):
        shares = _by_precision(profile)[f"efficiency.{family}"]
        for precision in profile.device.peak_flops_per_s:
            if precision in PRECISIONS and precision != "bf16" and precision not in shares:
                yield _missing(f"efficiency.{family}.{precision}", "add the share of its peak, or delete the peak")


def check_for_fabric_that_does_not_fit_nodes(profile: HardwareProfile) -> Iterator[Fault]:
    """A fabric smaller than a node, or a `single_node` fabric of another size than the node."""
    n_devices, fabric = profile.node.n_devices, profile.fabric
    one_node = fabric.kind == "single_node"
    if (one_node and fabric.max_devices != n_devices) or fabric.max_devices < n_devices:
        yield Fault(
            field="fabric.max_devices",
            got=str(fabric.max_devices),
            allowed=str(n_devices) if one_node else f"{n_devices} (one node) or more",
            remedy="count devices, not nodes or switches",
        )


def check_for_more_sms_held_than_there_are(profile: HardwareProfile) -> Iterator[Fault]:
    """Communication kernels that hold more SMs than the device has."""
    n_sms = profile.device.n_sms
    held = {"low_latency_sms": profile.all_to_all.low_latency_sms, "normal_sms": profile.all_to_all.normal_sms}
    for name, count in held.items():
        if isfinite(count) and count > n_sms:
            yield Fault(
                field=f"all_to_all.{name}",
                got=str(count),
                allowed=f"0 to device.n_sms = {n_sms}",
                remedy="give the SMs that one kernel holds",
            )
