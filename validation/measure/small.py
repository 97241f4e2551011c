"""Cases of what is neither attention nor FFN: norms, residuals, LM head, memory copies, launches.

T tokens, D hidden.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from validation.measure.case import Case, Lab, linear_case
from validation.measure.timing import Work
from workloads.layers.norm import RMSNorm

N_LAUNCHES = 100  # in one call, so that the host's part is not hidden by the clock's resolution


def small_cases(lab: Lab) -> Iterator[Case]:
    """Yield norms, residuals and the LM head over tokens, then copies over sizes, then launches."""
    for n_tokens in lab.sizes.tokens:
        yield from _over_tokens(lab, n_tokens)
    for n_bytes in lab.sizes.copy_bytes:
        yield from _copies(lab, n_bytes)
    yield from _launches(lab)


def _over_tokens(lab: Lab, n_tokens: int) -> Iterator[Case]:
    hidden, vocab = lab.spec.hidden, lab.spec.vocab
    moved = 2.0 * n_tokens * hidden * lab.element_bytes
    shape = {"tokens": n_tokens, "width": hidden}

    def make_norm() -> Work:
        return partial(lab.place(lambda: RMSNorm(hidden, lab.settings.norm_eps)), lab.random(n_tokens, hidden))

    def make_residual() -> Work:
        return partial(torch.add, lab.random(n_tokens, hidden), lab.random(n_tokens, hidden))

    def make_cast() -> Work:
        return lab.random(n_tokens, hidden).float

    def head() -> nn.Linear:
        return lab.place(lambda: nn.Linear(hidden, vocab, bias=False))

    yield Case(kernel="elementwise", op="norm", shape=shape, dtype=lab.dtype, make=make_norm, moved_bytes=moved)
    yield Case(
        kernel="elementwise", op="residual", shape=shape, dtype=lab.dtype, make=make_residual, moved_bytes=1.5 * moved
    )
    yield linear_case(lab, "lm_head", head, m=n_tokens, n=vocab, k=hidden)
    if lab.dtype != "fp32":  # what norms, router and weighted sums do before they compute
        wide_bytes = n_tokens * hidden * (lab.element_bytes + 4.0)
        yield Case(
            kernel="elementwise", op="cast", shape=shape, dtype=lab.dtype, make=make_cast, moved_bytes=wide_bytes
        )


def _copies(lab: Lab, n_bytes: int) -> Iterator[Case]:
    """On the device, and on CUDA from and to pinned memory of the host (one link crossed: bytes counted once)."""

    def buffer(*, on_host: bool) -> torch.Tensor:
        place = torch.device("cpu") if on_host else lab.device
        return torch.ones(n_bytes, dtype=torch.uint8, device=place, pin_memory=on_host)

    def make(*, from_host: bool, to_host: bool) -> Work:
        return partial(buffer(on_host=to_host).copy_, buffer(on_host=from_host), non_blocking=True)

    ways = {"copy": (False, False)}
    if lab.device.type == "cuda":
        ways |= {"copy.from_host": (True, False), "copy.to_host": (False, True)}
    for op, (from_host, to_host) in ways.items():
        yield Case(
            kernel="copy", op=op, shape={"bytes": n_bytes}, dtype="uint8",
            make=partial(make, from_host=from_host, to_host=to_host),
            moved_bytes=n_bytes * (1.0 if from_host or to_host else 2.0),
        )  # fmt: skip


def _launches(lab: Lab) -> Iterator[Case]:
    """The smallest op, `N_LAUNCHES` times: from Python one by one, and on CUDA as one captured graph."""

    def make_eager() -> Work:
        return _repeated(partial(torch.ones(1, device=lab.device).add_, 1.0))

    def make_captured() -> Work:
        work = make_eager()
        work()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        return graph.replay

    shape = {"launches": N_LAUNCHES}
    yield Case(kernel="launch", op="launch.eager", shape=shape, dtype="fp32", make=make_eager)
    if lab.device.type == "cuda":
        yield Case(kernel="launch", op="launch.graph", shape=shape, dtype="fp32", make=make_captured)


def _repeated(work: Callable[[], object]) -> Work:
    def run() -> None:
        for _ in range(N_LAUNCHES):
            work()

    return run
