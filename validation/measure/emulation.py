"""Cases of one rank of a large expert-parallel group, alone on one device: an emulation, not a run of that group.

Every other rank is taken to do what this one does, so that it receives as many rows as it sends, and the same numbers;
the bytes it would send to others are moved meanwhile by a carrier. N routed experts, R ranks, G experts held, M rows,
D hidden.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from validation.measure.carriers import Carry, asleep, at_once, by_copy_engines, by_sms
from validation.measure.case import Case, Lab, Outcome
from validation.measure.layers import Layer, Point, points, policies
from validation.measure.sm_copy import missing
from validation.measure.timing import Work
from workloads.layers.overlap import RunBlock

GROUPS = (8, 32, 128)  # ranks; those among which the model's experts cannot be shared evenly are left out
SM_COUNTS = (8, 24)
SLEEP_BYTES_PER_S = 1e9  # of the link that a thread on a CPU stands for


class StandIn:
    """An exchange (workloads/layers/exchange.py) of `n_ranks` alike: what is received are the rows that were sent."""

    def __init__(self, n_ranks: int, carry: Carry = at_once) -> None:
        self.n_ranks, self._carry = n_ranks, carry

    def share_loads(self, load_N: Tensor) -> Tensor:
        """Return `load_RG`: each rank sends here what this one sends there."""
        return load_N.view(self.n_ranks, -1)

    def send(self, rows_MD: Tensor, sent_R: list[int], _received_R: list[int]) -> "_Carried":
        """Start moving the bytes of the rows for other ranks; the first of `sent_R` stay."""
        n_bytes = (len(rows_MD) - sent_R[0]) * rows_MD.shape[1] * rows_MD.element_size()
        return _Carried(rows_MD, self._carry(n_bytes))


@dataclass(frozen=True)
class _Carried:
    rows_MD: Tensor
    arrive: Callable[[], object]

    def wait(self) -> Tensor:
        """Return the rows once their bytes have been moved."""
        self.arrive()
        return self.rows_MD


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """A way of carrying, made where it is first needed; `shape` says how."""

    name: str
    shape: Mapping[str, int]
    make: Callable[[], Carry]


def emulation_cases(lab: Lab, orders: Mapping[str, RunBlock]) -> Iterator[Case]:
    """Yield layers of one rank of every group of `GROUPS` over the suite's batches, by every carrier of this device,
    in all `orders` and with and without zero-computation experts, those of one batch by turns.

    The rank holds its share of all experts of the model, whatever `--experts` says.
    """
    whole = replace(lab, spec=lab.whole or lab.spec)
    for n_ranks in GROUPS:
        if whole.spec.moe.n_routed_experts % n_ranks == 0:
            layers = [
                Layer(lab=whole, zero=zero, exchange=StandIn(n_ranks)) for zero in policies(whole.spec)
            ]  # fmt: skip
            for carrier in carriers(lab):
                for point in points(lab.sizes):
                    yield from _turns(layers, n_ranks, carrier, point, orders)


def carriers(lab: Lab) -> list[Carrier]:
    """Return the carriers of this device: a sleeping thread on a CPU; the copy engines and a kernel on SMs on a GPU,
    the kernel in one case that says so where it cannot run."""
    if lab.device.type != "cuda":
        rate = int(SLEEP_BYTES_PER_S)
        return [Carrier(name="sleep", shape={"bytes_per_s": rate}, make=partial(asleep, rate))]
    counts = SM_COUNTS[:1] if missing(lab.device) else SM_COUNTS
    return [
        Carrier(name="pcie", shape={}, make=partial(by_copy_engines, lab.device)),
        *(Carrier(name="sm_copy", shape={"sms": n}, make=partial(by_sms, lab.device, n)) for n in counts),
    ]


def _turns(
    layers: list[Layer], n_ranks: int, carrier: Carrier, point: Point, orders: Mapping[str, RunBlock]
) -> Iterator[Case]:
    for layer in layers:
        for order, run in orders.items():
            yield Case(
                kernel="layer", op=f"scmoe_layer.emulation.{carrier.name}", dtype=layer.lab.dtype,
                shape={**point.shape, "ep": n_ranks, "order": order, "zero": layer.zero, **carrier.shape},
                make=partial(_work, layer, run, point, n_ranks, carrier), outcome=partial(_sent, layer, point),
                together=f"{n_ranks} {carrier.name} {carrier.shape} {point}",
            )  # fmt: skip


def _work(layer: Layer, run: RunBlock, point: Point, n_ranks: int, carrier: Carrier) -> Work:
    exchange, work = StandIn(n_ranks, carrier.make()), layer.work(run, point)

    def carried() -> object:
        layer.block.moe.exchange = exchange  # layers are shared by carriers: one rank's experts may be gigabytes
        return work()

    return carried


def _sent(layer: Layer, point: Point) -> Outcome:
    """Return `rows` sent, `most` rows computed (as many, on every rank), `active` experts of this rank with a row, and
    `sent_bytes` to other ranks, one way."""
    layer.block.moe.exchange = StandIn(layer.block.moe.exchange.n_ranks)
    before = layer.dispatched(point)
    n_rows = sum(before.sent_R)
    return {
        "rows": n_rows, "most": n_rows, "active": int((before.load_RG.sum(0) > 0).sum()),
        "sent_bytes": (n_rows - before.sent_R[0]) * layer.lab.spec.hidden * layer.lab.element_bytes,
    }  # fmt: skip
