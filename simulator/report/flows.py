"""Flows: which sending op each receiving op of an all-to-all waits for."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import pandas as pd

_FLOW_KINDS = ("dispatch", "combine")
_SENDING_PHASES = ("issue", "send")
_RECEIVING_PHASES = ("receive",)
_TAKER = {"dispatch": "experts", "combine": "residual"}  # what takes up an exchange that is a single op


@dataclass(frozen=True, kw_only=True)
class Flow:
    """An arrow from row `sender` to row `receiver` of a timeline (labels of its index)."""

    name: str
    sender: Hashable
    receiver: Hashable


def flows(timeline: pd.DataFrame) -> Iterator[Flow]:
    """Yield per layer, kind and part of the batch one flow to each rank class, from the sender all others wait for.

    That sender is the one whose sending op ends last, the lowest rank among equals. Ops are named `kind.phase@part`;
    where an exchange is a single op, its flow goes to the first op that takes it up on each rank (experts, the merge).
    """
    names = [str(op).partition("@") for op in timeline["op"]]
    phase = pd.Series([name.rpartition(".")[2] for name, _, _ in names], index=timeline.index, dtype=object)
    part = pd.Series([suffix for _, _, suffix in names], index=timeline.index, dtype=object)
    takers = {
        key: rows.sort_values("start_s").drop_duplicates("rank")
        for key, rows in _by_part(timeline[timeline["kind"].isin(_TAKER.values())], part)
    }
    for (layer, kind, half), exchange in _by_part(timeline[timeline["kind"].isin(_FLOW_KINDS)], part):
        receivers = _rows_in_phase(exchange, phase[exchange.index], _RECEIVING_PHASES)
        if receivers is exchange and exchange["rank"].is_unique:
            receivers = takers.get((layer, _TAKER[str(kind)], half), exchange)
        yield from _flows_of_exchange(str(kind), exchange, phase[exchange.index], receivers)


def _by_part(rows: pd.DataFrame, part: pd.Series) -> Iterator[tuple[tuple[Hashable, ...], pd.DataFrame]]:
    """Yield (layer, kind, part of the batch) and its rows."""
    here = part[rows.index]
    for key, group in rows.groupby([rows["layer"], rows["kind"].astype(str), here], sort=True):
        yield tuple(key), group


def _flows_of_exchange(kind: str, exchange: pd.DataFrame, phase: pd.Series, receivers: pd.DataFrame) -> Iterator[Flow]:
    senders = _rows_in_phase(exchange, phase, _SENDING_PHASES)
    sender = senders.sort_values(["end_s", "rank"], ascending=[False, True]).index[0]
    for receiver in receivers.drop_duplicates("rank", keep="last").index:
        if receiver != sender:
            yield Flow(name=kind, sender=sender, receiver=receiver)


def _rows_in_phase(exchange: pd.DataFrame, phase: pd.Series, wanted: tuple[str, ...]) -> pd.DataFrame:
    rows = exchange[phase.isin(wanted)]
    return rows if len(rows) else exchange
