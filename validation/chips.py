"""Datasheet limits of the machines whose kernels were published, as the curves take them."""

from collections.abc import Mapping

from hw_profiles.curves.base import Chip

# NVIDIA datasheets as collected in measured/gpu_specs.json (dense peaks; H20 and H800 from the vendors' tables there).
CHIPS: Mapping[str, Chip] = {
    "h100_sxm": Chip(n_sms=132, hbm_bytes_per_s=3.35e12, peak_flops_per_s={"bf16": 989.4e12, "fp8": 1978.9e12},
                     nvlink_bytes_per_s=450e9, nic_bytes_per_s=50e9),
    "h200_sxm": Chip(n_sms=132, hbm_bytes_per_s=4.8e12, peak_flops_per_s={"bf16": 989.4e12, "fp8": 1978.9e12},
                     nvlink_bytes_per_s=450e9, nic_bytes_per_s=50e9),
    "h800_sxm": Chip(n_sms=132, hbm_bytes_per_s=3.35e12, peak_flops_per_s={"bf16": 989e12, "fp8": 1979e12},
                     nvlink_bytes_per_s=200e9, nic_bytes_per_s=50e9),
    "h20": Chip(n_sms=78, hbm_bytes_per_s=4.0e12, peak_flops_per_s={"bf16": 148e12, "fp8": 296e12},
                nvlink_bytes_per_s=450e9, nic_bytes_per_s=25e9),
    "gb200_nvl72": Chip(n_sms=148, hbm_bytes_per_s=8e12, peak_flops_per_s={"bf16": 2500e12, "fp8": 5000e12},
                        nvlink_bytes_per_s=900e9, nic_bytes_per_s=50e9),
}  # fmt: skip
