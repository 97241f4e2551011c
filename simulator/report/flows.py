"""Flows: which sending op each receiving op of an all-to-all waits for."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import pandas as pd

_FLOW_KINDS = ("dispatch", "combine")
_SENDING_PHASES = ("issue", "send")
_RECEIVING_PHASES = ("receive",)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """An arrow from row `sender` to row `receiver` of a timeline (labels of its index)."""

    name: str
    sender: Hashable
    receiver: Hashable


def flows(timeline: pd.DataFrame) -> Iterator[Flow]:
    """Yield per layer, kind and part of the batch one flow to each rank class, from the sender all others wait for.

    That sender is the one whose sending op ends last, the lowest rank among equals. Ops are named `kind.phase@part`;
    an op without phase both sends and receives and gets no flow from itself.
    """
    exchanges = timeline[timeline["kind"].isin(_FLOW_KINDS)]
    names = [str(op).partition("@") for op in exchanges["op"]]
    phase = pd.Series([name.rpartition(".")[2] for name, _, _ in names], index=exchanges.index, dtype=object)
    part = pd.Series([suffix for _, _, suffix in names], index=exchanges.index, dtype=object)
    for (_, kind, _), exchange in exchanges.groupby([exchanges["layer"], exchanges["kind"], part], sort=True):
        yield from _flows_of_exchange(str(kind), exchange, phase[exchange.index])


def _flows_of_exchange(kind: str, exchange: pd.DataFrame, phase: pd.Series) -> Iterator[Flow]:
    senders = _rows_in_phase(exchange, phase, _SENDING_PHASES)
    receivers = _rows_in_phase(exchange, phase, _RECEIVING_PHASES)
    sender = senders.sort_values(["end_s", "rank"], ascending=[False, True]).index[0]
    for receiver in receivers.drop_duplicates("rank", keep="last").index:
        if receiver != sender:
            yield Flow(name=kind, sender=sender, receiver=receiver)


def _rows_in_phase(exchange: pd.DataFrame, phase: pd.Series, wanted: tuple[str, ...]) -> pd.DataFrame:
    rows = exchange[phase.isin(wanted)]
    return rows if len(rows) else exchange
