"""Whole layers as named segments of work, for schedules to place."""

from collections.abc import Sequence
from dataclasses import dataclass

from workloads.lowering.attention import AttentionBlock
from workloads.lowering.ffn import FfnBlock
from workloads.lowering.moe import MoeBlock
from workloads.model import Shortcut
from workloads.ops import Work


@dataclass(frozen=True, kw_only=True)
class ScmoeLayer:
    """Two attentions, two dense FFNs and one MoE that reads what its `shortcut` names (2: the state after the first
    attention; see `ModelSpec`) and is added at the end."""

    index: int
    suffix: str
    attention_0: AttentionBlock
    post_norm_0: Work
    ffn_0: FfnBlock
    attention_1: AttentionBlock
    post_norm_1: Work
    ffn_1: FfnBlock
    moe: MoeBlock
    merge: Work
    shortcut: Shortcut = 2


@dataclass(frozen=True, kw_only=True)
class MoeLayer:
    """One attention and one MoE with its shared experts."""

    index: int
    suffix: str
    attention: AttentionBlock
    post_norm: Work
    moe: MoeBlock
    shared: Sequence[Work]
    merge: Work


@dataclass(frozen=True, kw_only=True)
class DenseLayer:
    """One attention and one dense FFN."""

    index: int
    suffix: str
    attention: AttentionBlock
    post_norm: Work
    ffn: FfnBlock


Layer = ScmoeLayer | MoeLayer | DenseLayer
