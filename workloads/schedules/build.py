"""Putting work into an op graph: chains on streams, with what they wait for."""

from collections.abc import Sequence

from workloads.ops import Op, Work

Deps = tuple[int, ...]


class GraphBuilder:
    """Collects ops in issue order."""

    def __init__(self) -> None:
        self.ops: list[Op] = []

    def chain(self, works: Sequence[Work], *, stream: str, layer: int, after: Deps, suffix: str = "") -> Deps:
        """Append `works` one after the other on `stream`; return what waits for the last of them.

        The first waits for `after`, which is returned as it is where there is no work.
        """
        for work in works:
            self.ops.append(Op(work=work, layer=layer, stream=stream, deps=after, suffix=suffix))
            after = (len(self.ops) - 1,)
        return after


def joined(*deps: Deps) -> Deps:
    """Return all of several dependencies, each once, in order."""
    return tuple(dict.fromkeys(index for group in deps for index in group))
