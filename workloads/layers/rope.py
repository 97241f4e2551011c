"""Rotary position embedding on interleaved pairs (x0, x1), (x2, x3), …

S new positions, P rope head dim.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Cosines and sines of the angles position * theta^(-2i/P), `cos_SI` and `sin_SI` of shape [S, P/2]."""

    cos_SI: Tensor
    sin_SI: Tensor

    @classmethod
    def at(cls, first: int, n_positions: int, rope_head_dim: int, theta: float, like: Tensor) -> Self:
        """Return the rotation of positions first … first + n_positions - 1, of the type and device of `like`."""
        wide = torch.promote_types(like.dtype, torch.float32)
        exponent_I = torch.arange(0, rope_head_dim, 2, dtype=wide, device=like.device) / rope_head_dim
        position_S = torch.arange(first, first + n_positions, dtype=wide, device=like.device)
        angle_SI = position_S[:, None] * (1.0 / theta**exponent_I)
        return cls(cos_SI=angle_SI.cos().to(like.dtype), sin_SI=angle_SI.sin().to(like.dtype))

    def rotate(self, x_SHP: Tensor) -> Tensor:
        """Return `x_SHP` [..., S, heads, P] with each pair turned by its position's angle."""
        cos_S1I, sin_S1I = self.cos_SI[:, None], self.sin_SI[:, None]
        even_SHI, odd_SHI = x_SHP[..., 0::2], x_SHP[..., 1::2]
        turned = (even_SHI * cos_S1I - odd_SHI * sin_S1I, odd_SHI * cos_S1I + even_SHI * sin_S1I)
        return torch.stack(turned, dim=-1).flatten(-2)
