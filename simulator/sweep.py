"""Many candidates evaluated side by side, in processes of their own where that is worth their start."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import replace

from simulator.answer import Answer
from simulator.candidates import Candidate
from simulator.evaluate import evaluate
from simulator.processes import failure_words, interrupts_held_back, n_processors, processes
from simulator.report.rank_choice import shown_ranks
from simulator.scenario_schema import Scenario

_WORTH_A_PROCESS = 6  # candidates: half a second of imports against up to a second each
Done = Callable[[], None]


def evaluate_all(
    found: Sequence[Candidate], done: Done = lambda: None, *, n_workers: int | None = None
) -> list[Answer]:
    """Return the answer to every candidate, in their order; `done` is called after each.

    One that fails is an infeasible answer with its reason. Timelines keep the ranks that a report shows. `n_workers`:
    processes (None: as many as there are processors and work for; below 2: in this one).
    """
    jobs = {at: c.scenario for at, c in enumerate(found) if c.scenario is not None}
    n_workers = min(n_processors(), len(jobs) // _WORTH_A_PROCESS) if n_workers is None else n_workers
    answers = {at: refused(c.name, c.reason) for at, c in enumerate(found) if c.scenario is None}
    for _ in answers:
        done()
    solved = _in_processes(jobs, n_workers) if n_workers > 1 else ((at, _attempt(s)) for at, s in jobs.items())
    for at, answer in solved:
        answers[at] = answer if isinstance(answer, Answer) else refused(found[at].name, answer)
        done()
    return [answers[at] for at in range(len(found))]


def refused(name: str, reason: str) -> Answer:
    """Return the answer to a scenario that never ran: infeasible, for this reason."""
    return Answer(
        name=name, scenario={}, feasible=False, reason=reason, metrics={}, kinds=[], critical_path_by_source={},
        warnings=[], memory_bytes={}, memory_limit_bytes=0.0, sequences_that_fit=0, assumptions=[],
    )  # fmt: skip


def slim(answer: Answer) -> Answer:
    """Return the answer with the timeline of the ranks that a report shows, and of no other."""
    if answer.timeline is None:
        return answer
    ranks = [rank.rank for rank in shown_ranks(answer.timeline)]
    return replace(answer, timeline=answer.timeline[answer.timeline["rank"].isin(ranks)].reset_index(drop=True))


def _attempt(scenario: Scenario) -> Answer | str:
    """The slim answer, or why there is none: whatever goes wrong with one candidate must not end the others."""
    try:
        return slim(evaluate(scenario))
    except Exception as error:
        return failure_words(error)


def _in_processes(jobs: dict[int, Scenario], n_workers: int) -> Iterator[tuple[int, Answer | str]]:
    """Yield (position, answer or reason) as they come; interrupted, it drops what has not begun."""
    with processes(n_workers) as pool:
        with interrupts_held_back():
            at_of: dict[Future[Answer | str], int] = {pool.submit(_attempt, job): at for at, job in jobs.items()}
        for future in as_completed(at_of):
            error = future.exception()
            yield at_of[future], failure_words(error) if error else future.result()
