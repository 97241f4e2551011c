"""The ranks of a measurement: one process alone, or those that torchrun started."""

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from validation.measure.timing import Stopwatch, Work

Value = TypeVar("Value")

START = datetime.timedelta(minutes=5)  # ranks that load torch from a shared disk come late


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Who takes part: this is `rank` of `n_ranks`; only the first writes and speaks. `timeout`: of a collective."""

    rank: int = 0
    n_ranks: int = 1
    timeout: datetime.timedelta = datetime.timedelta()

    @property
    def is_first(self) -> bool:
        """Whether this rank writes the table."""
        return self.rank == 0

    def from_first(self, value: Value) -> Value:
        """Return the first rank's `value`, on every rank."""
        if self.n_ranks == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def all_of(self, value: Value) -> list[Value]:
        """Return every rank's `value`, on every rank, in the order of ranks."""
        if self.n_ranks == 1:
            return [value]
        values: list[Value | None] = [None] * self.n_ranks
        dist.all_gather_object(values, value)
        return cast("list[Value]", values)

    def first(self, n_members: int) -> dist.ProcessGroup | None:
        """Return the group of the first `n_members` ranks, None for all of them; to be called on every rank."""
        if n_members == self.n_ranks:
            return None
        group: dist.ProcessGroup = dist.new_group(list(range(n_members)), timeout=self.timeout)
        return group

    def apart(self, backend: str | None = None) -> dist.ProcessGroup:
        """Return a group of all ranks for a second lane of work; to be called on every rank."""
        group: dist.ProcessGroup = dist.new_group(timeout=self.timeout, backend=backend)
        return group

    def stopwatch(self, own: Stopwatch, device: torch.device) -> Stopwatch:
        """Return a stopwatch that starts all ranks together and tells every one the seconds of the slowest."""
        if self.n_ranks == 1:
            return own

        def seconds(work: Work, n_calls: int) -> float:
            dist.barrier()
            slowest = torch.tensor([own(work, n_calls)], dtype=torch.float64, device=device)
            dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
            return float(slowest)

        return seconds


@contextmanager
def ranks_of(device: torch.device, timeout_s: float) -> Iterator[Ranks]:
    """Join the ranks that torchrun started (WORLD_SIZE in the environment), if any, and leave them at the end.

    A collective that takes longer than `timeout_s` raises RuntimeError, as does a rank that vanished.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    store, rank, n_ranks = next(rendezvous("env://", timeout=START))
    store.set(f"started {rank}", "")  # so that the timeout of collectives is not spent on the start of ranks
    store.wait([f"started {other}" for other in range(n_ranks)], START)
    timeout = datetime.timedelta(seconds=timeout_s)
    dist.init_process_group(backend, store=store, rank=rank, world_size=n_ranks, timeout=timeout)
    try:
        yield Ranks(rank=dist.get_rank(), n_ranks=dist.get_world_size(), timeout=timeout)
    finally:
        dist.destroy_process_group()
