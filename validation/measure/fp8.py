"""Dense products in FP8 through `torch._scaled_mm`, one scale per tensor, where the device has them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from validation.measure.case import Case, Lab
from validation.measure.timing import Work

LEAST_CAPABILITY = (8, 9)  # Ada and Hopper brought FP8 tensor cores
STEP = 16  # torch._scaled_mm wants columns and depth in whole multiples


def has_fp8(device: torch.device) -> bool:
    """Whether `device` multiplies FP8 matrices in hardware through torch."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= LEAST_CAPABILITY


def fp8_cases(lab: Lab, cases: Iterable[Case]) -> Iterator[Case]:
    """Yield the dense products among `cases` once more, in FP8 with BF16 results; quantisation is not timed."""
    for case in cases:
        if case.kernel == "gemm" and int(case.shape["n"]) % STEP == 0 and int(case.shape["k"]) % STEP == 0:
            yield _in_fp8(lab, case)


def _in_fp8(lab: Lab, case: Case) -> Case:
    m, n, k = (int(case.shape[name]) for name in "mnk")

    def make() -> Work:
        x_MK, weight_NK = (lab.random(rows, k).to(torch.float8_e4m3fn) for rows in (m, n))
        one = torch.ones((), device=lab.device)

        def multiply() -> Tensor:
            return torch._scaled_mm(x_MK, weight_NK.t(), one, one, out_dtype=torch.bfloat16)

        return multiply

    return replace(case, dtype="fp8", make=make, moved_bytes=float(m * k + n * k + 2 * m * n))
