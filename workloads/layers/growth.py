"""Model growth: a deep model started from copies of a trained shallow one."""

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from workloads.model import ModelSpec

_LAYER = re.compile(r"^layers\.(\d+)\.")


def grown_spec(spec: ModelSpec, times: int) -> ModelSpec:
    """Return `spec` with `times` as many layers."""
    return replace(spec, n_layers=times * spec.n_layers)


def stack_layers(state: Mapping[str, Tensor], n_layers: int, times: int) -> dict[str, Tensor]:
    """Return the state dict of a `LanguageModel` of `times` * `n_layers` layers for `state` of one of `n_layers`.

    Layer i of the deep model is a copy of layer i mod `n_layers`: the whole stack, `times` over, routers and their
    biases included (LongCat-Flash report, section 3.1: r = 2, 14 layers to 28). Embedding, norm and head stay. The
    optimiser starts without moments; the count of samples seen and with it the learning-rate schedule go on.
    """
    found = {int(match[1]) for name in state if (match := _LAYER.match(name))}
    if times < 1 or found != set(range(n_layers)):
        raise ValueError(
            f"stack: got layers {sorted(found)}, {times} times; allowed layers 0 to {n_layers - 1}, once or more"
        )
    grown: dict[str, Tensor] = {}
    for name, weight in state.items():
        match = _LAYER.match(name)
        if match is None:
            grown[name] = weight.clone()
            continue
        for copy in range(times):
            layer = copy * n_layers + int(match[1])
            grown[f"layers.{layer}.{name[match.end() :]}"] = weight.clone()
    return grown
