"""From a row of the table to the scenario that it asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hw_profiles.faults import Fault, InputFaults
from simulator.scenario_checks import check_scenario
from simulator.scenario_schema import RunOptions, Scenario
from validation.clusters.parts import typed_facts
from validation.clusters.silicon_rows import SiliconRow
from validation.published_facts import PUBLISHED
from workloads.batch import Precision, RoutingSpec
from workloads.layout import Layout

# Popularity of experts under random prompts, by which aiconfigurator met DeepSeek-V3's latencies (data README).
_POPULARITY = "power_law:1.01"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rows' names mean (`published/clusters/silicon_models.toml`)."""

    models: Mapping[str, Mapping[str, Any]]
    machines: Mapping[str, str]
    generations: Mapping[str, Sequence[str]]
    precisions: Mapping[str, Mapping[str, Any]]
    backends: Mapping[str, Mapping[str, Any]]
    not_modelled: Mapping[str, str]
    polls: Sequence[Mapping[str, Any]]

    def generation(self, row: SiliconRow) -> str:
        """Return the generation of the row's GPUs."""
        machine = self.machines[row.system]
        return next(name for name, machines in self.generations.items() if machine in machines)


def read_facts() -> Facts:
    """Return the typed facts."""
    return Facts(**typed_facts("silicon_models"))


def scenario_of(row: SiliconRow, facts: Facts) -> Scenario:
    """Return the scenario of a row's deployment; InputFaults with the reason where longsim has none for it."""
    if row.model in facts.not_modelled:
        raise InputFaults([_fault("model", row.model, facts.not_modelled[row.model])])
    model = facts.models[row.model]
    scenario = Scenario(
        model=_model(model),
        machine=facts.machines[row.system],
        n_gpus=row.n_gpus,
        layout=_layout(row),
        precision=Precision(**_precision(row, facts)),
        model_overrides=model.get("overrides", {}),
        routing=RoutingSpec(popularity=_POPULARITY),
        run=RunOptions(backend=facts.backends[row.backend]["kernels"]),
    )
    if faults := check_scenario(scenario):
        raise InputFaults(faults)
    return scenario


def _precision(row: SiliconRow, facts: Facts) -> Mapping[str, Any]:
    """Number formats: those of the released weights where the model has its own, and what the recipes' caches hold."""
    model, generation = facts.models[row.model], facts.generation(row)
    cache = {"kv": "fp8"} if generation in model.get("fp8_cache", ()) else {}
    if "weights" in model:
        return {"weights": model["weights"][generation], "attention_weights": "bf16", **cache}
    return {**cache, **facts.precisions[row.precision]}


def _model(facts: Mapping[str, Any]) -> str:
    """A model's name in the zoo, or the path of its config.json."""
    return str(facts["base"] if "base" in facts else PUBLISHED / "clusters" / facts["config"])


def _layout(row: SiliconRow) -> Layout:
    """Tensor parallelism of replicated tokens, or data-parallel attention with experts over all of its ranks."""
    if row.dp == 1:
        return Layout(attention_tp=row.tp, dense_tp=row.tp, ep=row.moe_ep, moe_tp=row.moe_tp, tp_tokens="replicated")
    if row.moe_ep == row.n_gpus and row.moe_tp == 1:
        return Layout(attention_tp=row.tp, dense_tp=row.tp, ep=row.moe_ep)
    got = f"tp {row.tp}, dp {row.dp}, moe_tp {row.moe_tp}, ep {row.moe_ep}"
    raise InputFaults([_fault("layout", got, "experts split by width under data-parallel attention are not modelled")])


def _fault(field: str, got: str, why: str) -> Fault:
    return Fault(field=field, got=got, allowed=why, remedy="skip the row")
