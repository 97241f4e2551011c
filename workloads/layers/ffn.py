"""The dense SwiGLU feed-forward network.

D hidden, F width of the FFN, T tokens.
"""

from torch import Tensor, nn
from torch.nn import functional

from workloads.layers.checks import check_hidden


def swiglu(gate_up_F: Tensor) -> Tensor:
    """Return silu(gate) * up [..., F] of `gate_up_F` [..., 2F]."""
    gate_F, up_F = gate_up_F.chunk(2, dim=-1)
    return functional.silu(gate_F) * up_F


class SwiGLU(nn.Module):
    """W_down (silu(W_gate x) * W_up x); the first two products are one, `gate_up`."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gate_up = nn.Linear(hidden, 2 * width, bias=False)
        self.down = nn.Linear(width, hidden, bias=False)

    def forward(self, x_D: Tensor) -> Tensor:
        """Return [..., D] for `x_D` [..., D]."""
        check_hidden("FFN input", x_D, self.gate_up.weight, self.hidden)
        out_D: Tensor = self.down(swiglu(self.gate_up(x_D)))
        return out_D
