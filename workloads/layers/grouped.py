"""Many experts' FFNs at once on rows sorted by expert, without a loop over experts.

M rows, D hidden, F width of an expert, G experts held; of one batched product: U experts, m rows, P padded rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workloads.layers.ffn import swiglu
from workloads.padding import cuts

ALIGNMENT = 8  # grouped_mm wants rows of whole 16-byte units: 8 numbers of bfloat16


def grouped_ffn(rows_MD: Tensor, load_G: Tensor, gate_up_GFD: Tensor, down_GDF: Tensor) -> Tensor:
    """Return each row's expert output [M, D] for `rows_MD` sorted by expert, `load_G` rows for each.

    No rows are a product all the same: a rank without work still takes part in the backward pass, with zeros.
    """
    if len(rows_MD) == 0:
        return swiglu(rows_MD @ gate_up_GFD[0].T) @ down_GDF[0].T
    product = grouped_native if can_use_grouped_mm(rows_MD, down_GDF.shape[2]) else grouped_padded
    return product(rows_MD, load_G, gate_up_GFD, down_GDF)


def can_use_grouped_mm(rows_MD: Tensor, width: int) -> bool:
    """Whether torch has a grouped kernel for these rows: bfloat16 on CUDA, aligned sizes, a recent torch.

    Its CPU version is not used: one small product per expert, each with its own team of threads, falls behind where
    cores are shared; it has no float64, and torch's FLOP counter does not see it.
    """
    is_aligned = rows_MD.shape[1] % ALIGNMENT == 0 and width % ALIGNMENT == 0
    return rows_MD.is_cuda and rows_MD.dtype == torch.bfloat16 and is_aligned and hasattr(functional, "grouped_mm")


def grouped_native(rows_MD: Tensor, load_G: Tensor, gate_up_GFD: Tensor, down_GDF: Tensor) -> Tensor:
    """Return each row's expert output [M, D] by torch's grouped matrix product."""
    end_G = load_G.cumsum(0).to(device=rows_MD.device, dtype=torch.int32)
    inner_MF = swiglu(functional.grouped_mm(rows_MD, gate_up_GFD.transpose(1, 2), offs=end_G))
    return functional.grouped_mm(inner_MF, down_GDF.transpose(1, 2), offs=end_G)


def grouped_padded(rows_MD: Tensor, load_G: Tensor, gate_up_GFD: Tensor, down_GDF: Tensor) -> Tensor:
    """Return each row's expert output [M, D] by a few batched products over padded rows, on any device and type."""
    device, parts = rows_MD.device, list(rounds(load_G.to("cpu")))
    done_MD: list[Tensor] = []
    for part in parts:
        row_m, slot_m = part.row_m.to(device), part.slot_m.to(device)
        gate_up_UFD, down_UDF = gate_up_GFD[part.experts], down_GDF[part.experts]
        taken_mD = rows_MD if len(parts) == 1 else rows_MD[row_m]
        padded_PD = taken_mD
        if part.n_padded > len(row_m):
            padded_PD = rows_MD.new_zeros(part.n_padded, rows_MD.shape[1]).index_copy(0, slot_m, taken_mD)
        inner_UPF = swiglu(torch.bmm(padded_PD.view(-1, part.height, rows_MD.shape[1]), gate_up_UFD.transpose(1, 2)))
        out_PD = torch.bmm(inner_UPF, down_UDF.transpose(1, 2)).flatten(0, 1)
        done_MD.append(out_PD[slot_m] if part.n_padded > len(row_m) else out_PD)
    if len(parts) == 1:
        return done_MD[0]
    place_M = torch.cat([part.row_m for part in parts]).argsort()
    return torch.cat(done_MD)[place_M.to(device)]


@dataclass(frozen=True, kw_only=True)
class Round:
    """One batched product: `height` rows for each of `experts_U`, ascending; row `row_m[i]` fills `slot_m[i]`."""

    experts_U: Tensor
    height: int
    row_m: Tensor
    slot_m: Tensor

    @property
    def experts(self) -> Tensor | slice:
        """The experts as an index: neighbours as a slice, so that their weights need no copy."""
        first, last = int(self.experts_U[0]), int(self.experts_U[-1])
        return slice(first, last + 1) if last - first + 1 == len(self.experts_U) else self.experts_U

    @property
    def n_padded(self) -> int:
        """Rows of the product, padding included."""
        return len(self.experts_U) * self.height


def rounds(load_G: Tensor) -> Iterator[Round]:
    """Yield the products that cover `load_G` rows per expert (on the CPU), as `workloads.padding.cuts` makes them."""
    expert_M = torch.arange(len(load_G)).repeat_interleave(load_G)
    place_M = torch.arange(len(expert_M)) - (load_G.cumsum(0) - load_G)[expert_M]
    done = 0
    for experts_array_U, height in cuts(load_G.numpy()):
        experts_U = torch.from_numpy(experts_array_U)
        row_m = ((place_M >= done) & (place_M < done + height)).nonzero().flatten()
        rank_G = torch.zeros_like(load_G).index_copy(0, experts_U, torch.arange(len(experts_U)))
        slot_m = rank_G[expert_M[row_m]] * height + place_M[row_m] - done
        yield Round(experts_U=experts_U, height=height, row_m=row_m, slot_m=slot_m)
        done += height
