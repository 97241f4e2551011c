"""Published load statistics and gains of balanced experts, beside what the routing law and the simulator give for them.

Popularity is the power law that aiconfigurator gives for DeepSeek-V3, with nothing fitted, and beside it a log-normal
law with two figures fitted on TensorRT-LLM's table and the rest of it held out; the machine is as shipped.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hw_profiles.faults import Fault, InputFaults
from simulator.balance import hottest_over_mean
from simulator.evaluate import run_scenario
from simulator.scenario import build_scenario
from validation.published_facts import published_facts
from workloads.expert_placement import eplb_hierarchical, hottest_load
from workloads.loads import RoutedLoads, routed_loads

N_SEEDS = 100
EXPERTS, DENSE_LAYERS, MOE_LAYERS, REDUNDANT = 256, 3, 58, 32  # DeepSeek-V3; SGLang's redundant experts
_EPLB = {"expert_placement": "eplb", "n_redundant_experts": REDUNDANT}
PLACED: Sequence[tuple[str, int, Mapping[str, Any]]] = (
    ("ep32", 32, {}), ("eplb_ep32", 32, _EPLB), ("eplb_ep36", 36, _EPLB),
)  # fmt: skip
_SAMPLED_MOE_LAYERS = 5  # of each seed's step; the other MoE layers take as long on average

Row = dict[str, Any]


def facts() -> Mapping[str, Any]:
    """Return the typed facts."""
    return published_facts("balance")


def balance_document(data: Path, n_seeds: int = N_SEEDS) -> dict[str, Any]:
    """Return the suite as the JSON document of `validate balance --json`; InputFaults where the tables in `data` say
    something else than the typed facts."""
    statistics = [*statistics_rows(n_seeds), *lognormal_rows(n_seeds), *power_law_rows(n_seeds)]
    rows = [*statistics, *readme_rows(), *tbo_rows(), *eplb_rows(n_seeds)]
    skipped = compare_with_tables(rows, data / "measured" / "expert_load.json")
    spread = ", ".join(f"{row['id']} {row['low']:.3g} to {row['high']:.3g}" for row in rows if row["low"] is not None)
    return {
        "suite": "balance", "rows": rows, "skipped": skipped,
        "summary": {"n": len(rows), "n_ok": sum(row["ok"] for row in rows), "n_seeds": n_seeds},
        "notes": [{"id": "spread", "text": f"medians of {n_seeds} seeds, of which 10-90 %: {spread}"}],
    }  # fmt: skip


def _row(name: str, fact: Mapping[str, Any], predicted: Sequence[float] | float, *, signed: bool = False) -> Row:
    """One figure with its verdict; `signed`: a gain has to be one, and a loss a loss."""
    values = np.atleast_1d(np.asarray(predicted, dtype=float))
    median, reference = float(np.median(values)), float(fact["reference"])
    error = median / reference - 1.0
    right_way = not signed or (median - 1.0) * (reference - 1.0) > 0.0
    low, high = (float(np.percentile(values, p)) for p in (10, 90))
    return {
        "id": name, "what": fact["what"], "predicted": median, "reference": reference, "unit": "ratio",
        "rel_error": error, "tolerance": fact["tolerance"], "ok": bool(abs(error) <= fact["tolerance"] and right_way),
        "low": low if len(values) > 1 else None, "high": high if len(values) > 1 else None,
        "in_data": fact.get("in_data", ""), "source": fact["source"],
    }  # fmt: skip


def drawn_loads(
    seed: int, *, ep: int, tokens: int, layout: Mapping[str, Any], routing: Mapping[str, Any]
) -> RoutedLoads:
    """Return the loads of one MoE layer of DeepSeek-V3 with `tokens` tokens on each of `ep` ranks."""
    tables = {
        "model": "deepseek_v3", "machine": "gb200_nvl72", "n_gpus": ep, "seed": seed, "layout": {"ep": ep, **layout},
        "batch": {"sequences_per_gpu": float(tokens)}, "routing": dict(routing),
        "model_overrides": {"n_layers": DENSE_LAYERS + 1},
    }  # fmt: skip
    return routed_loads(build_scenario(tables).step, np.full(ep, float(tokens)))


def statistics_rows(n_seeds: int) -> Iterator[Row]:
    """Yield what one iteration's hottest rank and expert come to, before and after EPLB."""
    trtllm = facts()["trtllm"]
    routing = {"popularity": f"power_law:{trtllm['alpha']}", "draw": "sample"}
    for suffix, ep, layout in PLACED:
        drawn = [
            drawn_loads(seed, ep=ep, tokens=trtllm["tokens_per_rank"], layout=layout, routing=routing)
            for seed in range(n_seeds)
        ]
        hottest_rank = [float(hottest_over_mean(loads.rows_LR)[0]) for loads in drawn]
        hottest_slot = [float(loads.rows_LRX.max() / loads.rows_LRX.mean()) for loads in drawn]
        for what, values in (("rank", hottest_rank), ("slot" if layout else "expert", hottest_slot)):
            name = f"{what}_hottest_{suffix}"
            if name in trtllm:
                yield _row(name, trtllm[name], values)


def measured_routing() -> Mapping[str, Any]:
    """Return the log-normal law with its drift."""
    law = facts()["lognormal"]
    return {"popularity": f"lognormal:{law['sigma']}", "drift": law["drift"]}


def lognormal_rows(n_seeds: int) -> Iterator[Row]:
    """Yield spreads and hottest loads of the log-normal law, before EPLB and after it, with the drift between."""
    law = facts()["lognormal"]
    routing = {**measured_routing(), "draw": "sample"}
    for suffix, ep, layout in PLACED:
        drawn = [
            drawn_loads(seed, ep=ep, tokens=law["tokens_per_rank"], layout=layout, routing=routing).rows_LRX[0]
            for seed in range(n_seeds)
        ]
        of_slots, of_ranks = [rows_RX.ravel() for rows_RX in drawn], [rows_RX.sum(axis=1) for rows_RX in drawn]
        for kind, found in (("slot" if layout else "expert", of_slots), ("rank", of_ranks)):
            figures = {"spread": [x.std() / x.mean() for x in found], "hottest": [x.max() / x.mean() for x in found]}
            for name, values in figures.items():
                if fact := law.get(f"{kind}_{name}_{suffix}"):
                    yield _row(f"lognormal_{kind}_{name}_{suffix}", {**law, **fact}, values)


def power_law_rows(n_seeds: int) -> Iterator[Row]:
    """Yield the hottest rank of power laws, by our law of distinct experts beside aiconfigurator's rule."""
    fact = facts()["power_law"]
    for alpha, reference in fact["by_alpha"].items():
        found = [
            drawn_loads(seed, ep=32, tokens=256, layout={}, routing={"popularity": f"power_law:{alpha}"})
            for seed in range(n_seeds)
        ]
        one = fact | {
            "what": f"power law, alpha {alpha}, EP32: hottest rank over mean", "reference": reference,
            "in_data": fact["in_data"].replace("ALPHA", alpha),
        }  # fmt: skip
        yield _row(f"power_law_{alpha}", one, [float(hottest_over_mean(loads.rows_LR)[0]) for loads in found])


def readme_rows() -> Iterator[Row]:
    """Yield the hottest GPU of EPLB's own worked example under our placement."""
    fact = facts()["readme"]
    for layer, (loads, reference) in enumerate(zip(fact["loads"], fact["hottest"], strict=True)):
        loads_N = np.array(loads, dtype=float)
        placed_Q = eplb_hierarchical(
            loads_N, fact["n_slots"], fact["n_ranks"], n_nodes=fact["n_nodes"], n_groups=fact["n_groups"]
        )
        predicted = hottest_load(placed_Q, loads_N, fact["n_ranks"]) / (loads_N.sum() / fact["n_ranks"])
        one = fact | {
            "what": f"{fact['what']} {layer}",
            "reference": reference,
            "in_data": f"{fact['in_data']}.{layer}",
        }
        yield _row(f"readme_{layer}", one, predicted)


PREFILL = {
    "n_gpus": 32, "phase": "prefill", "schedule": "tbo", "layout": {"ep": 32},
    "batch": {"sequences_per_gpu": 8.0, "prompt_tokens": 2048, "context_tokens": 0.0},
}  # fmt: skip
DECODE = {"n_gpus": 72, "layout": {"ep": 72}, "batch": {"sequences_per_gpu": 128.0, "context_tokens": 4000.0}}


def eplb_rows(n_seeds: int) -> Iterator[Row]:
    """Yield what EPLB is worth in throughput, through the simulator, per seed."""
    sglang = facts()["sglang"]
    for name, case in (("eplb_prefill_ep32", PREFILL), ("eplb_decode_ep72", DECODE)):
        yield _row(name, sglang[name], eplb_gains(case, range(n_seeds)), signed=True)


def eplb_gains(case: Mapping[str, Any], seeds: Sequence[int]) -> list[float]:
    """Return step time without EPLB over step time with it, for each seed.

    A seed's step is simulated with a few MoE layers, each with its own draw, and carried to all of them: what is not
    an MoE layer takes as long as in the balanced step.
    """
    few, more = (step_s(case, "contiguous", n_moe=n, popularity="balanced") for n in (1, _SAMPLED_MOE_LAYERS))
    rest_s = few - (more - few) / (_SAMPLED_MOE_LAYERS - 1)

    def full_s(placement: str, seed: int) -> float:
        part_s = step_s(case, placement, n_moe=_SAMPLED_MOE_LAYERS, seed=seed)
        return rest_s + (part_s - rest_s) * MOE_LAYERS / _SAMPLED_MOE_LAYERS

    return [full_s("contiguous", seed) / full_s("eplb", seed) for seed in seeds]


def step_s(
    case: Mapping[str, Any],
    placement: str,
    *,
    n_moe: int = MOE_LAYERS,
    seed: int = 0,
    popularity: str = "",
) -> float:
    """Return the time of one step of DeepSeek-V3 on H100s with 32 redundant experts [s]; placed contiguously, the
    copies are those of the first experts, as SGLang starts."""
    layout = {**case["layout"], "n_redundant_experts": REDUNDANT, "expert_placement": placement}
    tables = {
        **case, "model": "deepseek_v3", "machine": "h100_sxm", "seed": seed, "layout": layout,
        "routing": {"popularity": popularity} if popularity else measured_routing(),
        "model_overrides": {"n_layers": DENSE_LAYERS + n_moe},
    }  # fmt: skip
    return float(run_scenario(build_scenario(tables)).times.end_OC.max())


def tbo_rows() -> Iterator[Row]:
    """Yield what two-batch overlap is worth in decode: a loss at small batch, a gain at large."""
    for sequences in (32, 256):
        case = DECODE | {"batch": {"sequences_per_gpu": float(sequences), "context_tokens": 4000.0}}
        gain = step_s(case, "eplb") / step_s(case | {"schedule": "tbo"}, "eplb")
        name = f"tbo_decode_{sequences}"
        yield _row(name, facts()["sglang"][name], gain, signed=True)


def compare_with_tables(rows: Sequence[Row], path: Path) -> list[dict[str, str]]:
    """Return what could not be compared with the tables, and why; InputFaults where a typed figure is not theirs."""
    if not path.is_file():
        return [{"id": path.name, "reason": f"not at {path}: the typed figures were not compared with it"}]
    tables = json.loads(path.read_text(encoding="utf-8"))
    faults = [
        Fault(field=f"{path.name}: {row['in_data']}", got=str(theirs), allowed=f"{row['reference']:g}",
              remedy="take the file as published, or type its figure into balance.toml")
        for row in rows
        if row["in_data"] and (theirs := _at(tables, row["in_data"])) != row["reference"]
    ]  # fmt: skip
    if faults:
        raise InputFaults(faults)
    return []


def _at(tables: Any, dotted: str) -> float | None:  # noqa: ANN401 (any JSON)
    """The figure under a dotted key, whose parts may hold dots themselves; None where there is none."""
    if not dotted:
        return float(tables) if isinstance(tables, int | float) else None
    if isinstance(tables, list):
        head, _, rest = dotted.partition(".")
        return _at(tables[int(head)], rest) if int(head) < len(tables) else None
    keys = [key for key in tables if dotted == key or dotted.startswith(f"{key}.")] if isinstance(tables, dict) else []
    return _at(tables[keys[0]], dotted[len(keys[0]) + 1 :]) if keys else None
