"""Published decode rows of a deployment (throughput per GPU, speed per user) and the steps that stand beside them."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter

from hw_profiles.faults import Fault, InputFaults
from hw_profiles.fitted import Fitted
from hw_profiles.shape import validate_shape
from simulator.evaluate import run_step
from simulator.scenario import load_scenario
from simulator.scenario_schema import Scenario

FURTHER_LAYERS = 3
Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class DeployedRow:
    """One published row. Of `tokens_per_s_per_gpu` and `sequences_per_gpu` one is enough: their ratio is the speed of
    a user. `scenario`: model, machine and schedule; `attention`: the format of its cache; `settings`: whatever of the
    scenario the row says besides."""

    what: str
    scenario: str
    n_gpus: int
    context_tokens: float
    tokens_per_s_per_user: float
    source: str
    attention: Literal["bf16", "fp8"] = "bf16"
    tokens_per_s_per_gpu: float = 0.0
    sequences_per_gpu: float = 0.0
    tolerance: float = 0.1
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def n_sequences(self) -> int:
        """Sequences per GPU, whole."""
        return round(self.sequences_per_gpu or self.tokens_per_s_per_gpu / self.tokens_per_s_per_user)

    @property
    def tpot_s(self) -> float:
        """Published seconds per token of a user [s]."""
        return 1.0 / self.tokens_per_s_per_user


_ADAPTER = TypeAdapter(dict[str, DeployedRow], config=ConfigDict(extra="forbid", strict=True))


def read_rows(path: Path) -> Mapping[str, DeployedRow]:
    """Return {id: row} of the tables `[rows.ID]` of a TOML file; InputFaults names every fault."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("rows", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        fault = Fault(field=str(path), got=str(error), allowed="a TOML file with tables [rows.ID]",
                      remedy="check the path and the line that is named")  # fmt: skip
        raise InputFaults([fault]) from error
    if not isinstance(tables, dict) or not tables:
        raise InputFaults([Fault(field=str(path), got="no row", allowed="tables [rows.ID]", remedy="add one")])
    rows, faults = {}, []
    for name, table in tables.items():
        values = table if isinstance(table, dict) else {"what": table}
        row, wrong = validate_shape(_ADAPTER, values, lambda _: [f.name for f in fields(DeployedRow)])
        if row is not None:
            rows[name] = row
            wrong = _senseless(row)
        faults += [replace(fault, field=f"rows.{name}.{fault.field}") for fault in wrong]
    if faults:
        raise InputFaults(faults)
    return rows


def _senseless(row: DeployedRow) -> list[Fault]:
    positive = ("n_gpus", "context_tokens", "tokens_per_s_per_user", "tolerance")
    faults = [
        Fault(field=name, got=repr(getattr(row, name)), allowed="a number above 0", remedy="write the published figure")
        for name in positive
        if not getattr(row, name) > 0
    ]
    if not faults and row.n_sequences < 1:
        allowed = "1 or more, or a figure of tokens_per_s_per_gpu that gives as much"
        got = repr(row.sequences_per_gpu)
        faults.append(Fault(field="sequences_per_gpu", got=got, allowed=allowed, remedy="write one of the two"))
    return faults


def scenario_of(row: DeployedRow, settings: Settings) -> Scenario:
    """Return the row's scenario under `settings`, which whatever the row says itself overrides; InputFaults."""
    own = {
        "n_gpus": row.n_gpus,
        "layout.ep": row.n_gpus,
        "batch.sequences_per_gpu": row.n_sequences,
        "batch.context_tokens": row.context_tokens,
        "precision.kv": row.attention,
        **row.settings,
    }
    return load_scenario(row.scenario, [f"{key}={_toml(value)}" for key, value in {**settings, **own}.items()])


def _toml(value: Any) -> str:  # noqa: ANN401 (TOML has any type)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def redundant_experts(n_experts: int, ep: int) -> int:
    """Return the fewest redundant experts, one at least, with which every rank has as many slots."""
    return -n_experts % ep or ep


def step_s(scenario: Scenario, fitted: Fitted | None = None) -> float:
    """Return the seconds of a scenario's step [s], from steps of its first layers: each further one adds as much as
    the mean of `FURTHER_LAYERS`, which differ by their draws alone. `fitted`: curves in place of the machine's."""
    model = scenario.model_spec
    few = min(model.n_layers, model.n_dense_layers + 1)
    more = min(model.n_layers, few + FURTHER_LAYERS)
    few_s, more_s = (_of_layers_s(scenario, n, fitted) for n in (few, more))
    return more_s + (model.n_layers - more) * (more_s - few_s) / max(1, more - few)


def _of_layers_s(scenario: Scenario, n_layers: int, fitted: Fitted | None) -> float:
    short = replace(scenario, model_overrides={**scenario.model_overrides, "n_layers": n_layers})
    return float(run_step(short, short.step, fitted).times.end_OC.max())
