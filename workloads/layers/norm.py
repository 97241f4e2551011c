"""Root-mean-square norm."""

import torch
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension, computed in at least float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x_D: Tensor) -> Tensor:
        """Return the normalised `x_D`, of its shape and type."""
        wide_D = x_D.to(torch.promote_types(x_D.dtype, torch.float32))
        normal_D = wide_D * torch.rsqrt(wide_D.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * normal_D.to(x_D.dtype)
