"""The LongCat-Flash report's arithmetic, reproduced by the ordinary path: zoo, lower, simulate, metrics.

P rows are exact parameter and cache arithmetic, T rows the cells of Table 7 for three models. Where a printed value is
rounded, or contradicts its own rows, the row is judged against the recomputed value and shows both.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.evaluate import rate_metrics, run_scenario
from simulator.metrics import layer_s
from simulator.scenario import load_scenario
from simulator.scenario_schema import Scenario
from workloads.zoo import ZOO, activated_parameters, count_parameters, kv_bytes_per_token

_PUBLISHED = Path(__file__).parent.parent / "published" / "longcat_report.toml"


@dataclass(frozen=True, kw_only=True)
class TheoryRow:
    """One figure: predicted, the reference it is judged by, what the source prints, and how near it has to be."""

    id: str
    what: str
    predicted: float
    reference: float
    printed: float
    unit: str
    tolerance: float
    source: str

    @property
    def rel_error(self) -> float:
        """Signed error as a share of the reference."""
        return self.predicted / self.reference - 1.0

    @property
    def document(self) -> dict[str, Any]:
        """The row as JSON data."""
        return {
            "id": self.id,
            "what": self.what,
            "predicted": self.predicted,
            "reference": self.reference,
            "printed": self.printed,
            "unit": self.unit,
            "rel_error": self.rel_error,
            "tolerance": self.tolerance,
            "ok": abs(self.rel_error) <= self.tolerance,
            "source": self.source,
        }


def published() -> dict[str, Any]:
    """Return the typed facts of the report."""
    return tomllib.loads(_PUBLISHED.read_text(encoding="utf-8"))


def theory_rows() -> Sequence[TheoryRow]:
    """Return every row of the suite."""
    facts = published()
    predicted = {**_parameter_figures(), **_table_figures()}
    return [
        TheoryRow(
            id=id_, what=fact["what"], predicted=predicted[id_], reference=fact["reference"],
            printed=fact.get("printed", fact["reference"]), unit=fact["unit"], tolerance=fact["tolerance"],
            source=fact["source"],
        )
        for id_, fact in _flatten(facts["row"])
    ]  # fmt: skip


def _flatten(groups: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for group, rows in groups.items():
        for name, fact in rows.items():
            yield f"{group}.{name}", fact


def _parameter_figures() -> dict[str, float]:
    figures: dict[str, float] = {}
    for group, name in (("P2", "longcat_flash"), ("P3", "longcat_flash_lite"), ("P4", "longcat_2")):
        model = ZOO[name]()
        total = {"P2": "P1"}.get(group, group)
        figures[f"{total}.total"] = count_parameters(model).total / 1e9
        for which, k in (("min", 0.0), ("mean", model.moe.mean_ffn_experts), ("max", float(model.moe.top_k))):
            figures[f"{group}.{which}"] = activated_parameters(model, k) / 1e9
    longcat = ZOO["longcat_flash"]()
    figures["P5.kv_bytes"] = kv_bytes_per_token(longcat, "bf16") * longcat.n_attentions
    return figures


_TABLE = {
    "T1": "longcat-flash-report-theory",
    "T2": "deepseek-v3-report-theory",
    "T3": "qwen3-235b-report-theory",
}
_COLUMN = {"T1": "longcat", "T2": "deepseek", "T3": "qwen"}


def _table_figures() -> dict[str, float]:
    figures: dict[str, float] = {}
    for group, name in _TABLE.items():
        column = _COLUMN[group]
        figures |= {f"{group}.{cell}": value for cell, value in cells(load_scenario(name)).items()}
        scenario = load_scenario(name)
        timeline = run_scenario(scenario).timeline
        rates = rate_metrics(scenario, float(timeline["end_s"].max()))
        figures[f"T4.{column}"] = layer_s(timeline) * 1e6
        figures[f"T5.{column}"] = rates["tpot_s"] * 1e3
        figures[f"T6.{column}"] = rates["usd_per_million_output_tokens"]
    return figures


def cells(scenario: Scenario) -> dict[str, float]:
    """Return attention (one block), dispatch, MoE and combine of one layer alone [µs]: from the sequential order."""
    timeline = run_scenario(with_settings(scenario, ["schedule=sequential"])).timeline
    layer = timeline[timeline["layer"] == scenario.model_spec.n_layers // 2]
    took = (layer["end_s"] - layer["start_s"]).groupby(layer["kind"].astype(str)).sum() * 1e6
    moe = ("router", "experts", "shared_experts")
    return {
        "attention": float(took["attention"]) / scenario.model_spec.attentions_per_layer,
        "dispatch": float(took["dispatch"]),
        "moe": float(sum(took.get(kind, 0.0) for kind in moe)),
        "combine": float(took["combine"]),
    }


def with_settings(scenario: Scenario, settings: Sequence[str]) -> Scenario:
    """Return a shipped scenario with settings on top."""
    return load_scenario(scenario.name, settings)


def left_out() -> Iterator[dict[str, str]]:
    """Yield what the theory leaves out and what each would add to a step, by simulating it."""
    base = {name: _step_s(name, []) for name in _TABLE.values()}
    longcat, deepseek, qwen = _TABLE.values()
    cases = (
        ("LM head", longcat, ['run.parts=["layers", "lm_head"]']),
        ("LM head and draft head", longcat, ['run.parts=["layers", "lm_head", "mtp"]']),
        ("LM head and draft head", deepseek, ['run.parts=["layers", "lm_head", "mtp"]']),
        ("three dense layers in place of MoE layers", deepseek, ["model_overrides.n_dense_layers=3"]),
        ("a plain two-batch order in place of the phased one", deepseek, ["schedule=tbo"]),
        ("a plain two-batch order in place of the phased one", qwen, ["schedule=tbo"]),
        ("real links inside the node (H800 machine, all collectives counted)", qwen, ["machine=h800_sxm"]),
        ("real kernels, launch gaps, contention (H800 machine)", longcat, ["machine=h800_sxm", "run.contention=true"]),
    )  # fmt: skip
    for what, name, settings in cases:
        step = _step_s(name, settings)
        text = f"{what}: {(step - base[name]) * 1e3:+.2f} ms on a step of {base[name] * 1e3:.2f} ms"
        yield {"id": name, "text": text}


def _step_s(name: str, settings: Sequence[str]) -> float:
    return float(run_scenario(load_scenario(name, settings)).times.end_OC.max())


def theory_document() -> dict[str, Any]:
    """Return the suite as the JSON document of `validate theory --json`."""
    rows = [row.document for row in theory_rows()]
    n_ok = sum(row["ok"] for row in rows)
    worst = max(rows, key=lambda row: abs(row["rel_error"]))
    return {
        "suite": "theory",
        "rows": rows,
        "summary": {"n": len(rows), "n_ok": n_ok, "worst": {"id": worst["id"], "rel_error": worst["rel_error"]}},
        "notes": [*published()["note"].values(), *left_out()],
        "skipped": [],
    }
