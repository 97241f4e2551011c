"""Replicas that are alike, behind a router."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from simulator.serving.growth import growth_law
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import Ledger
from simulator.serving.replica import Replica
from simulator.serving.router import RouterName
from simulator.serving.step_times import DecodeLines
from simulator.serving.surcharges import NO_SURCHARGES, Surcharges
from workloads.batch import Mtp

ReplicaT = TypeVar("ReplicaT", bound=Replica)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """`n_replicas` alike behind a router, each of `n_groups` attention groups with `kv_blocks` blocks each;
    `swap_s_per_token`: to move a token's cache to the host or back [s]; `surcharges` on their steps."""

    knobs: BackendKnobs
    step_times: DecodeLines
    kv_blocks: int
    n_replicas: int
    n_groups: int
    router: RouterName
    swap_s_per_token: float = 0.0
    surcharges: Surcharges = NO_SURCHARGES

    def made(
        self, kind: Callable[..., ReplicaT], ledger: Ledger, mtp: Mtp, *, seed: int, first: int = 0
    ) -> list[ReplicaT]:
        """Return its replicas, numbered from `first` on; `kind` makes one of what `Replica` takes."""
        return [
            kind(
                ledger=ledger, knobs=self.knobs, step_times=self.step_times, n_groups=self.n_groups,
                kv_blocks=self.kv_blocks, law=growth_law(mtp, seed=seed + i), swap_s_per_token=self.swap_s_per_token,
                number=first + i, surcharges=self.surcharges.of(seed=seed, number=first + i),
            )
            for i in range(self.n_replicas)
        ]  # fmt: skip
