"""Speed of the grouped experts on this CPU beside one dense matrix product of the same FLOPs.

M rows, D hidden, F width of an expert, G experts.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from workloads.layers.grouped import grouped_padded

N_EXPERTS, TOKENS_PER_EXPERT, HIDDEN, WIDTH = 16, 64, 1536, 512  # LongCat-Flash's proportions, a quarter of its size
N_REPEATS, N_WARM_UP = 21, 3


def measure() -> dict[str, float]:
    """Return the speed of the grouped experts over that of dense products of the same FLOPs, same rows, 1 is equal.

    Even: every expert has 64 rows; random: 64 on average (uniform choice); skewed: shares fall as 1/rank. The two are
    timed by turns, median of 21. The dense side runs its two products only, no activation.
    """
    rng = np.random.default_rng(0)
    n_rows = N_EXPERTS * TOKENS_PER_EXPERT
    skew = 1.0 / np.arange(1, N_EXPERTS + 1)
    loads = {
        "even": np.full(N_EXPERTS, TOKENS_PER_EXPERT),
        "random": rng.multinomial(n_rows, np.full(N_EXPERTS, 1.0 / N_EXPERTS)),
        "skewed": rng.multinomial(n_rows, skew / skew.sum()),
    }
    return {
        f"layers.grouped_over_dense_{name}": _speed_over_dense(torch.from_numpy(load)) for name, load in loads.items()
    }


@torch.no_grad()
def _speed_over_dense(load_G: Tensor) -> float:
    rows_MD = torch.randn(int(load_G.sum()), HIDDEN)
    gate_up_GFD, down_GDF = torch.randn(N_EXPERTS, 2 * WIDTH, HIDDEN), torch.randn(N_EXPERTS, HIDDEN, WIDTH)
    inner_MF = torch.randn(len(rows_MD), WIDTH)

    def grouped() -> None:
        grouped_padded(rows_MD, load_G, gate_up_GFD, down_GDF)

    def dense() -> None:
        rows_MD @ gate_up_GFD[0].T
        inner_MF @ down_GDF[0].T

    seconds = [(_seconds(dense), _seconds(grouped)) for _ in range(N_WARM_UP + N_REPEATS)][N_WARM_UP:]
    return statistics.median(d for d, _ in seconds) / statistics.median(g for _, g in seconds)


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(measure())
