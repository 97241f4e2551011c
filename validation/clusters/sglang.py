"""SGLang's large deployments: DeepSeek-V3 on 96 H100, Kimi-K2 on 128 H200, DeepSeek-R1 on GB200 NVL72.

Throughputs are scenarios in the unit of the publication; gains are two settings of one scenario. Nothing is fitted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from validation.clusters.figures import READINGS, answer_of, figure_row, figures_part
from validation.clusters.parts import Part, Row, typed_facts
from validation.published_facts import published_facts


def sglang_part(data: Path) -> Part:
    """Return SGLang's published figures beside their predictions; they are typed facts, `data` is not needed."""
    del data
    facts = typed_facts("sglang")
    throughputs = figures_part(facts["figures"])
    gains = gains_part(facts["gains"], published_facts("balance")["sglang"])
    order = [sign_row(facts["sign"], gains.rows)]
    return Part(
        rows=[*throughputs.rows, *gains.rows, *order], notes=facts["notes"],
        skipped=[*throughputs.skipped, *gains.skipped],
    )  # fmt: skip


def gains_part(gains: Sequence[Mapping[str, Any]], facts: Mapping[str, Mapping[str, Any]]) -> Part:
    """Return the rows of gains in throughput: a scenario with `set` over the same with `over`.

    `fact` names one of `facts`, which then gives what was published, its source and its bar.
    """
    rows, skipped = [], []
    for gain in gains:
        typed = {"unit": "ratio", **facts.get(gain.get("fact", ""), {}), **gain}
        answers = [answer_of(gain["scenario"], tuple(gain[side])) for side in ("set", "over")]
        reasons = [answer.reason for answer in answers if not answer.feasible]
        if reasons:
            skipped.append((gain["id"], reasons[0]))
        else:
            ours, other = (READINGS["tokens_per_s_per_gpu"](answer.metrics) for answer in answers)
            rows.append(figure_row(typed, ours / other))
    return Part(rows=rows, skipped=skipped)


def sign_row(fact: Mapping[str, Any], gains: Sequence[Row]) -> Row:
    """Return of how many of the named gains it is predicted rightly whether they are gains or losses."""
    named = [row for row in gains if row.id in fact["gains"]]
    ours, theirs = (np.array([getattr(row, side) for row in named]) > 1.0 for side in ("predicted", "reference"))
    return Row(
        id=fact["id"], what=fact["what"], predicted=float((ours == theirs).sum()), reference=float(len(fact["gains"])),
        unit="batches", source=named[0].source if named else "", tolerance=0.0,
    )  # fmt: skip
