"""The page of a plan: the recommendation, its front, what it trades, what would change it, failures, commands."""

from pathlib import Path

import pandas as pd

from simulator.planner.plan_answer import PlanAnswer
from simulator.planner.plan_files import asked
from simulator.planner.question import SOURCES
from simulator.report.document import write_document
from simulator.report.formats import money_text, number_text, quantity_text, share_text, time_text
from simulator.report.markup import bullets, paragraph, plot, section, table, tiles
from simulator.report.plan_figures import changes_figure, counts_figure, front_figure
from simulator.report.plan_tables import CHANGE_COLUMNS, OPTION_COLUMNS, shown_tables
from simulator.report.plan_words import headline, sentences

_IN_WORDS = ("per_million",)  # columns whose place the words of the last one need
_FRONT = (
    "Each point is the best plan on the same GPUs under another TPOT target: up and to the right is better. The line "
    "is the Pareto front; the large point is recommended. By reckoning, before replays."
)
_COUNTS = "Best plan on each number of GPUs, per GPU; dots where a physical cause makes it jump (see the list above)."
_CHANGES = "The same GPUs under a change, against without it, by reckoning with the shortlisted layouts."


def write_plan_page(answer: PlanAnswer, path: str | Path, *, title: str) -> None:
    """Write the page to `path`, whole or not at all; OSError where it cannot be written."""
    shown = shown_tables(answer)
    parts = [
        paragraph(_subject(answer), "kicker"),
        paragraph(headline(answer), "headline" if answer.feasible else "headline infeasible"),
        tiles(_figures(answer)),
        bullets(sentences(answer)),
    ]
    columns = {name: heading for name, heading in OPTION_COLUMNS.items() if name not in _IN_WORDS}
    numeric = [name for name in columns if name not in ("name", "state", "trade")]
    parts.append(section("Plans", table(shown["options"], columns, numeric=numeric)))
    if answer.front:
        parts.append(section("Front", plot(front_figure(answer), caption=_FRONT)))
    if answer.changes:
        rows = table(shown["changes"], CHANGE_COLUMNS, numeric=["takes", "before", "gpus"])
        parts.append(section("What would change it", plot(changes_figure(answer.changes), caption=_CHANGES), rows))
    if answer.counts:
        parts.append(section("Neighbouring GPU counts", plot(counts_figure(answer.counts), caption=_COUNTS)))
    parts += [_replays(answer), _commands(answer), _scenario(answer), _question(answer)]
    write_document(path, title=title, parts=parts)


def _subject(answer: PlanAnswer) -> str:
    question = answer.question
    lengths = (answer.load.prompt_tokens, answer.load.decoded_tokens + 1.0)
    tokens = "{} tokens in, {} out".format(*map(number_text, lengths))
    return " · ".join([question.model, ", ".join(question.machines), tokens])


def _figures(answer: PlanAnswer) -> list[tuple[str, str]]:
    best = answer.best
    if best is None:
        return []
    per_gpu = best.rate_per_s * (answer.load.decoded_tokens + 1.0) / best.plan.n_gpus
    found = [
        ("GPUs", f"{best.plan.n_gpus}"), ("requests/s", number_text(best.rate_per_s)),
        ("tokens/s/GPU", number_text(per_gpu)), ("per hour", money_text(best.plan.usd_per_hour)),
        ("per million tokens", money_text(answer.usd_per_million(best))),
    ]  # fmt: skip
    if best.trials:
        last = best.trials[-1]
        found += [("TTFT", time_text(last.ttft_s)), ("TPOT", time_text(last.tpot_s))]
    return [
        *found,
        ("spare GPUs", f"{best.n_spare_gpus}"),
        ("per hour with them", money_text(best.usd_per_hour_with_spares)),
    ]


def _replays(answer: PlanAnswer) -> str:
    best = answer.best
    if best is None or not best.trials:
        return ""
    rows = pd.DataFrame([
        {"rate": number_text(t.rate_per_s), "seed": str(t.seed), "n": f"{t.n_requests:,}", "ttft": time_text(t.ttft_s),
         "tpot": time_text(t.tpot_s), "share": share_text(t.goodput_share), "queue": t.verdict,
         "misses": ", ".join(t.misses) or "none"} for t in best.trials
    ])  # fmt: skip
    headings = {"rate": "requests/s", "seed": "seed", "n": "requests counted", "ttft": "TTFT", "tpot": "TPOT",
                "share": "within both", "queue": "queue", "misses": "misses"}  # fmt: skip
    numeric = ["rate", "seed", "n", "ttft", "tpot", "share"]
    return section("Replays of the recommended plan", table(rows, headings, numeric=numeric))


def _commands(answer: PlanAnswer) -> str:
    rows = pd.DataFrame([
        {"pool": f"{x.pool}, {x.n_replicas} ×", "backend": x.backend, "command": x.command,
         "cannot": "; ".join(x.cannot) or "nothing"} for x in answer.launches
    ])  # fmt: skip
    headings = {"pool": "pool", "backend": "backend", "command": "command of one replica", "cannot": "cannot express"}
    return section("Launch commands", table(rows, headings))


def _scenario(answer: PlanAnswer) -> str:
    if not answer.scenario:
        return ""
    rows = pd.DataFrame({"line": [line for line in answer.scenario.splitlines() if line]})
    said = paragraph("Keep these lines as a TOML file for `longsim replay`.", "note")
    return section("As a scenario", said, table(rows, {"line": "plan.toml"}))


def _question(answer: PlanAnswer) -> str:
    rows = pd.DataFrame(
        [{"key": key, "value": quantity_text(value), "source": SOURCES.get(key, "")} for key, value in
         _dotted(asked(answer.question), "")], columns=["key", "value", "source"],
    )  # fmt: skip
    return section("What was asked", table(rows, {"key": "key", "value": "value", "source": "source of the default"}))


def _dotted(tables: dict[str, object], prefix: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in tables.items():
        if isinstance(value, dict) and value:
            found += _dotted(value, f"{prefix}{key}.")
        else:
            listed = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            found.append((f"{prefix}{key}", listed if listed not in ("", {}) else "–"))
    return found
