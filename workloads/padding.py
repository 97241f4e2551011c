"""How rows of many experts are cut into a few batched products over padded rows.

G experts held by a rank, U experts of one product.
"""

from collections.abc import Iterator

import numpy as np

from workloads.ops import IntArray

COPY_ROWS = 250  # rows that cost as much as a copy of an expert's weights (AMD EPYC, 2 cores, float32)


def cuts(load_G: IntArray) -> Iterator[tuple[IntArray, int]]:
    """Yield the products that cover `load_G` rows per expert: experts (U,), ascending, and the rows of each of them.

    Every product serves its experts up to one height and leaves the rest of the heaviest to the next. Idle experts are
    left out of the first product only where they are the majority: it would copy the weights of the others.
    """
    done = 0
    while (left_G := np.maximum(load_G - done, 0)).any():
        experts_U = left_G.nonzero()[0]
        if done == 0 and 2 * len(experts_U) > len(load_G):
            experts_U = np.arange(len(load_G))
        height = cheapest_height(left_G[experts_U])
        yield experts_U, height
        done += height


def padded_rows(load_G: IntArray) -> int:
    """Return the rows that all products compute, padding included."""
    return sum(len(experts_U) * height for experts_U, height in cuts(load_G))


def cheapest_height(load_U: IntArray) -> int:
    """Return the rows per expert of a product, one of the loads: that which multiplies and copies least, in rows.

    At least half of the experts end with it, and it is at most twice the mean load: few products, bounded padding.
    """
    n_experts = len(load_U)
    load_U = np.sort(load_U)[::-1]
    n_above_U = np.arange(n_experts)
    later_U = load_U.cumsum() - load_U - n_above_U * load_U + n_above_U * COPY_ROWS
    cost_U = n_experts * load_U + later_U
    mean = -(-int(load_U.sum()) // n_experts)
    is_allowed_U = (load_U <= 2 * mean) & (n_above_U <= n_experts // 2)
    return int(load_U[np.where(is_allowed_U, cost_U, np.iinfo(np.int64).max).argmin()])
