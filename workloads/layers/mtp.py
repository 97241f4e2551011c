"""The multi-token-prediction (MTP) head: one dense layer that drafts the token after next.

B sequences, S positions, D hidden.
"""

import torch
from torch import Tensor, nn

from workloads.layers.attention import MLA
from workloads.layers.block import Context
from workloads.layers.ffn import SwiGLU
from workloads.layers.norm import RMSNorm
from workloads.layers.settings import LayerSettings
from workloads.model import ModelSpec


class MtpHead(nn.Module):
    """norm(h + FFN(norm(h))) with h = x + MLA(norm(x)), x = W [norm(embedding), norm(hidden)] (report, 2.4; SGLang's
    longcat_flash_nextn). Embedding and LM head are the model's own; `number` of the head, from 0."""

    def __init__(self, spec: ModelSpec, settings: LayerSettings, number: int = 0) -> None:
        super().__init__()
        if spec.mtp is None or spec.mtp.ffn != "dense":
            raise ValueError(f"mtp: got {spec.mtp} in {spec.name}; allowed MtpSpec(ffn='dense'), LongCat's draft head")
        width, eps = spec.hidden, settings.norm_eps
        self.embedding_norm, self.hidden_norm = RMSNorm(width, eps), RMSNorm(width, eps)
        self.join = nn.Linear(2 * width, width, bias=False)
        self.attention_norm = RMSNorm(width, eps)
        self.attention = MLA(spec, settings, spec.n_attentions + number)
        self.ffn_norm = RMSNorm(width, eps)
        self.ffn = SwiGLU(width, spec.dense_ffn)
        self.norm = RMSNorm(width, eps)

    def forward(self, hidden_BSD: Tensor, next_embedding_BSD: Tensor, at: Context) -> Tensor:
        """Return the normalised state [B, S, D] for the LM head, from the body's `hidden_BSD` (before its final norm)
        and the embeddings of the tokens one position on."""
        both_BSD = torch.cat([self.embedding_norm(next_embedding_BSD), self.hidden_norm(hidden_BSD)], dim=-1)
        x_BSD = self.join(both_BSD)
        h_BSD = x_BSD + self.attention(self.attention_norm(x_BSD), at.rotation, at.cache)
        out_BSD: Tensor = self.norm(h_BSD + self.ffn(self.ffn_norm(h_BSD)))
        return out_BSD
