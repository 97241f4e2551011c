"""LongCat-Flash on 128 H800 as its report measured it, beside steps whose settings come from elsewhere.

The rows bear a verdict under the scenario's own schedule; the same rows under other schedules, spreads of contexts and
without the host constant say what the rows can tell apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hw_profiles.faults import InputFaults
from simulator.scenario import load_scenario
from simulator.scenario_schema import Scenario
from validation.clusters.deployed_rows import DeployedRow, read_rows, redundant_experts, scenario_of, step_s
from validation.clusters.longcat_knobs import KNOBS, SPAN, Reference, sensitivity
from validation.clusters.parts import Part, Row, typed_facts
from validation.published_facts import PUBLISHED
from workloads.batch import accepted_tokens_per_step
from workloads.schedules.table import SCHEDULES

NAME = "longcat"
SPREADS = (0.0, 0.5, 1.0)  # coefficients of variation of the contexts
OTHER_SCHEDULES = ("sequential", "two_stream", "tbo")
NOT_IDENTIFIED = "schedule not identified by these rows"


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A published row, the frozen scenario beside it and the host constant [s]."""

    name: str
    row: DeployedRow
    scenario: Scenario
    host_s: float

    def shown(self, name: str, what: str, step: float, host_s: float, tolerance: float | None) -> Row:
        """The row beside a step of `step` seconds, in ms per token."""
        tokens = accepted_tokens_per_step(self.scenario.mtp)
        return Row(
            id=f"{self.name}{name}",
            what=f"{self.row.what}{what}",
            predicted=(step + host_s) / tokens * 1e3,
            reference=self.row.tpot_s * 1e3,
            unit="ms",
            source=self.row.source,
            tolerance=tolerance,
        )

    def passes(self, step: float, host_s: float) -> bool:
        """Whether a step of `step` seconds meets the row's bar."""
        return bool(self.shown("", "", step, host_s, self.row.tolerance).ok)


def longcat_part(rows: Path | None = None, *, quick: bool = False) -> Part:
    """Return the published rows beside their steps, and what they can tell apart; `rows`: a file of other rows, judged
    by the same frozen settings; `quick` leaves out the hypercube of knobs. InputFaults names what is wrong with it."""
    facts = typed_facts(NAME)
    published = read_rows(rows or PUBLISHED / "clusters" / f"{NAME}.toml")
    judged = [_named(name, row, facts) for name, row in published.items()]
    shown: list[Row] = []
    notes: list[str] = []
    for deployment in dict.fromkeys(one.row.scenario for one in judged):
        its = [one for one in judged if one.row.scenario == deployment]
        steps, plain = [_steps(one) for one in its], [_plain_steps(one) for one in its]
        shown += [row for one, of in zip(its, steps, strict=True) for row in _rows(one, of)]
        shown += [row for one, of in zip(its, plain, strict=True) for row in _plain_rows(one, of)]
        found = [*_rests_on(its), _told_apart(its, steps, plain), *([] if quick else [_knobs(its)])]
        notes += [f"{deployment}: {note}" for note in found]
    return Part(rows=shown, notes=notes)


def _named(name: str, row: DeployedRow, facts: Mapping[str, Any]) -> _Judged:
    """The row beside its frozen scenario; faults of the scenario name the row."""
    try:
        return _judged(name, row, facts)
    except InputFaults as error:
        raise InputFaults([replace(fault, field=f"rows.{name}.{fault.field}") for fault in error.faults]) from error


def _judged(name: str, row: DeployedRow, facts: Mapping[str, Any]) -> _Judged:
    frozen = facts["frozen"]
    model = load_scenario(row.scenario)
    slots = redundant_experts(model.model_spec.moe.n_routed_experts, row.n_gpus)
    settings = {**frozen["settings"], "layout.n_redundant_experts": slots, **facts["models"].get(model.model, {})}
    return _Judged(name=name, row=row, scenario=scenario_of(row, settings), host_s=frozen["host_s"])


def _variant(one: _Judged, schedule: str, spread: float) -> Scenario:
    return replace(one.scenario, schedule=schedule, batch=replace(one.scenario.batch, context_cv=spread))


def _schedules(one: _Judged) -> Sequence[str]:
    """The scenario's own schedule first, then the others that its model knows."""
    own, scmoe = one.scenario.schedule, one.scenario.model_spec.block == "scmoe"
    return [own, *(name for name in OTHER_SCHEDULES if name != own and (scmoe or not SCHEDULES[name].scmoe_only))]


def _steps(one: _Judged) -> Mapping[tuple[str, float], float]:
    """Seconds of the step under each schedule and spread of contexts [s]."""
    spreads = dict.fromkeys([*SPREADS, one.scenario.batch.context_cv])
    return {(name, spread): step_s(_variant(one, name, spread)) for name in _schedules(one) for spread in spreads}


def _plain_steps(one: _Judged) -> Mapping[str, float]:
    """Seconds of the step of the shipped scenario, with nothing frozen but the row's own figures, by schedule [s]."""
    n_experts, n_gpus = one.scenario.model_spec.moe.n_routed_experts, one.row.n_gpus
    slots = redundant_experts(n_experts, n_gpus) if n_experts % n_gpus else 0
    shipped = scenario_of(one.row, {"layout.n_redundant_experts": slots})
    return {name: step_s(replace(shipped, schedule=name)) for name in _schedules(one)}


def _rows(one: _Judged, steps: Mapping[tuple[str, float], float]) -> Iterator[Row]:
    own = (one.scenario.schedule, one.scenario.batch.context_cv)
    yield one.shown("", f", {own[0]}", steps[own], one.host_s, one.row.tolerance)
    yield one.shown(" without host", f", {own[0]}, without the host constant", steps[own], 0.0, None)
    for (schedule, spread), step in steps.items():
        if (schedule, spread) != own:
            what = f", {schedule}, contexts of CV {spread:g}"
            yield one.shown(f" {schedule} cv {spread:g}", what, step, one.host_s, None)


def _plain_rows(one: _Judged, plain: Mapping[str, float]) -> Iterator[Row]:
    for schedule, step in plain.items():
        yield one.shown(
            f" {schedule} as shipped", f", {schedule}, nothing frozen, without the host constant", step, 0.0, None
        )


def _rests_on(judged: Sequence[_Judged]) -> Iterator[str]:
    first = judged[0]
    yield (
        f"frozen before the comparison: contexts of CV {first.scenario.batch.context_cv:g}, acceptance "
        f"{', '.join(f'{p:g}' for p in first.scenario.mtp.acceptance) or 'none'}, popularity "
        f"{first.scenario.routing.popularity} under EPLB, one draw per layer, all-to-alls disturbed by compute as in a "
        f"training trace; spread, popularity and the host constant of {first.host_s * 1e3:g} ms per step are assumed"
    )
    if any(one.row.attention == "fp8" for one in judged):
        yield (
            "FP8 attention is priced as an FP8 cache under BF16 arithmetic: no published figure of the arithmetic was "
            "found for this machine; a faster core makes those rows faster yet"
        )


def _told_apart(
    judged: Sequence[_Judged], steps: Sequence[Mapping[tuple[str, float], float]], plain: Sequence[Mapping[str, float]]
) -> str:
    """The verdict on what the rows can tell apart: under which settings each schedule meets all bars."""
    fits = []
    for schedule in _schedules(judged[0]):
        for label, host in (("with", 1.0), ("without", 0.0)):
            spreads = [
                f"{spread:g}"
                for spread in SPREADS
                if all(
                    (schedule, spread) in of and one.passes(of[schedule, spread], host * one.host_s)
                    for one, of in zip(judged, steps, strict=True)
                )
            ]
            if spreads:
                fits.append((schedule, f"{label} the host constant at CV {', '.join(spreads)}"))
        if all(schedule in of and one.passes(of[schedule], 0.0) for one, of in zip(judged, plain, strict=True)):
            fits.append((schedule, "as the scenario ships, without a host constant"))
    words = "; ".join(f"{schedule} {where}" for schedule, where in fits) or "none"
    own = judged[0].scenario.schedule
    others = [schedule for schedule, _ in fits if schedule != own]
    return f"{NOT_IDENTIFIED}: all bars are met by {words}" if others else f"all bars are met by: {words}"


def _knobs(judged: Sequence[_Judged]) -> str:
    references = [
        Reference(scenario=one.scenario, tpot_s=one.row.tpot_s, tolerance=one.row.tolerance) for one in judged
    ]
    found = sensitivity(references, judged[0].host_s)
    alone = ", ".join(f"{one.name} {share:.0%}" for one, share in zip(judged, found.passing, strict=True))
    return (
        f"knobs within {SPAN:.0%} ({', '.join(KNOBS)}; {found.n_points} points): every row passes at "
        f"{found.share:.0%} of them; alone {alone}; effects are added up, at worst {found.additivity_error:.1%} off at "
        "the corners"
    )
