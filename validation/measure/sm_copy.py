"""A copy kernel that holds a chosen number of SMs, as a communication kernel does; it needs triton and CUDA."""

import torch
from torch import Tensor

from validation.measure.case import NotHereError
from validation.measure.timing import Work

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

BLOCK_BYTES = 16384  # copied by one program at a time
N_WARPS = 32  # 1024 threads: no second program of this kernel shares the SM with ease

if triton is not None:

    @triton.jit  # type: ignore[untyped-decorator]
    def _copy_in_a_loop(source, target, n_bytes, block: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """Program p of k copies blocks p, p + k, p + 2k, …"""
        for start in range(tl.program_id(0) * block, n_bytes, tl.num_programs(0) * block):
            at = start + tl.arange(0, block)
            is_inside = at < n_bytes
            tl.store(target + at, tl.load(source + at, mask=is_inside), mask=is_inside)


def missing(device: torch.device) -> str:
    """Return what the kernel lacks here, in words; empty where it can run."""
    if device.type != "cuda":
        return "needs CUDA"
    return "" if triton is not None else "needs triton"


def sm_copy(source: Tensor, target: Tensor, n_sms: int) -> Work:
    """Return the copy of `source` to `target`, bytes on one GPU, by `n_sms` programs that loop over it.

    A program takes the threads of half an SM and none of its shared memory: other kernels may use the rest. Raises
    NotHereError without triton or CUDA.
    """
    if lack := missing(source.device):
        raise NotHereError(lack)

    def copy() -> None:
        _copy_in_a_loop[(n_sms,)](source, target, source.nbytes, block=BLOCK_BYTES, num_warps=N_WARPS)

    return copy
