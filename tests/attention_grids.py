"""Attention tables as profilers write them: two grids of chunks, each with contexts of its own."""

import pandas as pd

COLUMNS = ["prefill_chunk", "kv_prefill", "n_decode", "kv_decode"]


def two_grids(rng):
    """Rows with random seconds; the coarse chunk has histories without any decode."""
    points = [(0, 0, n, kv) for n in (1, 2, 4) for kv in (16, 64, 256)]
    for chunks, contexts in (((16, 64), (16, 64, 256)), ((24, 54), (96, 144))):
        points += [(chunk, history, 0, 0) for chunk in chunks for history in (0, *contexts)]
        points += [(chunk, history, n, kv) for chunk in chunks for history in (0, *contexts) for n in (1, 4)
                   for kv in contexts]  # fmt: skip
    points += [(64, 1000, 0, 0)]
    return pd.DataFrame(points, columns=COLUMNS).assign(seconds=rng.uniform(1.0, 2.0, len(points)))
