"""Cases of collectives between the ranks of `torch.distributed`: gloo on CPU, NCCL on CUDA.

R ranks, D hidden, N routed experts; `n_bytes` is what one rank holds before it sends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from validation.measure.case import Case, Lab
from validation.measure.ranks import Ranks
from validation.measure.timing import Work
from workloads.layers.all_to_all import AllToAllExchange

ROUTING_SEED = 1


@dataclass(frozen=True, kw_only=True)
class Members:
    """The first `n_ranks` of all ranks and their group (None: all), as `rank` sees them."""

    rank: int
    n_ranks: int
    group: dist.ProcessGroup | None = None


@dataclass(frozen=True, kw_only=True)
class Collective:
    """`make(lab, members, n_values)` prepares it; the busiest rank sends `sent_share` of what one rank holds."""

    make: Callable[[Lab, Members, int], Work]
    sent_share: float


def collective_cases(lab: Lab, ranks: Ranks) -> Iterator[Case]:
    """Yield every collective between 2, 4, … and all ranks over message sizes, the layer's own all-to-alls included.

    Ranks beyond those that take part only keep the clock. `moved_bytes`: what the busiest rank sends at the least.
    """
    for n_members in group_sizes(ranks.n_ranks):
        members = Members(rank=ranks.rank, n_ranks=n_members, group=ranks.first(n_members))
        for n_bytes in lab.sizes.message_bytes:
            n_values = max(1, n_bytes // lab.element_bytes // n_members) * n_members
            for op, collective in collectives(n_members).items():
                yield _case(lab, members, op, collective, n_values)
            if n_bytes >= lab.spec.hidden * lab.element_bytes:
                yield _routed_case(lab, members, n_bytes // (lab.spec.hidden * lab.element_bytes))
        if lab.spec.moe.n_routed_experts % n_members == 0:
            yield from _load_cases(lab, members)


def group_sizes(n_ranks: int) -> list[int]:
    """Return how many of `n_ranks` take part, case by case: powers of two below, then all."""
    return [*(1 << n for n in range(1, n_ranks.bit_length()) if 1 << n < n_ranks), n_ranks]


def collectives(n_ranks: int) -> dict[str, Collective]:
    """Return every collective by name."""
    others = (n_ranks - 1) / n_ranks
    heaviest = 1.0 - min(uneven_splits(n_ranks * n_ranks, n_ranks)) / (n_ranks * n_ranks)
    return {
        "all_to_all.even": Collective(make=_even, sent_share=others),
        "all_to_all.uneven": Collective(make=_uneven, sent_share=heaviest),
        "all_gather": Collective(make=_all_gather, sent_share=float(n_ranks - 1)),
        "reduce_scatter": Collective(make=_reduce_scatter, sent_share=others),
        "all_reduce": Collective(make=_all_reduce, sent_share=2.0 * others),
        "point_to_point": Collective(make=_point_to_point, sent_share=1.0),
    }


def uneven_splits(n_values: int, n_ranks: int) -> list[int]:
    """Return how many of `n_values` every rank sends to each rank: shares fall as 1/(r + 1), a hot first rank."""
    share_R = 1.0 / np.arange(1, n_ranks + 1)
    split_R = np.floor(share_R / share_R.sum() * n_values).astype(int)
    split_R[0] += n_values - split_R.sum()
    return [int(n) for n in split_R]


def routed_rows(n_rows: int, n_ranks: int) -> NDArray[np.int64]:
    """Return rows [source, destination] where each of `n_rows` of a source goes to a rank at random, all alike."""
    rng = np.random.default_rng(ROUTING_SEED)
    rows_RR: NDArray[np.int64] = rng.multinomial(n_rows, np.full(n_ranks, 1.0 / n_ranks), size=n_ranks)
    return rows_RR


def _case(lab: Lab, members: Members, op: str, collective: Collective, n_values: int) -> Case:
    n_bytes = n_values * lab.element_bytes
    return Case(
        kernel=op.partition(".")[0], op=op, dtype=lab.dtype, shape={"bytes": n_bytes, "ranks": members.n_ranks},
        make=_by_members(members, partial(collective.make, lab, members, n_values)),
        moved_bytes=collective.sent_share * n_bytes,
    )  # fmt: skip


def _routed_case(lab: Lab, members: Members, n_rows: int) -> Case:
    """The layer's dispatch: rows of the hidden size, as many to each rank as random routing sends there."""
    row_bytes = lab.spec.hidden * lab.element_bytes
    rows_RR = routed_rows(n_rows, members.n_ranks)

    def make() -> Work:
        sent_R, received_R = rows_RR[members.rank].tolist(), rows_RR[:, members.rank].tolist()
        rows_MD = lab.random(n_rows, lab.spec.hidden)
        received_MD = lab.random(sum(received_R), lab.spec.hidden)
        return partial(dist.all_to_all_single, received_MD, rows_MD, received_R, sent_R, group=members.group)

    return Case(
        kernel="all_to_all", op="all_to_all.routed", dtype=lab.dtype, make=_by_members(members, make),
        shape={"bytes": n_rows * row_bytes, "rows": n_rows, "ranks": members.n_ranks},
        moved_bytes=float(n_rows - rows_RR.diagonal().min()) * row_bytes,
    )  # fmt: skip


def _load_cases(lab: Lab, members: Members) -> Iterator[Case]:
    """How many rows every rank will send to each expert: a small all-to-all, which the layer waits for."""
    n_experts = lab.spec.moe.n_routed_experts

    def make() -> Work:
        load_N = torch.ones(n_experts, dtype=torch.long, device=lab.device)
        return partial(AllToAllExchange(members.group).share_loads, load_N)

    if n_experts:
        n_bytes = n_experts * torch.long.itemsize
        yield Case(
            kernel="all_to_all", op="share_loads", shape={"bytes": n_bytes, "ranks": members.n_ranks}, dtype="int64",
            make=_by_members(members, make), moved_bytes=n_bytes * (members.n_ranks - 1) / members.n_ranks,
        )  # fmt: skip


def _by_members(members: Members, make: Callable[[], Work]) -> Callable[[], Work]:
    return make if members.rank < members.n_ranks else lambda: lambda: None


def _even(lab: Lab, members: Members, n_values: int) -> Work:
    sent, received = lab.random(n_values), lab.random(n_values)
    return partial(dist.all_to_all_single, received, sent, group=members.group)


def _uneven(lab: Lab, members: Members, n_values: int) -> Work:
    sent_R = uneven_splits(n_values, members.n_ranks)
    received_R = [sent_R[members.rank]] * members.n_ranks
    received, sent = lab.random(sum(received_R)), lab.random(n_values)
    return partial(dist.all_to_all_single, received, sent, received_R, sent_R, group=members.group)


def _all_gather(lab: Lab, members: Members, n_values: int) -> Work:
    gathered, own = lab.random(n_values * members.n_ranks), lab.random(n_values)
    return partial(dist.all_gather_into_tensor, gathered, own, group=members.group)


def _reduce_scatter(lab: Lab, members: Members, n_values: int) -> Work:
    scattered, own = lab.random(n_values // members.n_ranks), lab.random(n_values)
    return partial(dist.reduce_scatter_tensor, scattered, own, group=members.group)


def _all_reduce(lab: Lab, members: Members, n_values: int) -> Work:
    zeros = lab.random(n_values).zero_()  # sums of sums of anything else would overflow
    return partial(dist.all_reduce, zeros, group=members.group)


def _point_to_point(lab: Lab, members: Members, n_values: int) -> Work:
    """From the first rank to the last; those between only take part in the clock."""
    values, last = lab.random(n_values), members.n_ranks - 1
    if members.rank == 0:
        return partial(dist.send, values, last, group=members.group)
    return partial(dist.recv, values, 0, group=members.group) if members.rank == last else lambda: None
