"""Which of the replicas that can serve takes a request."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from simulator.serving.replica import Replica
from simulator.serving.router import RouterName, make_route

ReplicaT = TypeVar("ReplicaT", bound=Replica)


class Rotation(Generic[ReplicaT]):
    """Replicas behind a router that knows which of them are out of service."""

    def __init__(self, router: RouterName, replicas: Sequence[ReplicaT], prompt_tokens: Sequence[int]) -> None:
        self._router = router
        self._replicas = replicas
        self._prompt_tokens = prompt_tokens
        self._here = list(replicas)
        self._route = make_route(router, self._here, prompt_tokens)

    def choose(self, request: int) -> ReplicaT | None:
        """Return the replica that takes a request, None where none is in service."""
        here = [replica for replica in self._replicas if replica.in_service]
        if len(here) != len(self._here) or here != self._here:
            self._here, self._route = here, make_route(self._router, here, self._prompt_tokens)
        return here[self._route(request)] if here else None
