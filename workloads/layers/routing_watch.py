"""The routings of a model's forward passes, kept with their graph: what losses and controllers read."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from torch import nn

from workloads.layers.router import Router, Routing


class RoutingWatch:
    """Within a `with`, holds the last `Routing` of every router in `module`, in the order of the layers."""

    def __init__(self, module: nn.Module) -> None:
        self.routers: Sequence[Router] = [part for part in module.modules() if isinstance(part, Router)]
        if not self.routers:
            raise ValueError(f"module: got {type(module).__name__} without a Router; watch a model, a block or a MoE")
        self._last: dict[int, Routing] = {}
        self._handles = [
            router.register_forward_hook(lambda _module, _inputs, routing, at=at: self._last.update({at: routing}))
            for at, router in enumerate(self.routers)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def routings(self) -> list[Routing]:
        """The routings of the last forward pass, one per layer."""
        return [self._last[at] for at in sorted(self._last)]
