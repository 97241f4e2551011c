"""Whether the shipped fits are what the tables give: the same groups, rows and ranges, and curves that say the same.

Coefficients themselves are no measure: those that the rows hardly determine come out otherwise on another processor,
whose vector units round differently, while the times that the curves give hardly move.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hw_profiles.curves.records import from_record
from validation.calibrate import FAMILIES, Group, find_table, groups_of, sound
from validation.families import Family
from validation.fitted_files import differences

SAME, AT_MOST = 0.03, 0.10  # of a time, for nine rows in ten and for all: rounding on another processor has been seen
# to move the worst determined curve by 6 % at the end of its range
LOOSE = ("coefficients", "residual_log_10_90")  # judged by the times they give

Content = Mapping[str, Any]


def unreproduced(
    data_dir: Path, fresh: Content, shipped: Content, families: Sequence[Family] = FAMILIES
) -> Iterator[str]:
    """Yield, a line each, where fits made afresh from the tables under `data_dir` differ from the shipped ones."""
    yield from differences(_bare(fresh), _bare(shipped))
    for family in families:
        path = find_table(data_dir, family.table.file)
        for group in groups_of(family, path) if path else ():
            records = [_record(content, group) for content in (fresh, shipped)]
            if not all(records):
                continue
            most, worst = _gaps(group, records)
            if most > SAME or worst > AT_MOST:
                where = f"{group.machine}/families/{family.name}/{group.name}"
                yield f"{where}: a tenth of the times over {most:.1%} from the shipped curve's, the worst {worst:.1%}"


def _record(content: Content, group: Group) -> Mapping[str, Any]:
    families = content.get(group.machine, {}).get("families", {})
    record: Mapping[str, Any] = families.get(group.family.name, {}).get(group.name, {})
    return record


def _gaps(group: Group, records: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """How far two records' times for the rows of `group` lie apart: 90 % quantile and largest relative difference."""
    rows = sound(group.rows)
    one_s, other_s = (group.family.predict(rows, group.chip, from_record(record)) for record in records)
    gaps = np.abs(np.expm1(np.log(one_s / other_s)))
    return float(np.quantile(gaps, 0.9)), float(gaps.max())


def _bare(content: Any) -> Any:  # noqa: ANN401 (any JSON)
    if isinstance(content, Mapping):
        return {key: _bare(value) for key, value in content.items() if key not in LOOSE}
    return content
