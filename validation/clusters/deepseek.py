"""DeepSeek-V3 on H800: the step times of DeepSeek's profile data, the throughputs of its online service.

Each figure is a scenario that `longsim run` answers, read in the unit of the publication.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator.answer import Answer
from simulator.evaluate import evaluate
from simulator.scenario import load_scenario
from validation.clusters.parts import Part, Row, typed_facts

GPUS_PER_NODE = 8


def deepseek_part(data: Path) -> Part:
    """Return DeepSeek's published figures beside their predictions; they are typed facts, `data` is not needed."""
    del data
    facts = typed_facts("deepseek")
    rows, skipped = [], []
    for figure in facts["figures"]:
        answer = _answer(figure["scenario"], tuple(figure.get("set", ())))
        if answer.feasible:
            rows.append(_row(figure, READINGS[figure["reading"]](answer.metrics, facts)))
        else:
            skipped.append((figure["id"], answer.reason))
    return Part(rows=rows, notes=facts["notes"], skipped=skipped)


@lru_cache(maxsize=16)
def _answer(name: str, settings: tuple[str, ...]) -> Answer:
    return evaluate(load_scenario(name, settings))


def _row(figure: Mapping[str, Any], predicted: float) -> Row:
    return Row(
        id=figure["id"], what=figure["what"], predicted=predicted, reference=figure["reference"], unit=figure["unit"],
        source=figure["source"], tolerance=figure.get("tolerance"),
    )  # fmt: skip


def _input_per_node(metrics: Mapping[str, Any], facts: Mapping[str, Any]) -> float:
    """Tokens that come in per node and second [tokens/s], of which only those in no cache are computed."""
    return float(metrics["tokens_per_s_per_gpu"] * GPUS_PER_NODE / (1.0 - facts["cache_hit_share"]))


READINGS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], float]] = {
    "step_ms": lambda metrics, _: float(metrics["step_s"] * 1e3),
    "tokens_per_s_per_gpu": lambda metrics, _: float(metrics["tokens_per_s_per_gpu"]),
    "tokens_per_s_per_user": lambda metrics, _: float(metrics["tokens_per_s_per_user"]),
    "input_tokens_per_s_per_node": _input_per_node,
}
