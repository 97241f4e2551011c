"""Two stored runs side by side: what each comes to, by how much they differ, and why."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from simulator.plain import flat
from simulator.report.comparison_words import difference_sentence
from simulator.report.formats import (
    ABSENT,
    bytes_text,
    flops_text,
    money_text,
    number_text,
    share_text,
    signed,
    time_text,
)
from simulator.stored_run import StoredRun, answer_of

Text = Callable[[float], str]
_STEP: Mapping[str, tuple[str, Text]] = {
    "step_s": ("step", time_text),
    "tpot_s": ("TPOT", time_text),
    "tokens_per_s_per_gpu": ("tokens/s/GPU", number_text),
    "tokens_per_s_per_user": ("tokens/s/user", number_text),
    "usd_per_million_output_tokens": ("per million output tokens", money_text),
    "usd_per_million_input_tokens": ("per million input tokens", money_text),
    "comm_s": ("communication", time_text),
    "exposed_comm_s": ("exposed communication", time_text),
    "flops": ("FLOPs per GPU and step", flops_text),
    "load_imbalance": ("load, max over mean", number_text),
    "memory_bytes": ("memory of the fullest GPU", bytes_text),
    "sequences_that_fit": ("largest batch per GPU", number_text),
    "bound_by": ("bound by", number_text),
}
_REPLAY: Mapping[str, tuple[str, Text]] = {
    "verdict": ("verdict", number_text),
    **{f"ttft_s.{name}": (f"TTFT {name}", time_text) for name in ("mean", "p50", "p99")},
    **{f"tpot_s.{name}": (f"TPOT {name}", time_text) for name in ("mean", "p50", "p99")},
    "e2e_s.mean": ("end to end, mean", time_text),
    "requests_per_s": ("requests/s", number_text),
    "goodput_per_s": ("within the SLO, requests/s", number_text),
    "slo_share": ("within the SLO", share_text),
    "tokens_per_s_per_gpu": ("tokens/s/GPU", number_text),
    "tokens_per_s_per_user": ("tokens/s/user", number_text),
    "usd_per_million_output_tokens": ("per million output tokens", money_text),
    "busy_share": ("GPUs busy", share_text),
    "waiting.mean": ("waiting per replica, mean", number_text),
    "running.mean": ("running per replica, mean", number_text),
    "kv_used_share.peak": ("KV blocks in use, peak", share_text),
    "hit_share": ("prompt tokens from the prefix cache", share_text),
    "n_preemptions": ("preemptions", number_text),
}
_PARTS = {
    "waiting": "waiting in the queue", "prompt": "from there to the first token",
    "answer": "from the first token to the last",
}  # fmt: skip
_NEGLIGIBLE_SHARE = 0.005
_MANYFOLD = 10.0  # from here on a factor says more than per cent


def before_after_table(before: StoredRun, after: StoredRun) -> pd.DataFrame:
    """Return a row per figure that either has: `name`, `before`, `after`, `change`, as display texts."""
    columns = _REPLAY if before.kind == "replay" else _STEP
    figures = [_figures(run) for run in (before, after)]
    rows = [
        {"name": title, **_texts(figures[0].get(key), figures[1].get(key), text)}
        for key, (title, text) in columns.items()
        if any(one.get(key) is not None for one in figures)
    ]
    return pd.DataFrame(rows, columns=["name", "before", "after", "change"])


def figure_texts(run: StoredRun, names: Sequence[str]) -> list[str]:
    """Return these figures of a run as display texts, by their names in its metrics ("ttft_s.p99")."""
    columns, figures = _REPLAY if run.kind == "replay" else _STEP, _figures(run)
    return [_shown(figures.get(name), columns[name][1]) for name in names]


def _figures(run: StoredRun) -> dict[str, Any]:
    figures = flat(run.metrics)
    if memory := run.details.get("memory"):
        figures["memory_bytes"] = sum(memory["bytes"].values())
        figures["sequences_that_fit"] = memory["sequences_that_fit"]
    return figures


def _texts(before: Any, after: Any, text: Text) -> dict[str, str]:  # noqa: ANN401 (a figure, a word or nothing)
    numbers = all(isinstance(value, int | float) for value in (before, after))
    change = _change(after / before) if numbers and before else ""
    return {"before": _shown(before, text), "after": _shown(after, text), "change": change}


def _change(ratio: float) -> str:
    return f"× {number_text(ratio)}" if ratio >= _MANYFOLD else signed(share_text, ratio - 1.0)


def _shown(value: Any, text: Text) -> str:  # noqa: ANN401 (a figure, a word or nothing)
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else text(value)


def cause_sentences(before: StoredRun, after: StoredRun) -> Iterator[str]:
    """Yield why `after` differs from `before`: of steps the parts of their difference with their causes, of replays
    where requests spend their time; and the reason of what cannot run."""
    for run in (before, after):
        if not run.feasible:
            yield f"{run.name} cannot run: {run.reason.rstrip('.')}."
    if not (before.feasible and after.feasible):
        return
    if before.kind == after.kind == "step":
        yield difference_sentence(answer_of(after), answer_of(before))
    elif before.kind == after.kind == "replay":
        yield _times_of_requests(before.details["latency_parts_s"], after.details["latency_parts_s"])


def _times_of_requests(before_s: Mapping[str, float | None], after_s: Mapping[str, float | None]) -> str:
    """Means that are null are of runs in which no request came to its end."""
    sides = [[side.get(name) for name in _PARTS] for side in (before_s, after_s)]
    if any(seconds is None for side in sides for seconds in side):
        return "In one of both no request comes to its end."
    was_s, is_s = (sum(seconds for seconds in side if seconds is not None) for side in sides)
    changes = {words: (b or 0.0) - (a or 0.0) for words, a, b in zip(_PARTS.values(), *sides, strict=True)}
    floor_s = _NEGLIGIBLE_SHARE * was_s
    named = sorted((w for w in changes if abs(changes[w]) >= floor_s), key=lambda w: -abs(changes[w]))
    parts = ", ".join(f"{signed(time_text, changes[words])} {words}" for words in named) or "no part changes"
    return f"A request that is done takes {time_text(is_s)} instead of {time_text(was_s)} in the mean: {parts}."
