"""Several answers compared in plain sentences: how much, and which kinds of op make the difference."""

from collections.abc import Iterator, Sequence

from simulator.answer import Answer
from simulator.report.formats import money_text, number_text, share_text, signed, time_text
from simulator.report.kinds import style_of
from simulator.report.words import listed, number_in

_NEGLIGIBLE_SHARE = 0.005
"""Differences below half a per cent of the step are not causes worth a name."""
_N_CAUSES = 4


def comparison_sentences(answers: Sequence[Answer]) -> list[str]:
    """The best first, then every other feasible answer against the first one, then what does not fit and why."""
    feasible = [answer for answer in answers if answer.feasible]
    sentences = [*_best(feasible)]
    for answer in feasible[1:]:
        sentences.extend(_difference(feasible[0], answer))
    sentences.extend(
        f"{answer.name} cannot run: {answer.reason.rstrip('.')}." for answer in answers if not answer.feasible
    )
    return sentences


def _best(feasible: Sequence[Answer]) -> Iterator[str]:
    if len(feasible) < 2:
        return
    metric, word = _shared_latency(feasible)
    fastest = min(feasible, key=lambda answer: float(answer.metrics[metric]))
    sentence = f"{fastest.name} is fastest ({word} {time_text(fastest.metrics[metric])})"
    rates = [number_in(answer.metrics, "tokens_per_s_per_gpu") for answer in feasible]
    if None not in rates:
        busiest = max(feasible, key=lambda answer: float(answer.metrics["tokens_per_s_per_gpu"]))
        rate = f"{number_text(busiest.metrics['tokens_per_s_per_gpu'])} tokens/s/GPU"
        sentence += f" and yields most ({rate})" if busiest is fastest else f"; {busiest.name} yields most ({rate})"
    yield sentence + "."


def _shared_latency(answers: Sequence[Answer]) -> tuple[str, str]:
    """The metric by which all `answers` can be compared, and its word: TPOT, or the step where one has no TPOT."""
    if all(number_in(answer.metrics, "tpot_s") is not None for answer in answers):
        return "tpot_s", "TPOT"
    return "step_s", "step"


def _difference(base: Answer, other: Answer) -> Iterator[str]:
    metric, word = _shared_latency([base, other])
    before_s, after_s = float(base.metrics[metric]), float(other.metrics[metric])
    per = "token" if metric == "tpot_s" else "step"
    spans = f"{word} {time_text(after_s)} against {time_text(before_s)}"
    first = f"{other.name}: {_verdict(before_s, after_s, per)} {base.name}, {spans}."
    yield " ".join([first, *_causes(base, other), *_exposure(base, other), *_price(base, other)])


def _verdict(before_s: float, after_s: float, per: str) -> str:
    if after_s == before_s:
        return f"the same time per {per} as"
    change = share_text(abs(after_s / before_s - 1))
    return f"{change} {'less' if after_s < before_s else 'more'} time per {per} than"


def _causes(base: Answer, other: Answer) -> Iterator[str]:
    changes = critical_path_changes(base, other)
    floor_s = _NEGLIGIBLE_SHARE * float(base.metrics["step_s"])
    causes = [kind for kind in sorted(changes, key=lambda kind: -abs(changes[kind])) if abs(changes[kind]) >= floor_s]
    if not causes:
        yield "No kind of op changes its part of the critical path."
        return
    parts = [f"{style_of(kind).label} {signed(time_text, changes[kind])}" for kind in causes[:_N_CAUSES]]
    yield f"On the critical path: {listed(parts)}."


def critical_path_changes(base: Answer, other: Answer) -> dict[str, float]:
    """By kind, how much longer it is on the critical path of `other` than on that of `base` [s]."""
    before = {str(row["kind"]): float(row["critical_s"]) for row in base.kinds}
    after = {str(row["kind"]): float(row["critical_s"]) for row in other.kinds}
    return {kind: after.get(kind, 0.0) - before.get(kind, 0.0) for kind in dict.fromkeys([*before, *after])}


def _exposure(base: Answer, other: Answer) -> Iterator[str]:
    before_s, after_s = number_in(base.metrics, "exposed_comm_s"), number_in(other.metrics, "exposed_comm_s")
    if before_s is None or after_s is None:
        return
    verb = "falls" if after_s < before_s else "rises" if after_s > before_s else "stays"
    span = f"at {time_text(after_s)}" if after_s == before_s else f"from {time_text(before_s)} to {time_text(after_s)}"
    yield f"Exposed communication {verb} {span} per step."


def _price(base: Answer, other: Answer) -> Iterator[str]:
    for metric in ("usd_per_million_output_tokens", "usd_per_million_input_tokens"):
        before, after = number_in(base.metrics, metric), number_in(other.metrics, metric)
        if before and after is not None:
            change = signed(share_text, after / before - 1)
            yield f"A million tokens cost {money_text(after)} against {money_text(before)} ({change})."
