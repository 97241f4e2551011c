"""What compute and communication kernels do to each other's rate when they run side by side on one device."""

from dataclasses import dataclass

from hw_profiles.curves.base import Amount


@dataclass(frozen=True, kw_only=True)
class Interference:
    """Shares of the stand-alone rate kept beside compute, and the compute efficiency beside communication, in [0, 1].

    Fitted on training kernels of the normal mode; for low-latency kernels their use is an extrapolation.
    """

    dispatch_share: float
    combine_share: float
    gemm_share: float


def gemm_rate_share(sms_left: Amount, n_sms: Amount, interference: Interference) -> Amount:
    """Return the share of its stand-alone rate that a GEMM keeps on `sms_left` of `n_sms` beside communication."""
    return interference.gemm_share * sms_left / n_sms
