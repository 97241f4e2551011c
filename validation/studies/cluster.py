"""What recorded routing does to a cluster: one scenario under each shipped trace, beside the fitted law."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from simulator.balance import balance_over_steps
from simulator.evaluate import evaluate
from simulator.scenario import load_scenario
from workloads.replayed import load_trace, shipped_traces
from workloads.routing_fit import fit_ffn_experts

SCENARIO = "training-laws-decode-h800x16"


def cluster_table() -> pd.DataFrame:
    """Return one row per shipped trace, and one where routing is even.

    `trace`; `ffn_mean`, `ffn_std` of FFN experts per token over all layers; `law`: beta-binomial or binomial, fitted;
    `misfit`: total variation distance, and `worst_misfit` of a single layer's fit; `step_s` under the trace,
    `law_step_s` under even popularity with the fitted law; `load_imbalance`: hottest rank over mean, mean over layers;
    `hottest_rank`; `batch_imbalance`: the same of single recorded batches, mean.
    """
    rows = [{"trace": "balanced", **_even({})}, *(_row(name) for name in shipped_traces())]
    return pd.DataFrame(rows)


def _row(name: str) -> dict[str, object]:
    trace = load_trace(name)
    ffn_LM = trace.ffn_experts()
    whole = fit_ffn_experts(ffn_LM.ravel(), trace.top_k)
    misfits = [fit_ffn_experts(ffn_M, trace.top_k).misfit for ffn_M in ffn_LM]
    scenario = load_scenario(SCENARIO, [f"routing.popularity=trace:{name}"])
    metrics = evaluate(scenario).metrics
    law = {"mean": whole.mean} | (
        {"std": whole.std, "kind": "'beta_binomial'"} if whole.kind == "beta_binomial" else {}
    )
    return {
        "trace": name, "ffn_mean": whole.mean, "ffn_std": whole.std, "law": whole.kind, "misfit": whole.misfit,
        "worst_misfit": max(misfits), "step_s": metrics["step_s"], "law_step_s": _even(law)["step_s"],
        "load_imbalance": metrics["load_imbalance"], "hottest_rank": metrics["hottest_rank"],
        "batch_imbalance": float(np.mean(balance_over_steps(scenario.step)["load_imbalance"])),
    }  # fmt: skip


def _even(law: Mapping[str, object]) -> dict[str, object]:
    settings = [f"routing.ffn_experts.{key}={value}" for key, value in law.items()]
    metrics = evaluate(load_scenario(SCENARIO, ["routing.popularity=balanced", *settings])).metrics
    return {name: metrics[name] for name in ("step_s", "load_imbalance", "hottest_rank")}
