"""What is measured: cases, and the laboratory that holds the modules and inputs they run on.

T tokens, D hidden.
"""

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from typing import TypeVar

import torch
from torch import Tensor, nn

from validation.measure.steady import Steady
from validation.measure.timing import Work
from workloads.layers.attention import MLA
from workloads.layers.experts import GroupedExperts
from workloads.layers.ffn import SwiGLU
from workloads.layers.lane import Lane
from workloads.layers.router import Router
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise
from workloads.model import ModelSpec

Module = TypeVar("Module", bound=nn.Module)
Read = TypeVar("Read")
Outcome = Mapping[str, int | float | str]

DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
COLD_BYTES = 1 << 27  # read between two uses of a weight: 2.5 times the L2 of an H100 (50 MB)
MOST_COPIES = 256
WEIGHT_STD = 0.02  # keeps activations near 1, far from numbers too small for a CPU's fast path


class NotHereError(Exception):
    """What a case needs is not on this machine; the message says what."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes that a suite sweeps, all counts but `copy_bytes`."""

    tokens: tuple[int, ...]
    batches: tuple[int, ...]
    contexts: tuple[int, ...]
    prompts: tuple[int, ...]
    tokens_per_expert: tuple[int, ...]
    copy_bytes: tuple[int, ...]
    message_bytes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to time: `make` prepares it and returns the work; the rest is what a row of the table says of it.

    Neighbours of the same `together`, unless it is empty, are timed by turns. `outcome` tells, after the timing and
    outside of it, what the row holds besides its time; between ranks it is called on all of them. `beside` makes a load
    that is kept going while the work is timed; the work alone is then timed by turns with it, for the outcome.
    """

    kernel: str
    op: str
    shape: Mapping[str, int | float | str]
    dtype: str
    make: Callable[[], Work]
    flops: float | None = None
    moved_bytes: float | None = None
    together: str = ""
    outcome: Callable[[], Outcome] = dict
    beside: Callable[[], Steady] | None = None


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A model's modules on one device in one type; each is made when first needed, then kept.

    Weights are the same on every rank, inputs differ by `rank`; both depend on nothing else, so that runs repeat.
    `whole`: the model with all its routed experts, of which `spec` has those that are held here.
    """

    spec: ModelSpec
    device: torch.device
    dtype: str
    sizes: Sizes
    rank: int = 0
    n_ranks: int = 1
    whole: ModelSpec | None = None

    @property
    def element_bytes(self) -> int:
        """Bytes of one number."""
        return DTYPES[self.dtype].itemsize

    @property
    def settings(self) -> LayerSettings:
        """The layers' constants."""
        return LayerSettings()

    def random(self, *shape: int) -> Tensor:
        """Return numbers from N(0, 1), the same for the same shape and rank."""
        generator = self._generator(seed=1 + self.rank)
        return torch.randn(shape, device=self.device, generator=generator).to(DTYPES[self.dtype])

    def place(self, make: Callable[[], Module]) -> Module:
        """Return the module that `make` builds, here, with random weights."""
        with self.device:
            module = make().to(DTYPES[self.dtype])
        initialise(module, WEIGHT_STD, self._generator(seed=0))
        return module.requires_grad_(requires_grad=False)

    def _generator(self, *, seed: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(seed)

    @cached_property
    def mla(self) -> MLA:
        """One attention."""
        return self.place(lambda: MLA(self.spec, self.settings))

    @cached_property
    def ffn(self) -> SwiGLU:
        """One dense FFN."""
        return self.place(lambda: SwiGLU(self.spec.hidden, self.spec.dense_ffn))

    @cached_property
    def router(self) -> Router:
        """The router over all experts of the model."""
        return self.place(lambda: Router(self.spec, self.settings))

    @cached_property
    def experts(self) -> GroupedExperts:
        """The experts that one rank holds."""
        return self.place(lambda: GroupedExperts(self.spec, self.n_ranks))

    @cached_property
    def lane(self) -> Lane:
        """A second lane of work beside the caller's; its thread ends with the program."""
        return Lane(self.device)


def cold(use: Callable[[Read], object], read: Read, n_bytes: float, copy: Callable[[Read], Read] = deepcopy) -> Work:
    """Return the work that `use` does with `read`, of which it reads `n_bytes`: copies are taken in turn, so that no
    cache still holds them, as between other layers."""
    n_copies = min(MOST_COPIES, max(1, math.ceil(COLD_BYTES / n_bytes)))
    copies = cycle([read, *(copy(read) for _ in range(n_copies - 1))])

    def work() -> object:
        return use(next(copies))

    return work


def with_own(part: str, module: Module) -> Module:
    """Return a copy of `module` that shares all weights with it but those of its submodule `part`."""
    own = {id(weight) for weight in module.get_submodule(part).parameters()}
    shared = {id(weight): weight for weight in module.parameters() if id(weight) not in own}
    return deepcopy(module, memo=shared)


def linear_case(lab: Lab, op: str, layer: Callable[[], nn.Module], *, m: int, n: int, k: int) -> Case:
    """Return the case of y[m, n] = x[m, k] W[n, k]^T by `layer()`, W read from memory as between other layers."""

    def make() -> Work:
        x_MK = lab.random(m, k)
        return cold(lambda linear: linear(x_MK), layer(), n * k * lab.element_bytes)

    moved = (m * k + n * k + m * n) * lab.element_bytes
    return Case(
        kernel="gemm", op=op, shape={"m": m, "n": n, "k": k}, dtype=lab.dtype, make=make,
        flops=2.0 * m * n * k, moved_bytes=float(moved),
    )  # fmt: skip
