"""What a question comes to, as plain data that a store keeps, and the answer to a step again from that."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import pandas as pd

from hw_profiles.faults import InputFaults
from simulator.amounts import KindAmounts
from simulator.answer import Answer
from simulator.evaluate import document, evaluate
from simulator.plain import finite
from simulator.question import Question, requests_of
from simulator.run_key import code_version
from simulator.serving.answer import ServingAnswer, serve, serving_document
from simulator.serving.metrics import Slo

_APART = ("scenario", "feasible", "reason", "metrics")  # columns of their own


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """One run: `key` and `code` of run_key.py; `kind`, "step" or "replay"; `name`, of whatever asked first; `scenario`:
    every key, resolved; `feasible` and `reason` as of an answer; `metrics` of docs/design.md section 5; `details`: the
    rest of the JSON document of `run` or `replay`, for steps with the amounts of each kind of op, for replays with
    `latency_parts_s`. All of it is plain JSON data."""

    key: str
    kind: str
    code: str
    name: str
    feasible: bool
    reason: str
    scenario: Mapping[str, Any]
    metrics: Mapping[str, Any]
    details: Mapping[str, Any]


def run_question(question: Question, key: str) -> StoredRun:
    """Return the run that answers a question under its key; replicas without room for a cache are infeasible."""
    feasible, reason, metrics, details = _replayed(question) if question.traffic else _stepped(question)
    return StoredRun(
        key=key, kind=question.kind, code=code_version(), name=question.scenario.name, feasible=feasible,
        reason=reason, scenario=_plain(question.tables), metrics=_plain(metrics), details=_plain(details),
    )  # fmt: skip


_Found = tuple[bool, str, Mapping[str, Any], Mapping[str, Any]]


def _plain(tables: Mapping[str, Any]) -> dict[str, Any]:
    return cast("dict[str, Any]", finite(tables))


def _stepped(question: Question) -> _Found:
    answer = evaluate(question.scenario)
    rest = {key: value for key, value in document(answer).items() if key not in _APART}
    return answer.feasible, answer.reason, answer.metrics, rest | {"amounts": [asdict(a) for a in answer.amounts]}


def _replayed(question: Question) -> _Found:
    try:
        answer = serve_question(question)
    except InputFaults as error:
        return False, str(error).replace("\n", "; "), {}, {}
    rest = {key: value for key, value in serving_document(answer).items() if key not in _APART}
    return True, "", answer.metrics, rest | {"latency_parts_s": latency_parts_s(answer.run.requests)}


def serve_question(question: Question) -> ServingAnswer:
    """Return the answer to the traffic of a question; InputFaults as `serve`'s own."""
    traffic = question.traffic
    if traffic is None:
        raise ValueError("no traffic: a replay needs requests")
    slo = Slo(ttft_s=traffic.ttft_s, tpot_s=traffic.tpot_s)
    return serve(question.scenario, requests_of(traffic, seed=question.scenario.seed), slo=slo)


def latency_parts_s(requests: pd.DataFrame) -> Mapping[str, float]:
    """Return the mean seconds that requests that are done waited in the queue, from there to their first token, and
    from that to their last: together the mean of their whole time [s]."""
    done = requests[requests["state"] == "done"]
    moments = ["arrival_s", "admitted_s", "first_token_s", "end_s"]
    names = ("waiting", "prompt", "answer")
    return {n: float((done[b] - done[a]).mean()) for n, a, b in zip(names, moments, moments[1:], strict=False)}


def answer_of(run: StoredRun) -> Answer:
    """Return the answer that a stored step was, without its timeline and the figures of its machine."""
    details = run.details
    memory = details["memory"]
    return Answer(
        name=run.name,
        scenario=run.scenario,
        feasible=run.feasible,
        reason=run.reason,
        metrics=run.metrics,
        interval={name: (low, high) for name, (low, high) in details["interval"].items()},
        kinds=details["kinds"],
        critical_path_by_source=details["critical_path_by_source"],
        warnings=details["warnings"],
        memory_bytes=memory["bytes"],
        memory_limit_bytes=memory["limit_bytes"],
        sequences_that_fit=memory["sequences_that_fit"],
        assumptions=[],
        amounts=[KindAmounts(**amounts) for amounts in details["amounts"]],
    )
