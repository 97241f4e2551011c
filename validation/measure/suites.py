"""The suites: which cases each one measures, at which sizes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from hw_profiles.faults import Fault, InputFaults
from validation.measure.attention import attention_cases
from validation.measure.case import Case, Lab
from validation.measure.collectives import collective_cases
from validation.measure.deepep import deepep_cases
from validation.measure.emulation import emulation_cases
from validation.measure.feed_forward import feed_forward_cases
from validation.measure.fp8 import fp8_cases, has_fp8
from validation.measure.interference import interference_cases
from validation.measure.layers import layer_cases, reference_cases
from validation.measure.ranks import Ranks
from validation.measure.sizes import LIVE_INTERFERENCE
from validation.measure.small import small_cases
from workloads.layers.all_to_all import AllToAllExchange
from workloads.layers.overlap import RunBlock, in_turn, single_batch_overlap, two_streams


def cases_of(suite: str, lab: Lab, ranks: Ranks) -> list[Case]:
    """Return the cases of `suite`; InputFaults where this model or this way of starting has none."""
    return list(SUITES[suite](lab, ranks))


def _kernels(lab: Lab, _ranks: Ranks) -> Iterator[Case]:
    cases = [*attention_cases(lab), *feed_forward_cases(lab), *small_cases(lab)]
    yield from cases
    if has_fp8(lab.device) and lab.dtype == "bf16":
        yield from fp8_cases(lab, cases)


def _layers(lab: Lab, _ranks: Ranks) -> Iterator[Case]:
    _check_scmoe(lab)
    yield from layer_cases(lab)


def _overlap(lab: Lab, ranks: Ranks) -> Iterator[Case]:
    """Whole layers in every order; between ranks with real all-to-alls, alone without communication.

    A GPU alone is also measured as one rank of a large group, whose transfers are emulated.
    """
    _check_scmoe(lab)
    orders = orders_of(lab)
    yield from layer_cases(lab, orders, AllToAllExchange() if ranks.n_ranks > 1 else None, ranks)
    if ranks.n_ranks == 1 and lab.device.type == "cuda":
        yield from emulation_cases(lab, orders)


def _emulation(lab: Lab, ranks: Ranks) -> Iterator[Case]:
    """One rank of a large group, its transfers emulated on this device; between processes there is nothing to do."""
    if ranks.n_ranks > 1:
        raise InputFaults(
            [Fault(field="--suite", got=f"'emulation' in {ranks.n_ranks} processes", allowed="one process",
                   remedy="start it without torchrun, or measure --suite overlap between these ranks")]
        )  # fmt: skip
    _check_scmoe(lab)
    yield from emulation_cases(lab, orders_of(lab))


def orders_of(lab: Lab) -> Mapping[str, RunBlock]:
    """Return the orders of a layer's parts by name."""
    return {"in_turn": in_turn, "sbo": single_batch_overlap, "two_stream": two_streams(lab.lane)}


def _check_scmoe(lab: Lab) -> None:
    if lab.spec.block != "scmoe":
        raise InputFaults(
            [Fault(field="--model", got=f"{lab.spec.name!r} of block {lab.spec.block!r}",
                   allowed="a model of block 'scmoe'", remedy="use --suite full for its kernels")]
        )  # fmt: skip


def _quick(lab: Lab, ranks: Ranks) -> Iterator[Case]:
    yield from _kernels(lab, ranks)
    if lab.spec.block == "scmoe":
        yield from layer_cases(lab)


def _collectives(lab: Lab, ranks: Ranks) -> Iterator[Case]:
    if ranks.n_ranks == 1:
        raise InputFaults(
            [Fault(field="--suite", got="'collectives' in one process", allowed="two ranks or more",
                   remedy="start it as: torchrun --nproc-per-node 2 -m validation.measure --suite collectives …")]
        )  # fmt: skip
    yield from collective_cases(lab, ranks)


def _live(lab: Lab, ranks: Ranks) -> Iterator[Case]:
    """What the layers of `live_layers` are made of: their kernels, all-to-alls, and products beside these."""
    yield from (case for case in _kernels(lab, ranks) if case.op != "lm_head")
    if ranks.n_ranks > 1:
        yield from (case for case in collective_cases(lab, ranks) if case.kernel == "all_to_all")
        beside = interference_cases(replace(lab, sizes=LIVE_INTERFERENCE), ranks)
        yield from (case for case in beside if "collective" in case.op)


def _live_layers(lab: Lab, ranks: Ranks) -> Iterator[Case]:
    """Whole layers in every order, and by turns with them a product whose time is known from `live`."""
    groups = [*_overlap(lab, ranks), *reference_cases(lab)]
    yield from sorted(groups, key=lambda case: case.together)  # stable: neighbours are timed by turns


SUITES: Mapping[str, Callable[[Lab, Ranks], Iterator[Case]]] = {
    "quick": _quick,
    "full": _kernels,
    "layers": _layers,
    "overlap": _overlap,
    "collectives": _collectives,
    "interference": interference_cases,
    "emulation": _emulation,
    "live": _live,
    "live_layers": _live_layers,
    "deepep": deepep_cases,
}
