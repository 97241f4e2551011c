"""A replica as others see it: its attention groups together."""

from simulator.serving.group import Group


class Groups:
    """Attention groups that serve together."""

    def __init__(self, groups: list[Group]) -> None:
        self.groups = groups

    @property
    def n_waiting(self) -> int:
        """Requests that wait."""
        return sum(group.n_waiting for group in self.groups)

    @property
    def n_running(self) -> int:
        """Requests that hold KV blocks."""
        return sum(group.n_running for group in self.groups)

    @property
    def used_blocks(self) -> int:
        """KV blocks of running requests, all attention groups together."""
        return sum(group.used_blocks for group in self.groups)

    def take_moved_tokens(self) -> int:
        """Return the most cached tokens that a group has swapped to the host or back since the last call."""
        most = max(group.admission.moved_tokens for group in self.groups)
        for group in self.groups:
            group.admission.moved_tokens = 0
        return most

    def cache_prefixes(self, hash_tokens: int) -> None:
        """Keep prompts by hashes of `hash_tokens` tokens each from now on."""
        for group in self.groups:
            group.admission.cache_prefixes(hash_tokens)

    def known_tokens(self, request: int) -> int:
        """Return the leading tokens of the prompt that the prefix cache of a group holds."""
        return max(group.known_tokens(request) for group in self.groups)

    def why_never(self, request: int) -> str:
        """Return why a request can never be answered here, or nothing."""
        return self.groups[0].admission.why_never(request)
