"""How rows travel between the ranks of an expert-parallel group: the one seam at which parallelism enters.

M rows sent, M' rows received, D hidden, N routed experts, R ranks.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Flight(Protocol):
    """Rows under way."""

    def wait(self) -> Tensor:
        """Return the received rows [M', D] once they are in."""


class Exchange(Protocol):
    """An expert-parallel group as one of its ranks sees it."""

    n_ranks: int

    def share_loads(self, load_N: Tensor) -> Tensor:
        """Return `load_RG`: rows that each rank will send to each expert held here, from everyone's `load_N`."""

    def send(self, rows_MD: Tensor, sent_R: list[int], received_R: list[int]) -> Flight:
        """Start the all-to-all of `rows_MD`, `sent_R` consecutive rows to each rank, `received_R` from each."""


@dataclass(frozen=True)
class Arrived:
    """A flight that is over."""

    rows_MD: Tensor

    def wait(self) -> Tensor:
        """Return the rows."""
        return self.rows_MD


class LocalExchange:
    """A group of one rank: rows stay where they are."""

    n_ranks = 1

    def share_loads(self, load_N: Tensor) -> Tensor:
        """Return `load_N` as the loads of the only rank [1, N]."""
        return load_N[None]

    def send(self, rows_MD: Tensor, sent_R: list[int], received_R: list[int]) -> Arrived:
        """Return the rows as arrived."""
        return Arrived(rows_MD)
