"""The exchange between processes: asynchronous all-to-alls of `torch.distributed`, forward and backward.

M rows sent, M' rows received, D hidden, N routed experts, R ranks, G experts held by a rank.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from workloads.layers.lane import used_here


class AllToAllExchange:
    """All-to-alls of `torch.distributed` over `group` (default: all ranks): gloo on CPU, NCCL on CUDA.

    Payloads run beside what the caller does between `send` and `wait`; in the backward pass beside what it did there.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self.n_ranks = dist.get_world_size(group)

    def share_loads(self, load_N: Tensor) -> Tensor:
        """Return `load_RG`; a small all-to-all that the caller waits for."""
        load_RG = torch.empty_like(load_N.view(self.n_ranks, -1))
        dist.all_to_all_single(load_RG, load_N.view(self.n_ranks, -1), group=self.group)
        return load_RG

    def send(self, rows_MD: Tensor, sent_R: list[int], received_R: list[int]) -> "_RowsUnderWay":
        """Start the all-to-all and return its flight."""
        letter = _Letter(self.group, sent_R, received_R)
        return _RowsUnderWay(_Send.apply(rows_MD, letter), letter)  # type: ignore[no-untyped-call]


class _Letter:
    """One asynchronous all-to-all; keeps its buffers alive until it is collected."""

    def __init__(self, group: dist.ProcessGroup | None, sent_R: list[int], received_R: list[int]) -> None:
        self.group, self.sent_R, self.received_R = group, sent_R, received_R
        self._sent: Tensor | None = None
        self._received: Tensor | None = None
        self._work: dist.Work | None = None

    def issue(self, rows_MD: Tensor, sent_R: list[int], received_R: list[int]) -> Tensor:
        """Start sending `rows_MD`; return the buffer that will hold what arrives."""
        self._sent = rows_MD.contiguous()
        self._received = rows_MD.new_empty(sum(received_R), *rows_MD.shape[1:])
        splits = (received_R, sent_R)
        self._work = dist.all_to_all_single(self._received, self._sent, *splits, group=self.group, async_op=True)
        return self._received

    def collect(self) -> Tensor:
        """Return the buffer, filled."""
        assert self._work is not None and self._received is not None, "collected before issued"  # noqa: PT018
        self._work.wait()
        received, self._sent, self._received, self._work = self._received, None, None, None
        used_here(received)
        return received


class _Ctx(Protocol):
    """What autograd hands from forward to backward."""

    letter: _Letter


class _Send(torch.autograd.Function):
    """Forward issues; backward collects the gradient that `_Receive` issued."""

    @staticmethod
    def forward(ctx: _Ctx, rows_MD: Tensor, letter: _Letter) -> Tensor:
        """Return a ticket of the shape of `rows_MD`, without its data, that carries the gradient back."""
        ctx.letter = letter
        letter.issue(rows_MD, letter.sent_R, letter.received_R)
        return rows_MD.new_zeros(()).expand(rows_MD.shape)

    @staticmethod
    def backward(ctx: _Ctx, *_: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the rows sent."""
        return ctx.letter.collect(), None


class _Receive(torch.autograd.Function):
    """Forward collects; backward issues the reverse all-to-all, which runs beside the backward of what lay between."""

    @staticmethod
    def forward(ctx: _Ctx, ticket_MD: Tensor, letter: _Letter) -> Tensor:
        """Return the received rows [M', D]."""
        ctx.letter = letter
        return letter.collect()

    @staticmethod
    def backward(ctx: _Ctx, *grads: Tensor) -> tuple[Tensor, None]:
        """Return the buffer [M, D] that the gradient will arrive in; `_Send` is its only reader and waits for it."""
        return ctx.letter.issue(grads[0], ctx.letter.received_R, ctx.letter.sent_R), None


@dataclass(frozen=True)
class _RowsUnderWay:
    """The flight of an all-to-all."""

    ticket_MD: Tensor
    letter: _Letter

    def wait(self) -> Tensor:
        """Return the received rows; on CUDA the stream waits for them, not the host."""
        rows_MD: Tensor = _Receive.apply(self.ticket_MD, self.letter)  # type: ignore[no-untyped-call]
        return rows_MD
