"""One shortcut-connected MoE (ScMoE) layer: two attentions, two dense FFNs, one MoE beside them.

B sequences, S new positions, D hidden.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from workloads.layers.attention import MLA
from workloads.layers.cache import LatentCache
from workloads.layers.checks import check_scmoe
from workloads.layers.exchange import Exchange
from workloads.layers.ffn import SwiGLU
from workloads.layers.moe import MoE
from workloads.layers.norm import RMSNorm
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.model import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where a forward pass stands: the rotation of its positions, and the cache of those before, if any."""

    rotation: Rotation
    cache: LatentCache | None = None


class ScMoEBlock(nn.Module):
    """LongCat-Flash's layer (report, section 2; released modeling code), `number` of its model.

    `shortcut` names the state that the MoE reads, normalised by the norm that already stands there: 3 the input of the
    layer, 2 the state after the first attention (LongCat), 1 the state after the first FFN, None the state after the
    second attention, a conventional MoE (ScMoE paper, section 4; 1 to 3 are its positions).
    """

    def __init__(
        self, spec: ModelSpec, settings: LayerSettings, number: int = 0, exchange: Exchange | None = None
    ) -> None:
        super().__init__()
        check_scmoe(spec)
        self.shortcut = settings.shortcut
        hidden, eps = spec.hidden, settings.norm_eps
        self.attention_norm_0, self.attention_norm_1 = RMSNorm(hidden, eps), RMSNorm(hidden, eps)
        self.attention_0, self.attention_1 = MLA(spec, settings, 2 * number), MLA(spec, settings, 2 * number + 1)
        self.ffn_norm_0, self.ffn_norm_1 = RMSNorm(hidden, eps), RMSNorm(hidden, eps)
        self.ffn_0, self.ffn_1 = SwiGLU(hidden, spec.dense_ffn), SwiGLU(hidden, spec.dense_ffn)
        self.moe = MoE(spec, settings, exchange)

    def forward(self, x_BSD: Tensor, at: Context) -> Tensor:
        """Return the layer's output [B, S, D], everything in turn."""
        n0_BSD = self.attention_norm_0(x_BSD)
        h1_BSD = x_BSD + self.attention_0(n0_BSD, at.rotation, at.cache)
        u0_BSD = self.ffn_norm_0(h1_BSD)
        h2_BSD = h1_BSD + self.ffn_0(u0_BSD)
        n1_BSD = self.attention_norm_1(h2_BSD)
        h3_BSD = h2_BSD + self.attention_1(n1_BSD, at.rotation, at.cache)
        u1_BSD = self.ffn_norm_1(h3_BSD)
        m_BSD = self.moe({3: n0_BSD, 2: u0_BSD, 1: n1_BSD, None: u1_BSD}[self.shortcut])
        out_BSD: Tensor = h3_BSD + self.ffn_1(u1_BSD) + m_BSD
        return out_BSD
