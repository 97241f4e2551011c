"""Which ranks and which stretch of time a timeline figure shows first."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class ShownRank:
    """A rank class of the figure: `label`: hottest, median, coldest; `device`, `rank`, `n_alike` as in the timeline."""

    label: str
    device: int
    rank: int
    n_alike: int


def shown_ranks(timeline: pd.DataFrame) -> list[ShownRank]:
    """The hottest, the median and the coldest rank by busy time (op times without their waits), each class once.

    The median counts every rank, not every class. With one class it is simply "every rank".
    """
    classes = _busy_by_class(timeline)
    if len(classes) == 1:
        return [_shown("every rank", classes.iloc[0])]
    ranks_so_far = classes["n_alike"].cumsum()
    median = int((ranks_so_far >= ranks_so_far.iloc[-1] / 2).to_numpy().argmax())
    labels = {0: "hottest", len(classes) - 1: "coldest"}
    chosen = {0: "hottest", median: labels.get(median, "median"), len(classes) - 1: "coldest"}
    return [_shown(label, classes.iloc[position]) for position, label in chosen.items()]


def _busy_by_class(timeline: pd.DataFrame) -> pd.DataFrame:
    busy_s = timeline["end_s"] - timeline["start_s"] - timeline["wait_s"]
    classes = timeline.assign(busy_s=busy_s).groupby("rank", as_index=False)
    totals = classes.agg(device=("device", "first"), n_alike=("n_alike", "first"), busy_s=("busy_s", "sum"))
    return totals.sort_values(["busy_s", "rank"], ascending=[False, True], ignore_index=True)


def _shown(label: str, row: "pd.Series[float]") -> ShownRank:
    return ShownRank(label=label, device=int(row["device"]), rank=int(row["rank"]), n_alike=int(row["n_alike"]))


def middle_window(timeline: pd.DataFrame, n_layers: int) -> tuple[float, float]:
    """First start and last end [s] of the `n_layers` layers in the middle; the whole step where there are no layers."""
    layers = sorted(set(timeline.loc[timeline["layer"] >= 0, "layer"]))
    first = max(0, (len(layers) - n_layers + 1) // 2)
    chosen = layers[first : first + n_layers]
    shown = timeline[timeline["layer"].isin(chosen)] if chosen else timeline
    return float(shown["start_s"].min()), float(shown["end_s"].max())
