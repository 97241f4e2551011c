"""Number formats that a plan may choose, by word."""

from collections.abc import Mapping, Sequence

from hw_profiles.schema import HardwareProfile
from simulator.planner.question import PrecisionWord
from workloads.batch import ARITHMETIC, Precision

PRECISIONS: Mapping[str, Precision] = {
    "bf16": Precision(weights="bf16", attention_weights="bf16", dispatch="bf16"),
    "fp8": Precision(),
    "fp8_kv8": Precision(kv="fp8"),
    "fp4": Precision(weights="fp4"),
}


def precision_words(asked: Sequence[PrecisionWord], profile: HardwareProfile) -> list[str]:
    """Return the words of the number formats asked for that the machine computes in; "auto": FP8 where it does, else
    BF16."""
    known = [word for word in PRECISIONS if _computes(profile, PRECISIONS[word])]
    automatic = ["fp8" if "fp8" in known else "bf16"]
    words = [own for word in asked for own in (automatic if word == "auto" else [word])]
    return [word for word in dict.fromkeys(words) if word in known]


def _computes(profile: HardwareProfile, precision: Precision) -> bool:
    efficiency, peak = profile.efficiency, profile.device.peak_flops_per_s
    wanted = (
        (precision.weights, (peak, efficiency.gemm, efficiency.grouped_gemm)),
        (precision.attention_weights, (peak, efficiency.gemm)),
        (precision.attention, (peak, efficiency.attention_decode, efficiency.attention_prefill)),
    )
    return all(ARITHMETIC.get(word, word) in table for word, tables in wanted for table in tables)
