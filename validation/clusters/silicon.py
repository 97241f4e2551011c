"""Silicon: published end-to-end latencies of MoE models under three serving backends, replayed and judged."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from validation.clusters.parts import Part, Row
from validation.clusters.silicon_predictions import Prediction, fitted_overheads, predictions
from validation.clusters.silicon_rows import TABLE, SiliconRow, aggregated_rows, left_out, read_table, repeat_floor

BARS: Mapping[str, float] = {"tpot_s": 0.12, "ttft_s": 0.25}  # of the median |error| over the judged rows
_WORDS = {"tpot_s": "TPOT", "ttft_s": "TTFT"}
_SOURCE = "measured/silicon_moe_e2e.csv (ai-dynamo/aiconfigurator @095f58a5, Apache-2.0)"
_FEW_USERS, _SOME_USERS = 8, 64
_VIEWS: Mapping[str, Callable[[SiliconRow], str]] = {
    "backend": lambda row: row.backend,
    "system": lambda row: row.system,
    "model": lambda row: row.model.partition("/")[2],
    "precision": lambda row: row.precision,
    "users": lambda row: _band(row.users),
    "GPUs": lambda row: str(row.n_gpus),
    "lengths": lambda row: f"{row.isl}/{row.osl}",
}


def silicon_part(data: Path) -> Part:
    """Return the errors of TPOT and TTFT: medians over the configurations that no overhead was fitted on, judged;
    and by backend, machine, model, users and lengths, shown."""
    table = read_table(data)
    rows = aggregated_rows(table)
    found = predictions(rows, fitted_overheads())
    return Part(rows=list(_figures(found)), notes=_notes(rows, found), skipped=[*left_out(table), *_without(found)])


def relative_errors(found: Sequence[Prediction], metric: str) -> list[float]:
    """Return predicted / measured − 1 of every prediction that there is."""
    return [
        getattr(p.latencies, metric) / getattr(p.row, metric) - 1.0 for p in found if p.latencies is not None
    ]  # fmt: skip


def _figures(found: Sequence[Prediction]) -> Iterator[Row]:
    plain = [p for p in found if p.latencies is not None and not p.row.speculation_unknown]
    unseen = [p for p in plain if not p.row.is_fitted]
    for metric, bar in BARS.items():
        yield from _pair("held-out rows", metric, unseen, tolerance=bar)
    for metric in BARS:
        yield from _pair("fitted rows", metric, [p for p in plain if p.row.is_fitted], fitted=True)
        unknown = [p for p in found if p.latencies is not None and p.row.speculation_unknown]
        yield from _pair("speculation not recorded", metric, unknown)
        for view, name_of in _VIEWS.items():
            for name in sorted({name_of(p.row) for p in unseen}):
                yield from _pair(f"{view} {name}", metric, [p for p in unseen if name_of(p.row) == name])


def _pair(
    name: str, metric: str, found: Sequence[Prediction], *, tolerance: float | None = None, fitted: bool = False
) -> Iterator[Row]:
    """Two figures of a set of rows: the median |error|, and the median of errors with their signs."""
    errors = relative_errors(found, metric)
    if not errors:
        return
    word, n = _WORDS[metric], len(errors)
    yield Row(id=f"{word} {name}, absolute", what=f"median |error| of {n} rows", source=_SOURCE, unit="of measured",
              predicted=1.0 + median(map(abs, errors)), reference=1.0, tolerance=tolerance, fitted=fitted)  # fmt: skip
    yield Row(id=f"{word} {name}, signed", what=f"median error of {n} rows", source=_SOURCE, unit="of measured",
              predicted=1.0 + median(errors), reference=1.0, fitted=fitted)  # fmt: skip


def _notes(rows: Sequence[SiliconRow], found: Sequence[Prediction]) -> list[str]:
    n_predicted = sum(p.latencies is not None for p in found)
    floors = {metric: repeat_floor(rows, metric) for metric in BARS}
    repeats = "; ".join(
        f"{_WORDS[metric]} of {n} points measured again differs by {middle:.1%} in the median, {high:.1%} at 90 %"
        for metric, (n, middle, high) in floors.items()
    )
    return [
        f"{n_predicted} of {len(rows)} aggregated rows of {TABLE} are predicted",
        "overheads of each backend and generation of GPUs were fitted on the configurations whose hash is even "
        "(published/clusters/silicon_overheads.toml); the others are judged",
        f"repeat floor: {repeats}",
        "kernels are those measured one by one (fitted.json, and served.json by backend: aiconfigurator's tables); "
        "prompts of grouped queries are rooflines, element-wise passes follow a published rule",
    ]


def _without(found: Sequence[Prediction]) -> list[tuple[str, str]]:
    reasons = Counter((p.row.model, p.reason) for p in found if p.latencies is None)
    return [(f"{n} rows of {model}", reason) for (model, reason), n in reasons.items()]


def _band(users: int) -> str:
    if users <= _FEW_USERS:
        return f"up to {_FEW_USERS}"
    return f"up to {_SOME_USERS}" if users <= _SOME_USERS else f"above {_SOME_USERS}"
