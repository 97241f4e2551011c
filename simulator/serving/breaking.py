"""From a scenario's failures to what happens to the replicas of its pools."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from simulator.scenario_schema import Scenario
from simulator.serving.interpolated_steps import InterpolatedStepTimes
from simulator.serving.outages import Outages, Unit
from simulator.serving.pools import Breaks
from simulator.serving.replica import Replica
from simulator.serving.simulated_steps import SimulatedStepTimes
from simulator.serving.slower_steps import FewerGpus, SlowerSteps
from simulator.serving.step_times import DecodeLines
from workloads.memory import weight_items

_NIC = "tiers.nic.bytes_per_s"
_SHARED_NIC = 0.5  # of its rate for each of two devices


class PoolSteps:
    """Step times of a pool's replicas in whatever condition; those with a dead NIC are simulated once asked for."""

    def __init__(self, scenario: Scenario, whole: InterpolatedStepTimes, n_groups: int) -> None:
        self._scenario = scenario
        self._whole = whole
        self._n_groups = n_groups
        self._without_nic: InterpolatedStepTimes | None = None

    def __call__(self, nic_is_dead: bool, share_of_gpus: float, slowdown: float) -> DecodeLines:
        """Return the step times of a replica with `share_of_gpus` left, every step `slowdown` times as long."""
        times: DecodeLines = self._with_shared_nic() if nic_is_dead else self._whole
        if share_of_gpus < 1.0:
            times = FewerGpus(times, share_of_gpus)
        return SlowerSteps(times, slowdown) if slowdown > 1.0 else times

    def _with_shared_nic(self) -> InterpolatedStepTimes:
        """Two devices share a NIC, and all others wait for them."""
        scenario = self._scenario
        if self._without_nic is None and "nic" in scenario.profile.tiers:
            rate = scenario.profile.tiers["nic"].bytes_per_s * _SHARED_NIC
            slower = replace(scenario, machine_overrides={**scenario.machine_overrides, _NIC: rate})
            self._without_nic = InterpolatedStepTimes(
                SimulatedStepTimes(slower),
                n_groups=self._n_groups,
                queries=1 + scenario.mtp.n_draft,
                seed=scenario.seed,
            )
        return self._without_nic or self._whole


def breaks_of(scenario: Scenario, pools: Mapping[str, tuple[Scenario, InterpolatedStepTimes, int]]) -> Breaks | None:
    """Return what makes the outages of a run, None where nothing can break. `pools`: of each its scenario, step times
    and attention groups."""
    failures = scenario.failures
    if not failures.happen:
        return None

    def made(replicas: Mapping[str, Sequence[Replica]]) -> Outages:
        units = {
            name: Unit(
                replicas=those,
                n_gpus=of.n_gpus,
                gpus_per_node=of.profile.node.n_devices,
                gpus_per_group=of.layout.attention_tp,
                load_s=sum(weight_items(of.step).values()) / failures.load_bytes_per_s,
                steps=PoolSteps(of, times, n_groups),
            )
            for (name, those), (of, times, n_groups) in ((pair, pools[pair[0]]) for pair in replicas.items())
        }
        return Outages(failures, units, seed=scenario.seed)

    return made
