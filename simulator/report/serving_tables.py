"""A serving run in tables: latencies, metrics, and every knob with its value and source."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from simulator.report.formats import money_text, number_text, share_text, time_text
from simulator.serving.deployment import Deployment
from simulator.serving.knobs import BackendKnobs
from simulator.serving.outages import Outage

_LATENCIES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "itl_s": "ITL", "e2e_s": "end to end"}
_NO_KNOBS = {"name", "version", "sources"}


def _tiny_text(value: float) -> str:
    return f"{value:.0e}"


_STATED = {
    "requests_per_s": ("requests per second", number_text),
    "goodput_per_s": ("within the SLO per second", number_text),
    "slo_share": ("within the SLO", share_text),
    "tokens_per_s_per_gpu": ("tokens/s/GPU", number_text),
    "tokens_per_s_per_user": ("tokens/s/user", number_text),
    "usd_per_million_output_tokens": ("price of a million output tokens", money_text),
    "busy_share": ("GPU busy", share_text),
    "mean_in_system": ("requests in the system, mean", number_text),
    "littles_law_gap": ("L against λW (Little's law), relative gap", _tiny_text),
    "hit_share": ("prompt tokens from the prefix cache", share_text),
    "n_preemptions": ("preemptions", number_text),
    "n_rejected": ("rejected requests", number_text),
    "n_steps": ("steps", number_text),
    "wasted_share": ("decodes of requests already answered", share_text),
}

_OVER_TIME = {
    "waiting": ("waiting at a replica", number_text),
    "running": ("running at a replica", number_text),
    "kv_used_share": ("KV blocks in use", share_text),
}


def latency_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per latency: `latency`, `mean`, `p50`, `p90`, `p99` as texts."""
    return pd.DataFrame(
        [{"latency": title} | {k: time_text(v) for k, v in metrics[name].items()} for name, title in _LATENCIES.items()]
    )


def metric_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per other metric: `metric`, `text`."""
    rows = [{"metric": title, "text": text(metrics[name])} for name, (title, text) in _STATED.items()]
    rows += [
        {"metric": f"{title}, mean and peak", "text": f"{text(metrics[name]['mean'])}; {text(metrics[name]['peak'])}"}
        for name, (title, text) in _OVER_TIME.items()
    ]
    return pd.DataFrame(rows)


def knob_table(deployed: Deployment) -> pd.DataFrame:
    """Return one row per knob of the backend: `knob`, `value`, `source`."""
    knobs = deployed.knobs
    values = {f.name: getattr(knobs, f.name) for f in fields(BackendKnobs) if f.name not in _NO_KNOBS}
    values["kv_blocks"] = deployed.kv_blocks
    sources = {"kv_blocks": "what weights, activations and buffers leave of gpu_memory_share", **knobs.sources}
    return pd.DataFrame(
        [{"knob": name, "value": str(value), "source": sources.get(name, "default")} for name, value in values.items()]
    )


def outage_table(outages: Sequence[Outage]) -> pd.DataFrame:
    """Return one row per failure, in order of time: `pool`, `replica`, `kind`, `at`, `serves`, `whole` (times since the
    run began), `capacity` from then on, `moved` requests."""
    return pd.DataFrame(
        [
            {
                "pool": outage.pool, "replica": str(outage.replica), "kind": outage.kind, "at": time_text(outage.at_s),
                "serves": time_text(outage.serves_s), "whole": time_text(outage.back_s),
                "capacity": share_text(outage.capacity), "moved": f"{outage.n_moved:,}",
            }
            for outage in sorted(outages, key=lambda outage: outage.at_s)
        ]
    )  # fmt: skip
