"""The answer to a plan's question: what the console, the page and a notebook all read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simulator.planner.continuity import Count
from simulator.planner.front import FrontPoint
from simulator.planner.launch import Launch
from simulator.planner.load import Load
from simulator.planner.nearest import Miss
from simulator.planner.question import Question
from simulator.planner.sensitivity import BreakEven, Change
from simulator.planner.settle import Settled
from simulator.planner.spares import Spares
from simulator.planner.sureness import Sureness
from simulator.planner.workshop import Tally


@dataclass(frozen=True, kw_only=True)
class PlanAnswer:
    """What a question comes to. `options`: plans, the recommended one first, replayed ones before others; empty where
    nothing serves, for what `misses` say. `wanted`: requests per second, or users, that were asked for (0: as many as
    the GPUs take). `interval`: of the recommended plan, name to (low, high), 10-90 %: `rate_per_s`, `tpot_s`,
    `usd_per_million_output_tokens`; `sure`: of its pools' steps; `worth_of_rate`: users that
    one request per second stands for (1 where requests are counted). `tally` and `n_steps`: the work of the
    search; `scenario`: the recommended plan's file."""

    question: Question
    load: Load
    wanted: float
    options: Sequence[Settled]
    misses: Sequence[Miss]
    tally: Tally
    n_steps: int
    worth_of_rate: float = 1.0
    interval: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    sure: Mapping[str, Sureness] = field(default_factory=dict)
    front: Sequence[FrontPoint] = ()
    changes: Sequence[Change] = ()
    break_evens: Sequence[BreakEven] = ()
    counts: Sequence[Count] = ()
    launches: Sequence[Launch] = ()
    scenario: str = ""
    warnings: Sequence[str] = ()

    @property
    def best(self) -> Settled | None:
        """The recommended plan."""
        return self.options[0] if self.options else None

    @property
    def spares(self) -> Sequence[Spares]:
        """Spares of each pool of the recommended plan."""
        return self.best.spares if self.best else ()

    @property
    def feasible(self) -> bool:
        """Whether anything serves, as far as was replayed."""
        best = self.best
        return best is not None and (best.confirmed or not best.trials)

    def usd_per_million(self, option: Settled) -> float:
        """Return the price of a million output tokens [USD], at the rate of the option."""
        tokens_per_hour = option.rate_per_s * (self.load.decoded_tokens + 1.0) * 3600.0
        return option.plan.usd_per_hour / tokens_per_hour * 1e6
