"""The JSON document of `plan --json`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from simulator.planner.plan_answer import PlanAnswer
from simulator.planner.plan_files import asked
from simulator.planner.question import SOURCES
from simulator.report.plan_tables import plan_tables
from simulator.report.plan_words import headline, sentences


def plan_document(answer: PlanAnswer) -> Mapping[str, Any]:
    """Return the answer as plain data."""
    return {
        "question": asked(answer.question),
        "sources": dict(SOURCES),
        "feasible": answer.feasible,
        "answer": headline(answer),
        "interval": answer.interval,
        **{name: table.to_dict("records") for name, table in plan_tables(answer).items()},
        "replays": [asdict(trial) for option in answer.options[:1] for trial in option.trials],
        "sureness": {name: asdict(sure) for name, sure in answer.sure.items()},
        "break_evens": [
            {"machine": b.machine, "plan": b.plan.name, "usd_per_gpu_hour": b.usd_per_gpu_hour, "now": b.now}
            for b in answer.break_evens
        ],
        "misses": [asdict(miss) for miss in answer.misses],
        "launches": [asdict(launch) for launch in answer.launches],
        "scenario": answer.scenario,
        "search": {**asdict(answer.tally), "n_steps": answer.n_steps},
        "sentences": sentences(answer),
    }
