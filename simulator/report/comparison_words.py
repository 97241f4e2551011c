"""Several answers compared in plain sentences: which is best, against the others how much, and which amounts do it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from simulator.answer import Answer
from simulator.differences import Cause, Part, best_first, difference_parts, distinct, equal_times
from simulator.report.formats import bytes_text, flops_text, number_text, share_text, signed, time_text
from simulator.report.kinds import style_of
from simulator.report.words import listed, number_in

_NEGLIGIBLE_SHARE = 0.005
"""Differences below half a per cent of the step are not causes worth a name."""
_N_PARTS = 4
MOST_NAMED = 5  # answers that the sentences set against the best one, or say why they cannot run; the table has all


def comparison_sentences(answers: Sequence[Answer], base: Answer | None = None) -> list[str]:
    """The best first, then against it the next ones and `base`, the scenario before anything was varied; then what the
    best is to be read with, and what cannot run and why."""
    ordered = best_first(answers)
    feasible = [answer for answer in ordered if answer.feasible]
    refused = ordered[len(feasible) :]
    sentences = [*_best(feasible)]
    sentences.extend(difference_sentence(feasible[0], other) for other in islice(distinct(feasible), 1, MOST_NAMED + 1))
    sentences.extend(_against_base(feasible, base) if base is not None and base.feasible else [])
    caveats = [f"Of {feasible[0].name}: {warning}." for warning in feasible[0].warnings] if feasible else []
    return [*sentences, *caveats, *_refusals(refused)]


def _against_base(feasible: Sequence[Answer], base: Answer) -> Iterator[str]:
    like = next((answer for answer in feasible if equal_times(answer, base)), None)
    if like is not None:
        yield f"{base.name.capitalize()} is like {like.name}."
    elif feasible:
        yield difference_sentence(feasible[0], base)


def _refusals(refused: Sequence[Answer]) -> Iterator[str]:
    """Each reason once, with the first that it stops."""
    stopped: dict[str, list[str]] = {}
    for answer in refused:
        stopped.setdefault(answer.reason, []).append(answer.name)
    for reason, (first, *others) in islice(stopped.items(), MOST_NAMED):
        more = f" and {len(others)} more" if others else ""
        yield f"{first}{more} cannot run: {reason.rstrip('.')}."
    if len(stopped) > MOST_NAMED:
        yield f"{sum(len(names) for names in list(stopped.values())[MOST_NAMED:])} more cannot run for other reasons."


def _best(feasible: Sequence[Answer]) -> Iterator[str]:
    if len(feasible) < 2:
        return
    metric, word = _shared_latency(feasible)
    fastest = min(feasible, key=lambda answer: float(answer.metrics[metric]))
    fastest = feasible[0] if equal_times(fastest, feasible[0]) else fastest
    busiest = feasible[0]
    rate = f"{number_text(busiest.metrics['tokens_per_s_per_gpu'])} tokens/s/GPU"
    sentence = f"{fastest.name} is fastest ({word} {time_text(fastest.metrics[metric])})"
    yield sentence + (
        f" and yields most ({rate})." if busiest is fastest else f"; {busiest.name} yields most ({rate})."
    )
    equal = [answer.name for answer in feasible[1:] if equal_times(busiest, answer)]
    if equal:
        more = f" and {len(equal) - MOST_NAMED} more" if len(equal) > MOST_NAMED else ""
        names = ", ".join(equal[:MOST_NAMED]) if more else listed(equal)
        yield f"The same as {busiest.name} in every time: {names}{more}."


def _shared_latency(answers: Sequence[Answer]) -> tuple[str, str]:
    """The metric by which all `answers` can be compared, and its word: TPOT, or the step where one has no TPOT."""
    if all(number_in(answer.metrics, "tpot_s") is not None for answer in answers):
        return "tpot_s", "TPOT"
    return "step_s", "step"


def difference_sentence(best: Answer, other: Answer) -> str:
    """How `best` differs from `other`: rate and step, then the parts of the step's difference with their causes."""
    before_s, after_s = float(other.metrics["step_s"]), float(best.metrics["step_s"])
    rates = [float(answer.metrics["tokens_per_s_per_gpu"]) for answer in (other, best)]
    yielded = f"{signed(share_text, rates[1] / rates[0] - 1)} tokens/s/GPU"
    step = f"a step takes {time_text(after_s)} instead of {time_text(before_s)}"
    return " ".join([f"{best.name} against {other.name}: {yielded}; {step}.", *_parts(best, other)])


def _parts(best: Answer, other: Answer) -> Iterator[str]:
    parts = difference_parts(other, best)
    floor_s = _NEGLIGIBLE_SHARE * float(other.metrics["step_s"])
    named = [part for part in parts if abs(part.change_s) >= floor_s][:_N_PARTS]
    if not named:
        yield "No kind of op changes its part of the critical path."
        return
    for verb, sign in (("It wins", -1.0), ("It loses", 1.0)):
        same = [part for part in named if part.change_s * sign > 0]
        if same:
            yield f"{verb} {'; '.join(_part(part) for part in same)}."
    rest_s = sum(part.change_s for part in parts) - sum(part.change_s for part in named)
    if abs(rest_s) >= floor_s:
        yield f"All else {'wins' if rest_s < 0 else 'loses'} {time_text(abs(rest_s))}."


def _part(part: Part) -> str:
    causes = [_CAUSE[cause.name](cause, part.kind) for cause in part.causes]
    text = f"{time_text(abs(part.change_s))} on {style_of(part.kind).label}"
    return f"{text} ({', '.join(causes)})" if causes else text


def _read(cause: Cause, kind: str) -> str:
    what = "weights and cache" if kind == "attention" else "weights"
    return f"the busiest rank reads {bytes_text(cause.after)} of {what} instead of {bytes_text(cause.before)}"


_CAUSE: Mapping[str, Callable[[Cause, str], str]] = {
    "weights": _read,
    "work": lambda c, _: f"the busiest rank computes {flops_text(c.after)} instead of {flops_text(c.before)}",
    "crossing": lambda c, _: (
        f"the busiest rank moves {bytes_text(c.after)} over links instead of " + bytes_text(c.before)
    ),
    "remote": lambda c, _: f"a rank sends {bytes_text(c.after)} to other nodes instead of {bytes_text(c.before)}",
    "kernels": lambda c, _: f"{c.after:,.0f} kernels instead of {c.before:,.0f}",
    "hidden": lambda c, _: f"{time_text(c.after)} of it beside the critical path instead of {time_text(c.before)}",
    "queued": lambda c, _: f"{time_text(c.after)} of it before it may start instead of {time_text(c.before)}",
    "pace": lambda c, _: f"the same amounts take {time_text(c.after)} instead of {time_text(c.before)}",
}
