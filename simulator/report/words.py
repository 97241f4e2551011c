"""The answer in plain sentences."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from simulator.answer import Answer
from simulator.report.formats import bytes_text, money_text, number_text, share_text, time_text
from simulator.report.kinds import sources_in_order, style_of

_SOURCE_WORDS = {
    "measured": "measurements",
    "fitted": "fitted curves",
    "published": "published figures",
    "datasheet": "datasheet figures",
    "assumed": "assumptions",
}
_N_KINDS_NAMED = 4
EVEN = 1.005  # what rounds to 1.00 times the mean


def headline(answer: Answer) -> str:
    """One sentence: what the cluster reaches, how much communication is hidden, what binds, what it rests on."""
    if not answer.feasible:
        return f"{_subject(answer)} cannot run this: {answer.reason.rstrip('.')}."
    clauses = [_rate(answer), *_latency(answer), *_overlap(answer), *_binding(answer), *_foundation(answer)]
    return "; ".join(clauses) + "."


def sentences(answer: Answer) -> list[str]:
    """The headline and what stands behind it: where the time goes, communication, memory, price, how sure."""
    if not answer.feasible:
        return [headline(answer), *_memory(answer)]
    behind = [*_critical_path(answer), *_communication(answer), *_imbalance(answer), *_memory(answer), *_price(answer)]
    return [headline(answer), *behind, confidence_line(answer)]


def confidence_line(answer: Answer) -> str:
    """One line: the share of the critical path that rests on measured, fitted, published, datasheet, assumed costs."""
    shares = answer.critical_path_by_source
    named = [source for source in sources_in_order(shares) if shares[source] > 0]
    if not named:
        return "There is no critical path to judge."
    parts = [f"{share_text(shares[source])} on {_SOURCE_WORDS.get(source, source)}" for source in named]
    doubt = "" if {"measured", "fitted"} & set(named) else "; no measurement stands behind it"
    return f"The critical path rests {listed(parts)}{doubt}."


def listed(parts: Iterable[str]) -> str:
    """`parts` as an English list: a, b and c."""
    *most, last = list(parts)
    return f"{', '.join(most)} and {last}" if most else last


def _subject(answer: Answer) -> str:
    n_gpus = answer.scenario.get("n_gpus")
    if n_gpus is None:
        return answer.name
    return "1 GPU" if n_gpus == 1 else f"{n_gpus:,} GPUs"


def _rate(answer: Answer) -> str:
    per_gpu, per_user = _value(answer, "tokens_per_s_per_gpu"), _value(answer, "tokens_per_s_per_user")
    if per_gpu is None:
        return f"{_subject(answer)}: a step takes {time_text(answer.metrics['step_s'])}"
    verb = "prefill" if answer.scenario.get("phase") == "prefill" else "reach"
    at = f" at {number_text(per_user)} tokens/s/user" if per_user is not None else ""
    return f"{_subject(answer)} {verb} {number_text(per_gpu)} tokens/s/GPU{at}"


def _latency(answer: Answer) -> Iterator[str]:
    tpot_s, step_s = _value(answer, "tpot_s"), _value(answer, "step_s")
    if tpot_s is not None:
        yield f"TPOT {time_text(tpot_s)}{_range(answer, 'tpot_s')}"
    elif step_s is not None and _value(answer, "tokens_per_s_per_gpu") is not None:
        yield f"a step takes {time_text(step_s)}{_range(answer, 'step_s')}"


def _range(answer: Answer, metric: str) -> str:
    bounds = answer.interval.get(metric)
    return f" ({time_text(bounds[0])} to {time_text(bounds[1])})" if bounds else ""


def _overlap(answer: Answer) -> Iterator[str]:
    share = _value(answer, "overlap_ratio")
    if share is not None and _value(answer, "comm_s"):
        yield f"{share_text(share)} of the communication is hidden"


def _binding(answer: Answer) -> Iterator[str]:
    if answer.metrics.get("bound_by"):
        yield f"what binds is {answer.metrics['bound_by']}"


def _foundation(answer: Answer) -> Iterator[str]:
    shares = answer.critical_path_by_source
    if shares:
        source = max(sources_in_order(shares), key=lambda source: shares[source])
        yield f"{share_text(shares[source])} of the critical path rests on {_SOURCE_WORDS.get(source, source)}"


def _critical_path(answer: Answer) -> Iterator[str]:
    largest = sorted(answer.kinds, key=lambda row: -float(row["critical_s"]))[:_N_KINDS_NAMED]
    parts = [
        f"{time_text(row['critical_s'])} {style_of(row['kind']).label}" for row in largest if row["critical_s"] > 0
    ]
    step_s = _value(answer, "step_s")
    if parts and step_s is not None:
        yield f"A step takes {time_text(step_s)}; its critical path is, above all, {listed(parts)}."


def _communication(answer: Answer) -> Iterator[str]:
    comm_s, exposed_s = _value(answer, "comm_s"), _value(answer, "exposed_comm_s")
    if comm_s is None or exposed_s is None:
        return
    worst = (
        f" ({time_text(answer.metrics['exposed_comm_s_max'])} on the worst)"
        if "exposed_comm_s_max" in answer.metrics
        else ""
    )
    wait_s = _value(answer, "wait_s")
    waiting = "" if wait_s is None else f"; it waits {time_text(wait_s)} for other ranks"
    yield (
        f"A device communicates for {time_text(comm_s)} of each step, "
        f"{time_text(exposed_s)} of it with nothing computed beside{worst}{waiting}."
    )


def _imbalance(answer: Answer) -> Iterator[str]:
    imbalance = _value(answer, "load_imbalance")
    if imbalance is None:
        return
    if imbalance < EVEN:
        yield "Routed tokens are spread evenly over the ranks."
    else:
        hottest = _value(answer, "hottest_rank")
        which = "" if hottest is None else f" ({hottest:.0f})"
        yield f"The most loaded rank{which} gets {number_text(imbalance)} times the mean of routed tokens."


def _memory(answer: Answer) -> Iterator[str]:
    if not answer.memory_bytes:
        return
    total_text, limit_text = bytes_text(sum(answer.memory_bytes.values())), bytes_text(answer.memory_limit_bytes)
    verb = "holds" if answer.feasible else "would need"
    fit = (
        f"; {answer.sequences_that_fit:,} sequences per GPU fit"
        if answer.scenario.get("phase", "decode") != "train"
        else ""
    )
    yield f"The fullest device {verb} {total_text} and may use {limit_text}{fit}."


def _price(answer: Answer) -> Iterator[str]:
    for what in ("input", "output"):
        price = _value(answer, f"usd_per_million_{what}_tokens")
        if price is not None:
            yield f"A million {what} tokens cost {money_text(price)}."


def _value(answer: Answer, metric: str) -> float | None:
    """The number of `metric`, or None where the record has none (a prefill step has no TPOT)."""
    return number_in(answer.metrics, metric)


def number_in(metrics: Mapping[str, Any], metric: str) -> float | None:
    """`metrics[metric]` as a number, None where it is absent or not one."""
    value = metrics.get(metric)
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None
