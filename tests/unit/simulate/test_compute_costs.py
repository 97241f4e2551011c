"""What a limit on the SMs of compute kernels costs them."""

import numpy as np
import pytest
import toy

from simulator.costs.cost import Machine, capacities
from simulator.demands import cost_of
from simulator.engine.plan import alone_s
from workloads.ops import Work


def seconds(kernel: str, compute_sms: int, **shape: float) -> float:
    machine = Machine(profile=toy.machine(), n_devices=2, launch="graph", compute_sms=compute_sms)
    zeros_C = np.zeros(1)
    work = Work(
        name="x", kind="experts", kernel=kernel, precision="bf16", flops_C=np.array([8e6]), hbm_bytes_C=zeros_C,
        activation_bytes_C=zeros_C, shape=shape,
    )  # type: ignore[arg-type]  # fmt: skip
    return float(alone_s(cost_of(work, machine).demand, capacities(machine))[0])


@pytest.mark.parametrize("kernel", ["grouped_gemm", "attention_decode", "attention_prefill"])
def test_a_kernel_that_fills_the_device_is_slower_by_the_sms_that_it_must_leave(kernel):
    assert seconds(kernel, 10) == pytest.approx(8e-6, rel=1e-12)
    assert seconds(kernel, 8) == pytest.approx(10e-6, rel=1e-12)


def test_a_gemm_whose_grid_fits_into_the_sms_left_to_it_is_not_slowed():
    assert seconds("gemm", 10, m=128, n=1024, batch=1) == pytest.approx(8e-6, rel=1e-12)  # 8 tiles
    assert seconds("gemm", 8, m=128, n=1024, batch=1) == pytest.approx(8e-6, rel=1e-12)
    assert seconds("gemm", 4, m=128, n=1024, batch=1) == pytest.approx(16e-6, rel=1e-12)
