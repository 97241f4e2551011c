"""Cases of collectives between the ranks of `torch.distributed`: gloo on CPU, NCCL on CUDA.

R ranks; `n_bytes` is what one rank holds before it sends.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch.distributed as dist

from validation.measure.case import Case, Lab
from validation.measure.timing import Work

MakeCollective = Callable[[Lab, int], Work]


def collective_cases(lab: Lab) -> Iterator[Case]:
    """Yield every collective over message sizes; `moved_bytes` is what the busiest rank must send at the least."""
    n_ranks = dist.get_world_size()
    for n_bytes in lab.sizes.message_bytes:
        n_values = max(1, n_bytes // lab.element_bytes // n_ranks) * n_ranks
        for op, (make, sent_share) in collectives(n_ranks).items():
            yield Case(
                kernel=op.partition(".")[0], op=op, dtype=lab.dtype, make=partial(make, lab, n_values),
                shape={"bytes": n_values * lab.element_bytes, "ranks": n_ranks},
                moved_bytes=sent_share * n_values * lab.element_bytes,
            )  # fmt: skip


def collectives(n_ranks: int) -> dict[str, tuple[MakeCollective, float]]:
    """Return every collective by name, with the share of its bytes that the busiest rank sends."""
    others = (n_ranks - 1) / n_ranks
    heaviest = 1.0 - min(uneven_splits(n_ranks * n_ranks, n_ranks)) / (n_ranks * n_ranks)
    return {
        "all_to_all.even": (_even, others),
        "all_to_all.uneven": (_uneven, heaviest),
        "all_gather": (_all_gather, float(n_ranks - 1)),
        "reduce_scatter": (_reduce_scatter, others),
        "all_reduce": (_all_reduce, 2.0 * others),
        "point_to_point": (_point_to_point, 1.0),
    }


def uneven_splits(n_values: int, n_ranks: int) -> list[int]:
    """Return how many of `n_values` every rank sends to each rank: shares fall as 1/(r + 1), a hot first rank."""
    share_R = 1.0 / np.arange(1, n_ranks + 1)
    split_R = np.floor(share_R / share_R.sum() * n_values).astype(int)
    split_R[0] += n_values - split_R.sum()
    return [int(n) for n in split_R]


def _even(lab: Lab, n_values: int) -> Work:
    sent, received = lab.random(n_values), lab.random(n_values)
    return partial(dist.all_to_all_single, received, sent)


def _uneven(lab: Lab, n_values: int) -> Work:
    n_ranks, rank = dist.get_world_size(), dist.get_rank()
    sent_R = uneven_splits(n_values, n_ranks)
    received_R = [sent_R[rank]] * n_ranks
    return partial(dist.all_to_all_single, lab.random(sum(received_R)), lab.random(n_values), received_R, sent_R)


def _all_gather(lab: Lab, n_values: int) -> Work:
    return partial(dist.all_gather_into_tensor, lab.random(n_values * dist.get_world_size()), lab.random(n_values))


def _reduce_scatter(lab: Lab, n_values: int) -> Work:
    return partial(dist.reduce_scatter_tensor, lab.random(n_values // dist.get_world_size()), lab.random(n_values))


def _all_reduce(lab: Lab, n_values: int) -> Work:
    return partial(dist.all_reduce, lab.random(n_values).zero_())  # zeros: sums of sums would overflow


def _point_to_point(lab: Lab, n_values: int) -> Work:
    """From the first rank to the last; those between only take part in the clock."""
    values, last = lab.random(n_values), dist.get_world_size() - 1
    if dist.get_rank() == 0:
        return partial(dist.send, values, last)
    return partial(dist.recv, values, 0) if dist.get_rank() == last else lambda: None
