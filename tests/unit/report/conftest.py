"""A stand-in for the engine: the answer to a decode step with shortcut-connected layers on several rank classes."""

from collections.abc import Callable

import pandas as pd
import pytest

from simulator.answer import Answer, Assumption
from simulator.timeline import TIMELINE_COLUMNS

N_LAYERS = 28

# name, kind, stream, seconds, FLOPs, bytes, grows with the rank's load
_LAYER = (
    ("norm_0", "norm", "main", 3e-6, 0.0, 2.4e6, False),
    ("mla_0.q_down", "attention", "main", 9e-6, 3.6e9, 9.4e6, False),
    ("mla_0.kv_down", "attention", "main", 7e-6, 1.4e9, 3.5e6, False),
    ("mla_0.q_up", "attention", "main", 16e-6, 7.2e9, 18.9e6, False),
    ("mla_0.core", "attention", "main", 230e-6, 1.3e11, 5.5e8, False),
    ("mla_0.out", "attention", "main", 38e-6, 1.9e10, 5.0e7, False),
    ("router", "router", "main", 12e-6, 9.0e8, 9.0e6, False),
    ("dispatch.issue", "dispatch", "comm", 22e-6, 0.0, 7.4e6, True),
    ("dispatch.flight", "dispatch", "comm", 165e-6, 0.0, 7.4e6, True),
    ("ffn_0.norm", "norm", "main", 3e-6, 0.0, 2.4e6, False),
    ("ffn_0.gate_up", "dense_ffn", "main", 104e-6, 5.8e10, 1.5e8, False),
    ("ffn_0.act", "dense_ffn", "main", 6e-6, 0.0, 7.0e6, False),
    ("ffn_0.down", "dense_ffn", "main", 55e-6, 2.9e10, 7.5e7, False),
    ("dispatch.receive", "dispatch", "comm", 14e-6, 0.0, 7.4e6, True),
    ("experts.gate_up", "experts", "main", 62e-6, 2.4e10, 1.0e8, True),
    ("experts.act", "experts", "main", 5e-6, 0.0, 9.0e6, True),
    ("experts.down", "experts", "main", 33e-6, 1.2e10, 5.0e7, True),
    ("combine.issue", "combine", "comm", 25e-6, 0.0, 1.4e7, True),
    ("combine.flight", "combine", "comm", 300e-6, 0.0, 1.4e7, True),
    ("mla_1.q_up", "attention", "main", 30e-6, 1.2e10, 3.2e7, False),
    ("mla_1.core", "attention", "main", 230e-6, 1.3e11, 5.5e8, False),
    ("mla_1.out", "attention", "main", 38e-6, 1.9e10, 5.0e7, False),
    ("ffn_1.gate_up", "dense_ffn", "main", 104e-6, 5.8e10, 1.5e8, False),
    ("ffn_1.act", "dense_ffn", "main", 6e-6, 0.0, 7.0e6, False),
    ("ffn_1.down", "dense_ffn", "main", 55e-6, 2.9e10, 7.5e7, False),
    ("combine.receive", "combine", "comm", 21e-6, 0.0, 1.4e7, True),
    ("residual", "residual", "main", 4e-6, 0.0, 4.8e6, False),
)  # fmt: skip
_TAIL = (
    ("lm_head", "lm_head", "main", 310e-6, 3.1e11, 1.6e9, False),
    ("mtp.draft", "mtp", "main", 420e-6, 2.0e11, 7.0e8, False),
    ("sampling", "sampling", "main", 40e-6, 0.0, 5.0e7, False),
)  # fmt: skip
_JOINS = {"dispatch.issue", "experts.gate_up", "combine.issue", "residual"}
"""Ops that need the other stream's last op; all others wait only for their own stream."""


def _class_rows(device: int, load: float, n_alike: int, n_layers: int, speedup: float) -> list[dict[str, object]]:
    free_s = {"main": 0.0, "comm": 0.0}
    ops = [(op, layer) for layer in range(n_layers) for op in _LAYER] + [(op, -1) for op in _TAIL]
    rows: list[dict[str, object]] = []
    for op_id, ((name, kind, stream, seconds, flops, n_bytes, grows), layer) in enumerate(ops):
        start_s = max(free_s.values()) if name in _JOINS else free_s[stream]
        wait_s = 4e-6 + 60e-6 * (1.25 - load) if name.endswith(".receive") else 0.0
        factor = load if grows else 1.0
        faster = speedup if kind in ("dispatch", "combine") else 1.0
        free_s[stream] = start_s + wait_s + seconds * factor / faster
        rows.append({
            "device": device, "rank": device, "stream": stream, "op_id": op_id, "op": name, "kind": kind,
            "layer": layer, "start_s": start_s, "end_s": free_s[stream], "wait_s": wait_s, "flops": flops * factor,
            "bytes": n_bytes * factor, "tier": "nic" if kind in ("dispatch", "combine") else "", "n_alike": n_alike,
            "source": "published" if stream == "comm" else "datasheet", "extrapolated": name == "mla_0.core",
        })  # fmt: skip
    return rows


def _timeline(loads: dict[int, tuple[float, int]], n_layers: int = N_LAYERS, speedup: float = 1.0) -> pd.DataFrame:
    rows = [
        row
        for device, (load, n_alike) in loads.items()
        for row in _class_rows(device, load, n_alike, n_layers, speedup)
    ]
    return pd.DataFrame(rows, columns=list(TIMELINE_COLUMNS))


UNEQUAL = {0: (1.0, 90), 5: (1.25, 1), 17: (0.8, 37)}
BALANCED = {0: (1.0, 128)}


@pytest.fixture(scope="session")
def make_timeline() -> Callable[..., pd.DataFrame]:
    return _timeline


@pytest.fixture
def timeline() -> pd.DataFrame:
    return _timeline(UNEQUAL)


_SCENARIO = {
    "model": "longcat_flash", "machine": "h800_sxm", "n_gpus": 128, "phase": "decode", "schedule": "sbo", "seed": 0,
    "layout": {"attention_tp": 1, "dense_tp": 1, "ep": 128},
    "batch": {"sequences_per_gpu": 96, "context_tokens": 5000},
    "mtp": {"n_draft": 1, "acceptance": [0.8]},
}  # fmt: skip


def _metrics(step_s: float, exposed_s: float) -> dict[str, object]:
    tpot_s = step_s / 1.8
    return {
        "step_s": step_s, "layer_s": step_s / 29, "tpot_s": tpot_s, "tokens_per_s_per_user": 1 / tpot_s,
        "tokens_per_s_per_gpu": 96 / tpot_s, "usd_per_million_output_tokens": 2.0 / 3600 / (96 / tpot_s) * 1e6,
        "comm_s": 15.3e-3, "comm_s_max": 17.1e-3, "exposed_comm_s": exposed_s, "exposed_comm_s_max": exposed_s * 1.4,
        "wait_s": 0.9e-3, "wait_s_max": 1.7e-3, "overlap_ratio": 1 - exposed_s / 15.3e-3,
        "busy_s": {"attention": 16.7e-3, "experts": 2.8e-3}, "bytes": {"nvlink": 3.1e8, "nic": 5.9e8},
        "load_imbalance": 1.25, "bound_by": "nic.egress",
    }  # fmt: skip


def _kinds(step_s: float, dispatch_s: float) -> list[dict[str, object]]:
    busy_s = {
        "norm": 0.2e-3, "attention": 16.7e-3, "dense_ffn": 9.2e-3, "router": 0.34e-3, "experts": 2.8e-3,
        "residual": 0.1e-3, "lm_head": 0.31e-3, "mtp": 0.42e-3, "sampling": 0.04e-3,
    }  # fmt: skip
    combine_s = step_s - dispatch_s - sum(busy_s.values())
    on_path_s = busy_s | {"dispatch": dispatch_s, "combine": combine_s}
    busy_s |= {"dispatch": 5.6e-3, "combine": 9.7e-3}
    return [
        {
            "kind": kind, "busy_s": busy_s[kind], "critical_s": on_path_s[kind], "n_ops": 28,
            "exposed_s": on_path_s[kind] if kind in ("dispatch", "combine") else 0.0,
        }
        for kind in busy_s
    ]  # fmt: skip


_ASSUMPTIONS = (
    Assumption(name="device.hbm_bytes_per_s", value=3.35e12, unit="B/s", source="datasheet",
               reference="NVIDIA H800 datasheet, 2023"),
    Assumption(name="fabric.nic_bytes_per_s", value=40e9, unit="B/s", source="published",
               reference="LongCat-Flash report, section 5"),
    Assumption(name="costs.gemm_efficiency", value=0.83, unit="", source="assumed", reference="no measurement yet"),
    Assumption(name="price.usd_per_gpu_hour", value=2.0, unit="$", source="published",
               reference="LongCat-Flash report, table 6"),
)  # fmt: skip


def _answer(name: str = "longcat-flash-decode", **changes: object) -> Answer:
    loads, speedup = changes.pop("loads", UNEQUAL), changes.pop("speedup", 1.0)
    step_s, dispatch_s = changes.pop("step_s", 34.6e-3), changes.pop("dispatch_s", 1.3e-3)
    timeline = _timeline(loads, speedup=speedup)
    hottest = timeline[(timeline["rank"] == max(loads, key=lambda rank: loads[rank][0])) & (timeline["kind"] != "norm")]
    values = {
        "name": name, "scenario": _SCENARIO, "feasible": True, "reason": "",
        "metrics": _metrics(step_s, 3.9e-3), "kinds": _kinds(step_s, dispatch_s),
        "critical_path_by_source": {"datasheet": 0.62, "published": 0.3, "assumed": 0.08},
        "warnings": ["context_tokens = 5000 is outside the measured range of attention_decode (512 to 4096)"],
        "memory_bytes": {"attention and dense weights": 21.3e9, "expert weights": 12.9e9, "KV cache": 28.4e9,
                         "all-to-all buffers": 3.1e9, "activations": 1.2e9},
        "memory_limit_bytes": 72e9, "sequences_that_fit": 108, "assumptions": _ASSUMPTIONS, "timeline": timeline,
        "critical_path": hottest[["op_id", "rank", "start_s", "end_s"]],
    }  # fmt: skip
    return Answer(**(values | changes))


@pytest.fixture(scope="session")
def make_answer() -> Callable[..., Answer]:
    """Build the answer of the stand-in, with fields replaced by name."""
    return _answer


@pytest.fixture(scope="session")
def infeasible() -> Answer:
    return _answer(
        "too many sequences", feasible=False, reason="81.2 GB do not fit the 72 GB a device may use", metrics={},
        kinds=[], critical_path_by_source={}, timeline=None, critical_path=None, sequences_that_fit=108,
        memory_bytes={"weights": 34.2e9, "KV cache": 47e9},
    )  # fmt: skip
