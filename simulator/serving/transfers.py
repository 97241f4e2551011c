"""KV caches on their way from the GPUs that computed a prompt to those that answer it."""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KvLink:
    """Between two attention groups: `bytes_per_s` of all their NICs together, `latency_s` of a message;
    `bytes_per_token` of the cache, `n_layers` of it. `layerwise`: each layer goes while the next ones are computed."""

    bytes_per_s: float
    latency_s: float
    bytes_per_token: float
    n_layers: int
    layerwise: bool = True


class Transfers:
    """One transfer after the other on the NICs of a group, in and out apart; `moved_bytes`, `seconds` of them all, from
    the end of the prompt to the arrival of its cache; of those `room_s` until the target had room, and `queued_s`
    behind other caches."""

    def __init__(self, link: KvLink) -> None:
        self._link = link
        self._free_s: defaultdict[Hashable, float] = defaultdict(float)
        self.n = 0
        self.moved_bytes = self.seconds = self.queued_s = self.room_s = 0.0

    def start(
        self, source: Hashable, target: Hashable, tokens: int, *, ready_s: float, room_s: float, computing_s: float
    ) -> float:
        """Return when a prompt's cache has arrived [s].

        It is complete at `ready_s`, after `computing_s` of work on it, and the target has room from `room_s` on. What
        was sent while it was computed is at its place by then: all layers but the last, as far as the link could, if
        the target had room at once.
        """
        link = self._link
        n_bytes = left = tokens * link.bytes_per_token
        if link.layerwise and room_s <= ready_s:
            left = max(n_bytes / link.n_layers, n_bytes - link.bytes_per_s * computing_s)
        asked_s = max(ready_s, room_s)
        start_s = max(asked_s, self._free_s[source, "out"], self._free_s[target, "in"])
        end_s = start_s + left / link.bytes_per_s
        self._free_s[source, "out"] = self._free_s[target, "in"] = end_s
        self.n += 1
        self.moved_bytes += n_bytes
        self.queued_s += start_s - asked_s
        self.room_s += asked_s - ready_s
        self.seconds += end_s + link.latency_s - ready_s
        return end_s + link.latency_s
