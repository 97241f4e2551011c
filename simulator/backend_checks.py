"""What the PyTorch layers cannot run: every fault of a scenario with `run.backend = "torch"`."""

from collections.abc import Iterable
from dataclasses import fields

from hw_profiles.faults import Fault
from simulator.scenario_schema import Scenario
from workloads.model import MlaSpec, ModelSpec
from workloads.ops import LAYER_TYPES


def check_for_what_the_layers_cannot_run(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    """Models, layouts and number formats that `workloads.layers` has no code for; nothing for another backend."""
    if scenario.run.backend != "torch":
        return
    attention = model.attention
    if model.block != "scmoe" or not isinstance(attention, MlaSpec) or not attention.q_lora_rank:
        yield _fault("model", model.name, "ScMoE models with MLA and a compressed query")
    if model.indexer is not None:
        yield _fault("model", model.name, "models without an indexer of sparse attention")
    for key in ("attention_tp", "dense_tp"):
        if (degree := getattr(scenario.layout, key)) != 1:
            yield _fault(f"layout.{key}", str(degree), "1")
    formats = [getattr(scenario.precision, f.name) for f in fields(scenario.precision)]
    if len(set(formats)) > 1 or formats[0] not in LAYER_TYPES:
        allowed = f"one of {', '.join(LAYER_TYPES)} for every one of them"
        yield _fault("precision", ", ".join(dict.fromkeys(formats)), allowed)
    if scenario.phase == "prefill" and scenario.batch.context_tokens:
        yield _fault("batch.context_tokens", f"{scenario.batch.context_tokens:g}", "0 in a prefill: whole prompts")
    if scenario.all_to_all == "normal" and scenario.layout.ep > 1:
        yield _fault("run.all_to_all", "normal", "low_latency: torch.distributed sends a copy per chosen expert")


def _fault(field: str, got: str, allowed: str) -> Fault:
    return Fault(field=field, got=repr(got), allowed=f"{allowed} (backend torch)", remedy="change it, or the backend")
