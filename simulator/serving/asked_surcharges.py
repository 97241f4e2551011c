"""From a scenario to the surcharges on its replicas' steps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hw_profiles.faults import Fault, InputFaults, unknown_word
from simulator.rebalancing import rebalancing
from simulator.scenario_schema import Scenario
from simulator.serving.replacing import Replacing
from simulator.serving.routing_noise import RoutingNoise
from simulator.serving.simulated_steps import SimulatedStepTimes
from simulator.serving.surcharges import Surcharges

SURCHARGES = ("routing_noise", "rebalance_spread")  # keys of a `serving` table
_NOISES = ("none", "mean", "sample")
_N_DRAWS = 4  # of each size: their mean moves the mean step by half of a spread that is some 0.1 % of it


def asked_surcharges(scenario: Scenario, asked: Mapping[str, Any], *, n_groups: int) -> Surcharges:
    """Return the surcharges that a `serving` table asks for by `routing_noise` and `rebalance_spread`, and the layout
    by `rebalance_every_steps`; InputFaults for values that are none."""
    noise = str(asked.get("routing_noise", "none"))
    faults = [*_bad_noise(scenario, noise), *_bad_spread(scenario, asked.get("rebalance_spread", 1))]
    if faults:
        raise InputFaults(faults)
    return Surcharges(
        routing=None if noise == "none" else _routing_noise(scenario, n_groups),
        noisy=noise == "sample",
        replacing=_replacing(scenario, int(asked.get("rebalance_spread", 1))),
    )


def _bad_noise(scenario: Scenario, noise: str) -> list[Fault]:
    if noise not in _NOISES:
        return [unknown_word("serving.routing_noise", noise, _NOISES)]
    if noise != "none" and scenario.routing.draw == "sample":
        return [Fault(field="serving.routing_noise", got=f"{noise!r} with routing.draw = 'sample'",
                      allowed="'none' there: its steps are drawn already, once for each size",
                      remedy="leave routing.draw at 'mean'")]  # fmt: skip
    return []


def _bad_spread(scenario: Scenario, spread: object) -> list[Fault]:
    every = scenario.layout.rebalance_every_steps
    most = every or 1
    if isinstance(spread, int) and not isinstance(spread, bool) and 1 <= spread <= most:
        return []
    allowed = f"1 to {most}, layout.rebalance_every_steps" if every else "1 where experts keep their places"
    return [Fault(field="serving.rebalance_spread", got=repr(spread), allowed=allowed,
                  remedy="write over how many steps the experts move")]  # fmt: skip


def _routing_noise(scenario: Scenario, n_groups: int) -> RoutingNoise:
    drawn = replace(scenario, routing=replace(scenario.routing, draw="sample"))
    first, *others = (SimulatedStepTimes(drawn, draw_number=i) for i in range(_N_DRAWS + 1))
    return RoutingNoise(
        SimulatedStepTimes(scenario), others, first, n_groups=n_groups, queries=1 + scenario.mtp.n_draft
    )


def _replacing(scenario: Scenario, spread_steps: int) -> Replacing:
    every = scenario.layout.rebalance_every_steps
    if not every:
        return Replacing()
    seconds = rebalancing(scenario.step, scenario.profile).s_per_step * every
    return Replacing(every_steps=every, spread_steps=spread_steps, seconds=seconds)
