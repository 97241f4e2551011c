"""The suites: which cases each one measures, at which sizes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from hw_profiles.faults import Fault, InputFaults
from validation.measure.attention import attention_cases
from validation.measure.case import Case, Lab, Sizes
from validation.measure.collectives import collective_cases
from validation.measure.deepep import deepep_cases
from validation.measure.emulation import emulation_cases
from validation.measure.feed_forward import feed_forward_cases
from validation.measure.fp8 import fp8_cases, has_fp8
from validation.measure.interference import interference_cases
from validation.measure.layers import layer_cases
from validation.measure.ranks import Ranks
from validation.measure.small import small_cases
from workloads.layers.all_to_all import AllToAllExchange
from workloads.layers.overlap import RunBlock, in_turn, single_batch_overlap, two_streams

QUICK = Sizes(
    tokens=(8, 64, 256), batches=(4, 16), contexts=(256, 1024), prompts=(64, 128, 256), tokens_per_expert=(2, 16),
    copy_bytes=(1 << 16, 1 << 20, 1 << 25), message_bytes=(1 << 10, 1 << 16, 1 << 22),
)  # fmt: skip
FULL_CPU = Sizes(
    tokens=(1, 4, 16, 64, 128, 256, 512), batches=(1, 4, 16, 32), contexts=(128, 512, 2048), prompts=(64, 256, 512),
    tokens_per_expert=(1, 4, 16, 32), copy_bytes=tuple(1 << n for n in range(12, 28, 3)),
    message_bytes=tuple(1 << n for n in range(10, 25, 2)),
)  # fmt: skip
FULL_CUDA = Sizes(
    tokens=(1, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192), batches=(1, 8, 32, 64, 128, 256),
    contexts=(512, 2048, 5000, 16384), prompts=(512, 2048, 4096, 8192), tokens_per_expert=(1, 4, 16, 64, 256, 1024),
    copy_bytes=tuple(1 << n for n in range(12, 31, 2)), message_bytes=tuple(1 << n for n in range(12, 29, 2)),
)  # fmt: skip
LAYERS_CPU = replace(QUICK, batches=(2, 8, 24, 48), contexts=(192, 768), prompts=(96, 384))  # not the kernels' points
LAYERS_CUDA = replace(FULL_CUDA, batches=(4, 24, 48, 96, 192), contexts=(1024, 6000), prompts=(768, 3072))

INTERFERENCE_CPU = replace(QUICK, tokens=(16, 256), copy_bytes=(1 << 20, 1 << 26), message_bytes=(1 << 16, 1 << 22))
INTERFERENCE_CUDA = replace(
    FULL_CUDA, tokens=(64, 4096), copy_bytes=(1 << 26, 1 << 28), message_bytes=(1 << 22, 1 << 26)
)  # fmt: skip
EMULATION_CPU = replace(QUICK, batches=(16, 64), contexts=(192,), prompts=(96,))
EMULATION_CUDA = replace(FULL_CUDA, batches=(32, 128), contexts=(4096,), prompts=(2048,))


def sizes_of(suite: str, device_type: str) -> Sizes:
    """Return the sizes that `suite` sweeps on a device of `device_type`."""
    if suite == "quick":
        return QUICK
    if suite in {"layers", "overlap"}:
        return LAYERS_CUDA if device_type == "cuda" else LAYERS_CPU
    if suite == "interference":
        return INTERFERENCE_CUDA if device_type == "cuda" else INTERFERENCE_CPU
    if suite == "emulation":
        return EMULATION_CUDA if device_type == "cuda" else EMULATION_CPU
    return FULL_CUDA if device_type == "cuda" else FULL_CPU


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
    orders = _orders(lab)
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
    yield from emulation_cases(lab, _orders(lab))


def _orders(lab: Lab) -> Mapping[str, RunBlock]:
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


SUITES: Mapping[str, Callable[[Lab, Ranks], Iterator[Case]]] = {
    "quick": _quick,
    "full": _kernels,
    "layers": _layers,
    "overlap": _overlap,
    "collectives": _collectives,
    "interference": interference_cases,
    "emulation": _emulation,
    "deepep": deepep_cases,
}
