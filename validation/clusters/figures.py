"""Published figures of a deployment, each beside a scenario that `longsim run` answers, in the publication's unit."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from simulator.answer import Answer
from simulator.evaluate import evaluate
from simulator.scenario import load_scenario
from validation.clusters.parts import Part, Row

GPUS_PER_NODE = 8
Reading = Callable[[Mapping[str, Any]], float]  # of an answer's metrics

READINGS: Mapping[str, Reading] = {
    "step_ms": lambda metrics: float(metrics["step_s"] * 1e3),
    "tokens_per_s_per_gpu": lambda metrics: float(metrics["tokens_per_s_per_gpu"]),
    "tokens_per_s_per_node": lambda metrics: float(metrics["tokens_per_s_per_gpu"] * GPUS_PER_NODE),
    "tokens_per_s_per_user": lambda metrics: float(metrics["tokens_per_s_per_user"]),
}


def figures_part(figures: Sequence[Mapping[str, Any]], readings: Mapping[str, Reading] = READINGS) -> Part:
    """Return the rows of typed figures (`scenario`, `set`, `reading`, `reference`, …); skipped is what cannot run."""
    rows, skipped = [], []
    for figure in figures:
        answer = answer_of(figure["scenario"], tuple(figure.get("set", ())))
        if answer.feasible:
            rows.append(figure_row(figure, readings[figure["reading"]](answer.metrics)))
        else:
            skipped.append((figure["id"], answer.reason))
    return Part(rows=rows, skipped=skipped)


@lru_cache(maxsize=64)
def answer_of(scenario: str, settings: tuple[str, ...]) -> Answer:
    """Return the answer of a shipped scenario with these settings (KEY=VALUE)."""
    return evaluate(load_scenario(scenario, settings))


def figure_row(figure: Mapping[str, Any], predicted: float) -> Row:
    """Return a typed figure (`id`, `what`, `reference`, `unit`, `source`, if judged `tolerance`) as predicted."""
    return Row(
        id=figure["id"], what=figure["what"], predicted=predicted, reference=figure["reference"], unit=figure["unit"],
        source=figure["source"], tolerance=figure.get("tolerance"),
    )  # fmt: skip
