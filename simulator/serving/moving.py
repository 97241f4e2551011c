"""Replicas that depend on each other move together: whoever is furthest behind, up to where the next one stands.

So nobody has begun a step that a request yet to be asked, a prompt yet to be computed or a cache yet to arrive could
have joined.
"""

from collections.abc import Sequence
from math import inf, nextafter
from typing import Protocol

from simulator.serving.replica import Replica
from workloads.traffic.requests import Request


class Source(Protocol):
    """Requests by time of arrival."""

    @property
    def next_s(self) -> float:
        """When the next known one comes; a border where none does [s]."""

    @property
    def is_over(self) -> bool:
        """Whether none is known."""

    def pop(self) -> Request | None:
        """Take it, None where none is known."""

    def answered(self, session: int, now_s: float) -> None:
        """Note the end of a session's request [s]."""


def move_the_last(replicas: Sequence[Replica], before_s: float) -> Replica | None:
    """Let the replica where something happens next run up to where it does at another, to `before_s` [s], or to an end
    of a request; return it, None where nothing happens before `before_s`."""
    last, first_s, second_s = None, before_s, before_s
    for replica in replicas:
        next_s = replica.next_s
        if next_s < first_s:
            last, first_s, second_s = replica, next_s, first_s
        elif next_s < second_s:
            second_s = next_s
    if last is not None:
        last.advance(min(before_s, max(second_s, nextafter(first_s, inf))))
    return last
