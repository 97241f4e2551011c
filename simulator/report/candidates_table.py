"""One row per candidate of a comparison, the best first, what cannot run last: for the terminal and for the page."""

from collections.abc import Mapping, Sequence

import pandas as pd

from simulator.answer import Answer
from simulator.differences import best_first
from simulator.report.formats import ABSENT, bytes_text, money_text, number_text, share_text, time_text
from simulator.report.words import EVEN, number_in

BEST = "★"
CANDIDATE_COLUMNS: Mapping[str, str] = {
    "step": "step", "interval": "10-90 %", "tgs": "TGS", "tps": "TPS/user",
    "dispatch": "exposed dispatch", "combine": "exposed combine", "bytes": "sent per GPU", "load": "load max/mean",
    "balancedness": "balancedness", "memory": "memory", "room": "largest batch", "price": "$/M tokens",
    "bound": "bound by",
}  # fmt: skip
"""Column to heading, in order; TGS: tokens/s/GPU, TPS/user: tokens/s/user."""


def candidates_table(answers: Sequence[Answer]) -> pd.DataFrame:
    """One row per answer, `best_first`: mark, name, CANDIDATE_COLUMNS as display texts, reason (empty: it runs)."""
    ordered = best_first(answers)
    rows = [
        {"mark": BEST if place == 0 and a.feasible else "", "name": a.name, **_texts(a), "reason": a.reason}
        for place, a in enumerate(ordered)
    ]
    return pd.DataFrame(rows, columns=["mark", "name", *CANDIDATE_COLUMNS, "reason"])


def _texts(answer: Answer) -> dict[str, str]:
    texts = dict.fromkeys(CANDIDATE_COLUMNS, ABSENT)
    if answer.memory_bytes:
        used = sum(answer.memory_bytes.values())
        texts["memory"] = f"{bytes_text(used)} ({share_text(used / answer.memory_limit_bytes)})"
        texts["room"] = f"{answer.sequences_that_fit:,}"
    if answer.feasible:
        return texts | _step_texts(answer)
    return texts | {"step": "does not fit" if answer.memory_bytes else "refused"}


def _step_texts(answer: Answer) -> dict[str, str]:
    m = answer.metrics
    per_user, imbalance = number_in(m, "tokens_per_s_per_user"), number_in(m, "load_imbalance")
    price = m.get("usd_per_million_output_tokens", m.get("usd_per_million_input_tokens"))
    bounds = answer.interval.get("step_s")
    exposed_s = {str(row["kind"]): float(row["exposed_s"]) for row in answer.kinds}
    texts = {
        "step": time_text(m["step_s"]),
        "tgs": number_text(m["tokens_per_s_per_gpu"]),
        "dispatch": time_text(exposed_s.get("dispatch", 0.0)),
        "combine": time_text(exposed_s.get("combine", 0.0)),
        "bytes": ", ".join(f"{bytes_text(sent)} {tier}" for tier, sent in m["bytes"].items()) or ABSENT,
        "bound": str(m["bound_by"]),
    }
    if bounds:
        texts["interval"] = _range_text(*bounds)
    if per_user is not None:
        texts["tps"] = number_text(per_user)
    if imbalance is not None:
        texts["load"] = f"{number_text(imbalance)}×" if imbalance > EVEN else "even"
        texts["balancedness"] = number_text(m.get("balancedness", 1.0 / imbalance))
    if price is not None:
        texts["price"] = money_text(price)
    return texts


def _range_text(low_s: float, high_s: float) -> str:
    """Both ends with the unit once, where they share it: 36.3–38.8 ms."""
    low, high = time_text(low_s), time_text(high_s)
    (number, low_unit), high_unit = low.split(" "), high.split(" ")[1]
    return f"{number}–{high}" if low_unit == high_unit else f"{low}–{high}"
