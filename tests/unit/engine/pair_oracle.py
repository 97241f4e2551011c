"""An oracle for all-to-alls: one flow for every (source, destination) pair, max-min fair over the sources' egress and
the destinations' ingress links. Written for at most 16 ranks and for nothing but being right.

S sources, D destinations.
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def fair_rates(open_SD: NDArray[np.bool_], link_bytes_per_s: float) -> Matrix:
    """The rates at which no flow can gain without one of a flow that has less [bytes/s].

    Again and again the link with the smallest equal share decides the flows that cross it.
    """
    n = len(open_SD)
    rates_SD, undecided_SD = np.zeros((n, n)), open_SD.copy()
    while undecided_SD.any():
        spare_out, spare_in = link_bytes_per_s - rates_SD.sum(axis=1), link_bytes_per_s - rates_SD.sum(axis=0)
        flows_out, flows_in = undecided_SD.sum(axis=1), undecided_SD.sum(axis=0)
        share_out = np.divide(spare_out, flows_out, out=np.full(n, np.inf), where=flows_out > 0)
        share_in = np.divide(spare_in, flows_in, out=np.full(n, np.inf), where=flows_in > 0)
        decided_SD = np.zeros_like(undecided_SD)
        if share_out.min() <= share_in.min():
            decided_SD[np.argmin(share_out), :] = True
            share = share_out.min()
        else:
            decided_SD[:, np.argmin(share_in)] = True
            share = share_in.min()
        decided_SD &= undecided_SD
        rates_SD[decided_SD] = share
        undecided_SD &= ~decided_SD
    return rates_SD


def all_to_all_s(bytes_SD: Matrix, link_bytes_per_s: float) -> float:
    """When the last flow of an all-to-all is over [s]; what a rank sends to itself crosses no link."""
    left_SD, now = bytes_SD.astype(float), 0.0
    np.fill_diagonal(left_SD, 0.0)
    least = 1e-9 * left_SD.max(initial=0.0)
    while (left_SD > least).any():
        open_SD = left_SD > least
        rates_SD = fair_rates(open_SD, link_bytes_per_s)
        step_s = (left_SD[open_SD] / rates_SD[open_SD]).min()
        left_SD = np.where(open_SD, left_SD - rates_SD * step_s, 0.0)
        now += step_s
    return now
