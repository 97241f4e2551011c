"""Model growth: a deep model started from copies of a trained shallow one."""

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from workloads.model import ModelSpec

_LAYER = re.compile(r"^layers\.(\d+)\.")
_ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")


def grown_spec(spec: ModelSpec, times: int) -> ModelSpec:
    """Return `spec` with `times` as many layers."""
    return replace(spec, n_layers=times * spec.n_layers)


def stack_layers(state: Mapping[str, Tensor], n_layers: int, times: int) -> dict[str, Tensor]:
    """Return the state dict of a `LanguageModel` of `times` * `n_layers` layers for `state` of one of `n_layers`.

    Layer i of the deep model is a copy of layer i mod `n_layers`: the whole stack, `times` over, routers and their
    biases included (LongCat-Flash report, section 3.1: r = 2, 14 layers to 28). Embedding, norm and head stay; so do
    the count of samples seen and with it the learning-rate schedule, and the optimiser's moments (`stack_moments`).
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


def stack_moments(
    shallow: nn.Module,
    kept: torch.optim.AdamW,
    deep: nn.Module,
    optimiser: torch.optim.AdamW,
    *,
    n_layers: int,
    times: int,
) -> None:
    """Give `optimiser` of the `deep` model the moments and step counts that `kept` has of the `shallow` one.

    Every copy of a weight takes those of its original. The report keeps "all training states" of the predecessor.
    """
    named = {name: kept.state[weight] for name, weight in shallow.named_parameters()}
    stacked = {
        key: stack_layers({name: state[key] for name, state in named.items()}, n_layers, times) for key in _ADAM_STATE
    }
    for name, weight in deep.named_parameters():
        optimiser.state[weight] = {key: stacked[key][name] for key in _ADAM_STATE}
