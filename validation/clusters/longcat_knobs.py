"""How much of what is assumed could be otherwise: a Latin hypercube of the knobs, each within a fifth of its value.

A step is taken as the sum of what each knob alone changes, straight between its three values; how far that is from
the step itself is measured at the two corners where every knob slows and where every knob quickens.

P points, K knobs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap

import numpy as np
from scipy.stats import qmc

from hw_profiles.curves.interference import Interference
from hw_profiles.fitted import Fitted
from simulator.scenario_schema import Scenario
from validation.clusters.deployed_rows import step_s
from workloads.batch import Mtp, accepted_tokens_per_step
from workloads.ops import FloatArray

SPAN = 0.2
N_POINTS = 512
STEP_KNOBS: Mapping[str, float] = {  # what a rise does to a step: −1 quickens it, 1 slows it
    "all-to-all bandwidth": -1.0,
    "all-to-all latency": 1.0,
    "interference shares": -1.0,
    "popularity exponent": 1.0,
    "spread of contexts": 1.0,
}
KNOBS = (*STEP_KNOBS, "acceptance", "host constant")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a row is judged by: its scenario, published seconds per token and largest error."""

    scenario: Scenario
    tpot_s: float
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """`share`: points at which every row passes; `passing`: the same for each row alone; `additivity_error`: worst
    error of the sum at the two corners."""

    n_points: int
    share: float
    passing: Sequence[float]
    additivity_error: float


def sensitivity(references: Sequence[Reference], host_s: float, n_points: int = N_POINTS) -> Sensitivity:
    """Return how often the rows still pass where the knobs lie elsewhere: acceptance at most 1, the host constant at
    most `host_s`, all others within `SPAN` of their values."""
    factors_PK = 1.0 - SPAN + 2.0 * SPAN * qmc.LatinHypercube(d=len(KNOBS), rng=0).random(n_points)
    passes, errors = [], []
    for reference in references:
        base_s = step_s(reference.scenario)
        bends = [_bend_s(reference.scenario, knob, base_s) for knob in STEP_KNOBS]
        added_P = sum(starmap(_added_s, zip(factors_PK.T[: len(bends)], bends, strict=True)))
        host_P = np.minimum(factors_PK[:, -1], 1.0) * host_s
        tokens_P = np.array([_tokens(reference.scenario.mtp, factor) for factor in factors_PK[:, -2]])
        tpot_P = (base_s + added_P + host_P) / tokens_P
        passes.append(np.abs(tpot_P / reference.tpot_s - 1.0) <= reference.tolerance)
        errors += [_corner_error(reference.scenario, way, base_s, bends) for way in (-1.0, 1.0)]
    return Sensitivity(
        n_points=n_points,
        share=float(np.all(passes, axis=0).mean()),
        passing=[float(passed_P.mean()) for passed_P in passes],
        additivity_error=max(errors),
    )


def _bend_s(scenario: Scenario, knob: str, base_s: float) -> tuple[float, float]:
    """Seconds that the knob adds to a step at its least and at its most."""
    least, most = (step_at(scenario, {knob: factor}) - base_s for factor in (1.0 - SPAN, 1.0 + SPAN))
    return least, most


def _added_s(factor_P: FloatArray, bend_s: tuple[float, float]) -> FloatArray:
    return np.interp(factor_P, [1.0 - SPAN, 1.0, 1.0 + SPAN], [bend_s[0], 0.0, bend_s[1]])


def _tokens(mtp: Mtp, factor: float) -> float:
    return accepted_tokens_per_step(replace(mtp, acceptance=[min(1.0, p * factor) for p in mtp.acceptance]))


def _corner_error(scenario: Scenario, way: float, base_s: float, bends: Sequence[tuple[float, float]]) -> float:
    signs = [way * sign for sign in STEP_KNOBS.values()]
    corner = {knob: 1.0 + SPAN * sign for knob, sign in zip(STEP_KNOBS, signs, strict=True)}
    summed_s = base_s + sum(bend[sign > 0.0] for bend, sign in zip(bends, signs, strict=True))
    return abs(summed_s / step_at(scenario, corner) - 1.0)


def step_at(scenario: Scenario, factors: Mapping[str, float]) -> float:
    """Return the seconds of a step [s] with knobs of `STEP_KNOBS` at these multiples of their values."""
    times = {knob: factors.get(knob, 1.0) for knob in STEP_KNOBS}
    popularity = scenario.routing.popularity
    if popularity.startswith("power_law:"):
        popularity = f"power_law:{float(popularity.partition(':')[2]) * times['popularity exponent']:g}"
    nic = scenario.profile.tiers["nic"]
    machine = {
        "tiers.nic.bytes_per_s": nic.bytes_per_s * times["all-to-all bandwidth"],
        "tiers.nic.latency_s": nic.latency_s * times["all-to-all latency"],
    }
    changed = replace(
        scenario,
        machine_overrides={**scenario.machine_overrides, **machine},
        routing=replace(scenario.routing, popularity=popularity),
        batch=replace(scenario.batch, context_cv=scenario.batch.context_cv * times["spread of contexts"]),
    )
    return step_s(changed, _disturbed(scenario.fitted, times["interference shares"]))


def _disturbed(fitted: Fitted, factor: float) -> Fitted:
    name = ("interference", "normal")
    if name not in fitted:
        return fitted
    curve = fitted[name].curve
    assert isinstance(curve, Interference)
    shares = replace(
        curve,
        dispatch_share=min(1.0, curve.dispatch_share * factor),
        combine_share=min(1.0, curve.combine_share * factor),
    )
    return {**fitted, name: replace(fitted[name], curve=shares)}
