"""What zero-computation experts are worth: FLOPs, traffic, hottest rank and time by policy, K_e and its spread."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hw_profiles.faults import InputFaults
from simulator.evaluate import evaluate
from simulator.scenario import load_scenario

POLICIES = ("skip", "remap0", "none", "k8")
_FIGURES = ("flops", "load_imbalance", "hottest_rank", "exposed_comm_s", "step_s")


def zero_expert_study(
    scenario: str,
    settings: Sequence[str] = (),
    *,
    means: Sequence[float] = (4, 6, 8, 10, 12),
    stds: Sequence[float] = (0,),
    policies: Sequence[str] = POLICIES,
) -> pd.DataFrame:
    """Return one row per policy, mean K_e and standard deviation of FFN experts per token (0: fixed).

    Columns: policy, mean, std, flops [per GPU and step], bytes_<tier> [payload sent per GPU and step], load_imbalance,
    hottest_rank, exposed_comm_s, step_s, reason (why a row has no figures: does not fit, or no such spread). Policies
    none and k8 leave no choice of K_e and stand once, without mean and std.
    """
    rows = []
    for policy in policies:
        spreads = [(mean, std) for mean in means for std in stds] if policy in {"skip", "remap0"} else [(0.0, 0.0)]
        for mean, std in spreads:
            chosen = [f"routing.zero_experts={policy}"]
            if mean:
                kind = f'{{kind="beta_binomial", mean={float(mean)}, std={float(std)}}}'
                chosen += [f"routing.ffn_experts={kind}" if std else f"routing.ffn_experts.mean={float(mean)}"]
            known = {"mean": float(mean), "std": float(std)} if mean else {}
            rows.append({"policy": policy, **known, **_figures(scenario, [*settings, *chosen])})
    return pd.DataFrame(rows)


def _figures(scenario: str, settings: Sequence[str]) -> Mapping[str, Any]:
    try:
        answer = evaluate(load_scenario(scenario, settings))
    except InputFaults as refusal:
        if any(not fault.field.startswith("routing.ffn_experts") for fault in refusal.faults):
            raise
        return {"reason": str(refusal)}
    if not answer.feasible:
        return {"reason": answer.reason}
    metrics = answer.metrics
    sent = {f"bytes_{tier}": value for tier, value in metrics["bytes"].items()}
    return {**{name: metrics[name] for name in _FIGURES}, **sent, "reason": ""}
