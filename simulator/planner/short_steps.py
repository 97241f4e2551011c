"""Step times from the first few layers: in a balanced step every further layer adds the same time.

The engine runs a model cut to its leading dense layers and some MoE layers. Where the ends of its middle layers lie
evenly, the whole step is that run plus as many times the even gap as layers are missing; where they do not, or where
layers differ from one another, the whole model runs. Held to the whole model in tests/unit/planner.
"""

from dataclasses import replace

from simulator.demands import KnownCosts
from simulator.evaluate import run_step
from simulator.scenario_schema import Scenario
from simulator.serving.simulated_steps import SimulatedStepTimes, step_of
from simulator.serving.step_times import StepBatch
from simulator.simulate import Run
from workloads.schedules.table import SCHEDULES
from workloads.step import StepSpec

_MIDDLE = {False: 3, True: 5}  # layers after the leading dense ones; where streams overlap, the first ones and the last
# one may take another time than those between
_EVEN = 1e-9  # relative difference of two gaps that are the same but for rounding


def whole_step_s(scenario: Scenario, step: StepSpec, known: KnownCosts | None = None) -> float:
    """Return the makespan of a step of `scenario` [s], from few layers where that is exact."""
    model = step.model
    overlaps = SCHEDULES[scenario.schedule].overlaps
    n_run = model.n_dense_layers + _MIDDLE[overlaps]
    if model.n_layers <= n_run + 1 or not _layers_are_alike(step):
        return _makespan_s(run_step(scenario, step, known=known))
    run = run_step(scenario, replace(step, model=replace(model, n_layers=n_run)), known=known)
    gap_s = _even_gap_s(run, n_run - overlaps)
    if gap_s is None:
        return _makespan_s(run_step(scenario, step, known=known))
    return _makespan_s(run) + (model.n_layers - n_run) * gap_s


def _makespan_s(run: Run) -> float:
    return float(run.times.end_OC.max())


def _layers_are_alike(step: StepSpec) -> bool:
    """Whether neither popularity nor draws nor placement tell one layer from the next."""
    routing = step.routing
    return routing.popularity == "balanced" and routing.draw == "mean" and not step.layout.window_steps


def _even_gap_s(run: Run, n_layers: int) -> float | None:
    """The time between the ends of the last two of the first `n_layers` layers, if it is the same as the one before
    [s]."""
    end_s = [0.0] * n_layers
    for at, op in enumerate(run.graph.ops):
        if 0 <= op.layer < n_layers:
            end_s[op.layer] = max(end_s[op.layer], float(run.times.end_OC[at].max()))
    before_s, gap_s = end_s[-2] - end_s[-3], end_s[-1] - end_s[-2]
    return gap_s if abs(gap_s - before_s) <= _EVEN * gap_s else None


class ShortStepTimes:
    """Seconds of the steps of one replica, as `SimulatedStepTimes` gives them, from few layers."""

    def __init__(self, scenario: Scenario, known_costs: KnownCosts | None = None) -> None:
        """`known_costs`: of earlier steps on the same machine, added to."""
        self._known_costs = known_costs
        self._simulated = SimulatedStepTimes(scenario)
        self._known: dict[StepBatch, float] = {}

    @property
    def n_simulated(self) -> int:
        """Steps that were simulated so far."""
        return len(self._known)

    def seconds(self, batch: StepBatch) -> float:
        """Return the makespan of one step [s]."""
        known = self._known.get(batch)
        if known is None:
            scenario = self._simulated.scenario_of(batch)
            known = self._known[batch] = whole_step_s(scenario, step_of(scenario, batch), self._known_costs)
        return known
