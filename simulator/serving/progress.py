"""A replay under way, for whoever watches it: how far it has come, what has ended, and whether to go on."""

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from simulator.serving.ledger import DONE, REJECTED, Ledger
from simulator.serving.replica import Replica
from simulator.serving.results import request_table


class Progress:
    """How far a replay has come. `n_arrived`: requests so far; `n_done`, `n_rejected`: of them; `time_s`: clock of the
    replica that is furthest [s]."""

    def __init__(self, ledger: Ledger, replicas: Sequence[Replica], watch: "Watch | None") -> None:
        self.n_arrived = 0
        self._ledger = ledger
        self._replicas = replicas
        self._watch = watch
        self._n_seen = 0
        self._open: list[int] = []

    @property
    def n_done(self) -> int:
        """Requests that were answered."""
        return sum(replica.n_done for replica in self._replicas)

    @property
    def n_open(self) -> int:
        """Requests that have come and are neither answered nor rejected."""
        return self.n_arrived - self.n_done - self._ledger.n_rejected

    @property
    def time_s(self) -> float:
        """Clock of the replica that is furthest [s]."""
        return max(replica.now_s for replica in self._replicas)

    def goes_on(self) -> bool:
        """Ask the watch, if there is one, whether the replay is to go on."""
        return self._watch is None or self._watch(self)

    def take_ended(self) -> pd.DataFrame:
        """Return the requests, as in the table of the run, that have ended since the last call."""
        ended: list[int] = []
        still_open: list[int] = []
        for request in chain(self._open, range(self._n_seen, self.n_arrived)):
            over = self._ledger.state[request] in {DONE, REJECTED}
            (ended if over else still_open).append(request)
        self._open, self._n_seen = still_open, self.n_arrived
        return request_table(self._ledger, np.array(ended, dtype=np.int64))

    def so_far(self) -> pd.DataFrame:
        """Return the table of all requests that have come."""
        return request_table(self._ledger, np.arange(self.n_arrived))


Watch = Callable[[Progress], bool]
