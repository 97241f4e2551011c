"""How many sequences an attention group of a family has room for, as its backend divides the memory."""

from dataclasses import dataclass, replace

from hw_profiles.faults import InputFaults
from simulator.planner.load import Load
from simulator.planner.space import Family
from simulator.scenario_schema import Scenario
from simulator.serving.deployment import kv_room_blocks
from simulator.serving.knobs import BackendKnobs, Deployed, load_knobs
from workloads.memory import cached_bytes_of_a_token, memory_use


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`most_sequences` of an attention group, each at its longest, so that nobody is preempted; 0 where not one has
    room: then `needed_bytes` of a GPU stand against the `allowed_bytes`."""

    most_sequences: int
    needed_bytes: float = 0.0
    allowed_bytes: float = 0.0


def knobs_of(scenario: Scenario, family: Family, backend: str) -> BackendKnobs:
    """Return the scheduler of one replica: the preset's, with the family's budget of prompt tokens."""
    device = scenario.profile.device
    on = Deployed(gpu=f"{scenario.machine} {device.name}", memory_bytes=device.hbm_bytes, n_groups=family.n_groups)
    return load_knobs(backend, {"max_batched_tokens": family.prefill_tokens}, on=on)


def limits_of(scenario: Scenario, knobs: BackendKnobs, load: Load, most_sequences: int) -> Limits:
    """Return what a replica of `scenario` has room for; `most_sequences` (0: any) is asked for at most."""
    per_token = cached_bytes_of_a_token(scenario.step)
    try:
        blocks = kv_room_blocks(scenario, knobs, per_token)
    except InputFaults:
        blocks = 0
    fit = int(blocks * knobs.block_tokens / load.longest_tokens)
    if fit < 1:
        one = replace(scenario.step.batch, sequences_per_gpu=1.0, context_tokens=load.longest_tokens)
        needed = memory_use(replace(scenario.step, phase="decode", batch=one)).total_bytes
        return Limits(most_sequences=0, needed_bytes=needed,
                      allowed_bytes=scenario.profile.device.hbm_bytes * knobs.gpu_memory_share)  # fmt: skip
    return Limits(most_sequences=min(fit, most_sequences or fit))
