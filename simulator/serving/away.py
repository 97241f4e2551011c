"""Caches that are elsewhere: swapped to the host, or on the replica that computed the prompt."""


class Away:
    """Requests whose tokens are cached elsewhere. `fetched`: (request, tokens) of those to be brought from another
    replica now that they have blocks here."""

    def __init__(self) -> None:
        self.fetched: list[tuple[int, int]] = []
        self._tokens: dict[int, int] = {}
        self._remote: set[int] = set()

    def __contains__(self, request: int) -> bool:
        return request in self._tokens

    def tokens(self, request: int) -> int:
        """Return the tokens of a request that are cached elsewhere."""
        return self._tokens[request]

    def swap(self, request: int, tokens: int) -> None:
        """The cache of a request goes to the host."""
        self._tokens[request] = tokens

    def expect(self, request: int, tokens: int) -> None:
        """Another replica holds the cache of a request."""
        self._tokens[request] = tokens
        self._remote.add(request)

    def bring(self, request: int) -> tuple[int, bool]:
        """Take a request's tokens, and whether it decodes at once: from the host it does, else it is `fetched`."""
        tokens = self._tokens.pop(request)
        at_once = request not in self._remote
        if not at_once:
            self._remote.discard(request)
            self.fetched.append((request, tokens))
        return tokens, at_once
