"""The chip that curve tests run on: an H100's datasheet."""

from hw_profiles.curves.base import Chip

CHIP = Chip(
    n_sms=132,
    hbm_bytes_per_s=3.35e12,
    peak_flops_per_s={"bf16": 989e12, "fp8": 1979e12},
    nvlink_bytes_per_s=450e9,
    nic_bytes_per_s=50e9,
)
