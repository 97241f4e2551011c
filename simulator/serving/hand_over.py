"""From the router to a replica: a request is queued there, or turned away."""

from collections.abc import Sequence

from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import FULL_QUEUE, Ledger
from simulator.serving.replica import Replica


def hand_over(request: int, ledger: Ledger, replicas: Sequence[Replica], chosen: int, knobs: BackendKnobs) -> None:
    """Give a request to the replica that was chosen for it, or reject it where as many wait there as may."""
    ledger.replica[request] = chosen
    if 0 < knobs.max_queue <= replicas[chosen].n_waiting:
        ledger.reject(request, FULL_QUEUE)
    else:
        replicas[chosen].submit(request)
