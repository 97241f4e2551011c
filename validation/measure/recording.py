"""Profiler traces of whole layers, every op annotated with the name that it has in the op graph."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from validation.measure.case import Lab
from validation.measure.layers import Layer, Point, points
from validation.measure.ranks import Ranks
from workloads.layers.block import ScMoEBlock
from workloads.layers.exchange import Exchange
from workloads.layers.overlap import RunBlock

FOLDER = "traces"
WARM_UP, STEPS = 3, 5  # passes before recording, and recorded
_PARTS: Mapping[str, Mapping[str, str]] = {  # module: its callables by the name of what they do
    "attention_norm_0": {"forward": "mla0.norm"}, "attention_norm_1": {"forward": "mla1.norm"},
    "attention_0": {"project": "mla0", "attend": "mla0"}, "attention_1": {"project": "mla1", "attend": "mla1"},
    "ffn_norm_0": {"forward": "mla0.post_norm"}, "ffn_norm_1": {"forward": "mla1.post_norm"},
    "ffn_0": {"forward": "ffn0"}, "ffn_1": {"forward": "ffn1"},
    "moe": {"dispatch": "dispatch", "compute": "combine", "collect": "combine"},
    "moe.router": {"forward": "router"}, "moe.experts": {"forward": "experts"},
}  # fmt: skip
_INNER = ("q_a", "q_norm", "q_b", "kv_a", "kv_norm", "kv_b", "o")


def record_traces(
    lab: Lab, orders: Mapping[str, RunBlock], exchange: Exchange | None, ranks: Ranks, folder: Path | None
) -> list[Path]:
    """Record a decode step and a prefill of the suite's middle sizes in every order; return the files, one per trace.

    All ranks run them, those with a `folder` write. `longsim validate layers --trace FILE` takes one.
    """
    layer, files = Layer(lab=lab, zero="skip", exchange=exchange), []
    for point in _middle(list(points(lab.sizes))):
        for order, run in orders.items():
            recorded = _recorded(layer, run, point)
            if folder is not None:
                path = folder / FOLDER / trace_name(point.shape_of(order, "skip", ranks.n_ranks))
                path.parent.mkdir(parents=True, exist_ok=True)
                recorded.export_chrome_trace(str(path))
                files.append(path)
    return files


def trace_name(shape: Mapping[str, int | str]) -> str:
    """Return the file name that tells a row's shape: `layer-batch=4-new=1-....json.gz`."""
    return "-".join(["layer", *(f"{name}={value}" for name, value in shape.items())]) + ".json.gz"


@contextmanager
def annotated(block: ScMoEBlock) -> Iterator[None]:
    """Let the parts of `block` announce themselves to the profiler while the context lasts."""
    wrapped: list[tuple[Any, str]] = []
    for path, callables in _all_parts().items():
        module = block.get_submodule(path)
        for attribute, name in callables.items():
            setattr(module, attribute, _announcing(getattr(module, attribute), name))
            wrapped.append((module, attribute))
    try:
        yield
    finally:
        for module, attribute in wrapped:
            delattr(module, attribute)


def _all_parts() -> dict[str, Mapping[str, str]]:
    parts = dict(_PARTS)
    for i in range(2):
        parts |= {f"attention_{i}.{inner}": {"forward": f"mla{i}.{inner}"} for inner in _INNER}
        parts |= {f"ffn_{i}.{inner}": {"forward": f"ffn{i}.{inner}"} for inner in ("gate_up", "down")}
    return parts


def _announcing(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(function)
    def announced(*args: object, **kwargs: object) -> object:
        with record_function(name):
            return function(*args, **kwargs)

    return announced


def _middle(every: list[Point]) -> list[Point]:
    decodes, prefills = ([p for p in every if (p.n_new == p.n_context) is prefill] for prefill in (False, True))
    return [kind[len(kind) // 2] for kind in (decodes, prefills) if kind]


def _recorded(layer: Layer, run: RunBlock, point: Point) -> profile:
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (layer.lab.device.type == "cuda")
    with torch.inference_mode(), annotated(layer.block):
        work = layer.work(run, point)
        for _ in range(WARM_UP):
            work()
        recorded = profile(activities=activities)
        with recorded:
            for step in range(STEPS):
                with record_function(f"ProfilerStep#{step}"):
                    work()
                    if layer.lab.device.type == "cuda":
                        torch.cuda.synchronize(layer.lab.device)
    return recorded
