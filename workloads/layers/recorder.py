"""Recording which experts the tokens of any forward pass choose.

T tokens of a step, K choices per token, L MoE layers.
"""

from types import TracebackType
from typing import Self

import numpy as np
from torch import Tensor, nn

from workloads.layers.router import Router, Routing
from workloads.routing_trace import IdsArray, RoutingTrace, routing_trace


class RoutingRecorder:
    """Within a `with`, keeps the choices of every router in `module`; each call of the module is one step."""

    def __init__(self, module: nn.Module) -> None:
        self._routers = [part for part in module.modules() if isinstance(part, Router)]
        if not self._routers:
            raise ValueError(f"module: got {type(module).__name__} without a Router; record a model, a block or a MoE")
        self._ids: list[list[IdsArray]] = [[] for _ in self._routers]
        self._handles = [
            router.register_forward_hook(lambda _module, _inputs, routing, layer=layer: self._keep(layer, routing))
            for layer, router in enumerate(self._routers)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()

    def trace(self) -> RoutingTrace:
        """Return what has been recorded; raises ValueError where nothing has."""
        router = self._routers[0]
        n_pool = router.classifier.out_features
        return routing_trace(
            self._ids, n_routed_experts=router.n_routed_experts, n_zero_experts=n_pool - router.n_routed_experts
        )

    def _keep(self, layer: int, routing: Routing) -> None:
        ids_TK: Tensor = routing.ids_TK
        self._ids[layer].append(ids_TK.cpu().numpy().astype(np.int16))
