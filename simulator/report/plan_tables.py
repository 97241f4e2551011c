"""A plan as tables: numbers to write into files, and texts to show."""

from collections.abc import Mapping
from itertools import count

import pandas as pd

from simulator.planner.plan_answer import PlanAnswer
from simulator.planner.settle import Settled
from simulator.report.formats import money_text, number_text, time_text
from simulator.report.plan_words import trade_words

OPTION_COLUMNS = {
    "name": "plan", "gpus": "GPUs + spares", "rate": "requests/s", "reckoned": "reckoned", "per_gpu": "tokens/s/GPU",
    "tpot": "TPOT", "ttft": "TTFT",
    "usd": "$/h with spares", "per_million": "$/M tokens",
    "state": "replayed", "trade": "trades",
}  # fmt: skip
FRONT_COLUMNS = {"name": "plan", "target": "TPOT target", "per_user": "tokens/s/user", "per_gpu": "tokens/s/GPU"}
CHANGE_COLUMNS = {
    "name": "change",
    "takes": "takes",
    "before": "before",
    "gpus": "GPUs",
    "usd": "$/h",
    "layout": "layout",
}


def plan_tables(answer: PlanAnswer) -> Mapping[str, pd.DataFrame]:
    """Return the tables of an answer by name, one row per thing, SI units: options, front, changes, counts, spares."""
    return {
        "options": pd.DataFrame([_option(answer, option, rank) for rank, option in zip(count(1), answer.options)]),
        "front": pd.DataFrame([
            {"plan": p.plan.name, "tpot_target_s": p.tpot_target_s, "tokens_per_s_per_user": p.tokens_per_s_per_user,
             "tokens_per_s_per_gpu": p.tokens_per_s_per_gpu, "on_front": p.on_front} for p in answer.front
        ]),
        "changes": pd.DataFrame([
            {"change": c.change, "worth": c.worth, "before": c.before, "n_gpus": c.n_gpus,
             "n_gpus_before": c.n_gpus_before, "usd_per_hour": c.usd_per_hour,
             "usd_per_hour_before": c.usd_per_hour_before, "plan": c.plan, "same_layouts": c.same}
            for c in answer.changes
        ]),
        "counts": pd.DataFrame([
            {"n_gpus": c.n_gpus, "plan": c.plan.name if c.plan else "", "worth": c.worth,
             "worth_per_gpu": c.worth_per_gpu, "jump": c.jump, "cause": c.cause} for c in answer.counts
        ]),
        "spares": pd.DataFrame([vars(s) for s in answer.spares]),
    }  # fmt: skip


def _option(answer: PlanAnswer, option: Settled, rank: int) -> dict[str, object]:
    plan, last = option.plan, option.trials[-1] if option.trials else None
    tokens = option.rate_per_s * (answer.load.decoded_tokens + 1.0)
    return {
        "rank": rank, "plan": plan.name, "machine": plan.machine, "serving": plan.serving, "n_gpus": plan.n_gpus,
        "n_used": plan.n_used, "n_spare_gpus": option.n_spare_gpus,
        "rate_per_s": option.rate_per_s, "reckoned_rate_per_s": plan.rate_per_s,
        "tokens_per_s_per_gpu": tokens / plan.n_gpus,
        "tpot_s": last.tpot_s if last else plan.decode.tpot_s,
        "ttft_s": last.ttft_s if last else (plan.prefill or plan.decode).ttft_s,
        "usd_per_hour": plan.usd_per_hour, "usd_per_hour_with_spares": option.usd_per_hour_with_spares,
        "usd_per_million_output_tokens": answer.usd_per_million(option),
        "confirmed": option.confirmed, "n_replays": len(option.trials),
        "goodput_share": last.goodput_share if last else float("nan"),
    }  # fmt: skip


def shown_tables(answer: PlanAnswer) -> Mapping[str, pd.DataFrame]:
    """Return options, front and changes as texts, with the columns of OPTION_, FRONT_ and CHANGE_COLUMNS."""
    return {"options": _shown_options(answer), "front": _shown_front(answer), "changes": _shown_changes(answer)}


def _shown_options(answer: PlanAnswer) -> pd.DataFrame:
    best = answer.best
    rows = []
    for option in answer.options:
        assert best is not None
        row = _option(answer, option, 0)
        state = "met" if option.confirmed else "MISSED" if option.trials else "no"
        rows.append({
            "name": f"{option.plan.machine}: {option.plan.name}",
            "gpus": f"{option.plan.n_gpus} + {option.n_spare_gpus}",
            "rate": number_text(option.rate_per_s) if option.trials else "",
            "reckoned": number_text(option.plan.rate_per_s),
            "per_gpu": number_text(float(str(row["tokens_per_s_per_gpu"]))),
            "tpot": time_text(float(str(row["tpot_s"]))), "ttft": time_text(float(str(row["ttft_s"]))),
            "usd": money_text(option.usd_per_hour_with_spares),
            "per_million": money_text(answer.usd_per_million(option)), "state": state,
            "trade": "recommended" if option is best else trade_words(best, option, answer.wanted),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(OPTION_COLUMNS))


def _shown_front(answer: PlanAnswer) -> pd.DataFrame:
    rows = [
        {"name": point.plan.name, "target": time_text(point.tpot_target_s),
         "per_user": number_text(point.tokens_per_s_per_user), "per_gpu": number_text(point.tokens_per_s_per_gpu)}
        for point in answer.front if point.on_front
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(FRONT_COLUMNS)).drop_duplicates(["name", "per_user", "per_gpu"])


def _shown_changes(answer: PlanAnswer) -> pd.DataFrame:
    rows = [
        {"name": c.change, "takes": number_text(c.worth), "before": number_text(c.before),
         "gpus": f"{c.n_gpus} (before {c.n_gpus_before})" if c.n_gpus else "",
         "usd": f"{money_text(c.usd_per_hour)} (before {money_text(c.usd_per_hour_before)})",
         "layout": "same" if c.same else c.plan}
        for c in answer.changes
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(CHANGE_COLUMNS))
