"""Many experts' FFNs at once on rows sorted by expert, without a loop over experts.

M rows, D hidden, F width of an expert, G experts held, U experts in one batched product, M' padded rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workloads.layers.ffn import swiglu

ALIGNMENT = 8  # grouped_mm wants rows of whole 16-byte units: 8 numbers of bfloat16


def can_use_grouped_mm(rows_MD: Tensor, width: int) -> bool:
    """Whether torch has a grouped kernel for these rows: bfloat16 on CUDA, aligned sizes, torch >= 2.10."""
    is_aligned = rows_MD.shape[1] % ALIGNMENT == 0 and width % ALIGNMENT == 0
    return rows_MD.is_cuda and rows_MD.dtype == torch.bfloat16 and is_aligned and hasattr(functional, "grouped_mm")


def grouped_native(rows_MD: Tensor, load_G: Tensor, gate_up_GFD: Tensor, down_GDF: Tensor) -> Tensor:
    """Return each row's expert output [M, D] by torch's grouped matrix product."""
    end_G = load_G.cumsum(0).to(device=rows_MD.device, dtype=torch.int32)
    inner_MF = swiglu(functional.grouped_mm(rows_MD, gate_up_GFD.transpose(1, 2), offs=end_G))
    return functional.grouped_mm(inner_MF, down_GDF.transpose(1, 2), offs=end_G)


def grouped_padded(rows_MD: Tensor, load_G: Tensor, gate_up_GFD: Tensor, down_GDF: Tensor) -> Tensor:
    """Return each row's expert output [M, D] by a few batched products over padded rows, on any device and type."""
    padded_UPD: list[Tensor] = []
    slot_M = torch.empty(len(rows_MD), dtype=torch.int64)
    n_padded = 0
    for part in rounds(load_G.to("cpu")):
        experts_U, row_m = part.experts_U.to(rows_MD.device), part.row_m.to(rows_MD.device)
        gate_up_UFD, down_UDF = (w if part.is_all else w[experts_U] for w in (gate_up_GFD, down_GDF))
        padded_PD = rows_MD.new_zeros(part.n_padded, rows_MD.shape[1])
        padded_PD = padded_PD.index_copy(0, part.slot_m.to(rows_MD.device), rows_MD[row_m])
        inner_UPF = swiglu(torch.bmm(padded_PD.view(-1, part.height, rows_MD.shape[1]), gate_up_UFD.transpose(1, 2)))
        padded_UPD.append(torch.bmm(inner_UPF, down_UDF.transpose(1, 2)).flatten(0, 1))
        slot_M[part.row_m] = part.slot_m + n_padded
        n_padded += part.n_padded
    return torch.cat([*padded_UPD, rows_MD[:0]])[slot_M.to(rows_MD.device)]


@dataclass(frozen=True, kw_only=True)
class Round:
    """One batched product: `height` rows for each expert of `experts_U`; row `row_m[i]` sits in padded `slot_m[i]`.

    `is_all`: the experts are all there are, in order, so that their weights need no copy.
    """

    experts_U: Tensor
    is_all: bool
    height: int
    row_m: Tensor
    slot_m: Tensor

    @property
    def n_padded(self) -> int:
        """Rows of the product, padding included."""
        return len(self.experts_U) * self.height


def rounds(load_G: Tensor) -> Iterator[Round]:
    """Yield the products that cover `load_G` rows per expert (on the CPU).

    Every round gives its experts up to twice their mean load and leaves the rest of the heaviest to the next, so each
    halves the experts at least and pads by a bounded factor. Idle experts are left out of the first round only where
    they are the majority: leaving them out copies the weights of the others, which costs more than their padding.
    """
    expert_M = torch.arange(len(load_G)).repeat_interleave(load_G)
    place_M = torch.arange(len(expert_M)) - (load_G.cumsum(0) - load_G)[expert_M]
    done = 0
    while (left_G := (load_G - done).clamp(min=0)).any():
        experts_U = left_G.nonzero().flatten()
        is_all = done == 0 and 2 * len(experts_U) > len(load_G)
        if is_all:
            experts_U = torch.arange(len(load_G))
        mean = -(-int(left_G.sum()) // len(experts_U))
        height = min(int(left_G.max()), 2 * mean)
        row_m = ((place_M >= done) & (place_M < done + height)).nonzero().flatten()
        rank_G = torch.zeros_like(load_G).index_copy(0, experts_U, torch.arange(len(experts_U)))
        slot_m = rank_G[expert_M[row_m]] * height + place_M[row_m] - done
        yield Round(experts_U=experts_U, is_all=is_all, height=height, row_m=row_m, slot_m=slot_m)
        done += height
