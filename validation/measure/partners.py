"""What runs beside a matrix product in the interference suite: transfers that take SMs, links or memory bandwidth."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from validation.measure.case import Lab
from validation.measure.ranks import Ranks
from validation.measure.sm_copy import missing, sm_copy
from validation.measure.steady import as_it_is
from validation.measure.timing import Work

SM_COUNTS = (4, 8, 16, 24, 32, 64)  # DeepEP's normal kernels take 24 of 132


@dataclass(frozen=True, kw_only=True)
class Partner:
    """A transfer of `n_bytes` a call; `shape` says how it is made. `make` prepares what is timed, `make_load` what is
    kept going (they differ where ranks take part), and `agree` is when the load stops."""

    name: str
    n_bytes: int
    shape: Mapping[str, int]
    make: Callable[[], Work]
    make_load: Callable[[], Work]
    agree: Callable[..., bool] = as_it_is


def partners(lab: Lab, ranks: Ranks) -> Iterator[Partner]:
    """Yield the transfers of this device: the copy engine, copies within memory, a kernel on k SMs (one that says so
    where it cannot run), and between ranks an all-to-all. Between ranks it is to be called on all of them."""
    small, large = min(lab.sizes.copy_bytes), max(lab.sizes.copy_bytes)
    yield _alike("copy_engine", small, {}, partial(_from_host, lab.device, small))
    yield _alike("bandwidth", large, {}, partial(_within, lab.device, large))
    for n_sms in SM_COUNTS if not missing(lab.device) else SM_COUNTS[:1]:
        yield _alike("sm_copy", small, {"sms": n_sms}, partial(_by_sms, lab.device, small, n_sms))
    if ranks.n_ranks > 1:
        group, control = ranks.apart(), ranks.apart("gloo")
        for n_bytes in lab.sizes.message_bytes:
            yield Partner(
                name="collective", n_bytes=n_bytes, shape={},
                make=partial(_all_to_all, lab.device, n_bytes, None),
                make_load=partial(_all_to_all, lab.device, n_bytes, group), agree=partial(any_rank, control),
            )  # fmt: skip


def any_rank(control: dist.ProcessGroup, *, stop: bool) -> bool:
    """Return whether any rank of `control`, a gloo group, wants to `stop`."""
    wanted = torch.tensor([int(stop)])
    dist.all_reduce(wanted, op=dist.ReduceOp.MAX, group=control)
    return bool(wanted)


def _alike(name: str, n_bytes: int, shape: Mapping[str, int], make: Callable[[], Work]) -> Partner:
    return Partner(name=name, n_bytes=n_bytes, shape=shape, make=make, make_load=make)


def _from_host(device: torch.device, n_bytes: int) -> Work:
    """A GPU's copy engine reads pinned memory; on CPU a thread copies a chunk."""
    if device.type != "cuda":
        return _within(device, n_bytes)
    on_host = torch.ones(n_bytes, dtype=torch.uint8, pin_memory=True)
    return partial(torch.empty_like(on_host, device=device).copy_, on_host, non_blocking=True)


def _within(device: torch.device, n_bytes: int) -> Work:
    source, target = _bytes(device, n_bytes), _bytes(device, n_bytes)
    if device.type == "cuda":
        return partial(target.copy_, source)
    return partial(np.copyto, target.numpy(), source.numpy())  # one thread; torch's copy would take all cores


def _by_sms(device: torch.device, n_bytes: int, n_sms: int) -> Work:
    return sm_copy(_bytes(device, n_bytes), _bytes(device, n_bytes), n_sms)


def _all_to_all(device: torch.device, n_bytes: int, group: dist.ProcessGroup | None) -> Work:
    """`n_bytes` of a rank, in even parts, to all."""
    n_ranks = dist.get_world_size()
    sent, received = (_bytes(device, n_bytes // n_ranks * n_ranks) for _ in range(2))
    return partial(dist.all_to_all_single, received, sent, group=group)


def _bytes(device: torch.device, n_bytes: int) -> Tensor:
    return torch.ones(n_bytes, dtype=torch.uint8, device=device)
