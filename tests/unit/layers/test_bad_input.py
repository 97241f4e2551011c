"""Faults of input end in one line that says what to do."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from unit.layers.tiny import tiny_spec

from workloads.layers.block import Context, ScMoEBlock
from workloads.layers.exchange import LocalExchange
from workloads.layers.language_model import LanguageModel
from workloads.layers.moe import MoE
from workloads.layers.mtp import MtpHead
from workloads.layers.recorder import RoutingRecorder
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.model import GqaSpec, MtpSpec

SPEC, SETTINGS = tiny_spec(), LayerSettings()


def test_states_of_another_width():
    block = ScMoEBlock(SPEC, SETTINGS)
    at = Context(rotation=Rotation.at(0, 3, 8, 1e7, torch.zeros(1)))
    with pytest.raises(ValueError, match=r"attention input: got shape \(1, 3, 32\); allowed \[\.\.\., hidden=64\]"):
        ScMoEBlock(tiny_spec(hidden=64), SETTINGS).attention_0(torch.zeros(1, 3, 32), at.rotation)
    with pytest.raises(ValueError, match=r"FFN input: got shape \(2, 31\)"):
        block.ffn_0(torch.zeros(2, 31))
    with pytest.raises(ValueError, match=r"router input: got shape \(2, 31\)"):
        block.moe(torch.zeros(2, 31))


def test_mixed_dtypes():
    with pytest.raises(ValueError, match=r"expert rows: got torch.float64 for weights of torch.float32; cast one"):
        MoE(SPEC, SETTINGS)(torch.zeros(2, 32, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"FFN input: got torch.bfloat16 for weights of torch.float32"):
        ScMoEBlock(SPEC, SETTINGS).ffn_0(torch.zeros(2, 32, dtype=torch.bfloat16))


def test_ranks_that_do_not_divide_the_experts():
    exchange = LocalExchange()
    exchange.n_ranks = 3
    with pytest.raises(ValueError, match="ep=3 does not divide n_routed_experts=8; use one of 1, 2, 4, 8"):
        MoE(SPEC, SETTINGS, exchange)


def test_ids_that_are_no_tokens():
    model = LanguageModel(SPEC, SETTINGS)
    with pytest.raises(ValueError, match=r"ids: got torch.float32 \(1, 3\); allowed int64 or int32"):
        model(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"ids: got torch.int64 \(3,\)"):
        model(torch.zeros(3, dtype=torch.int64))


def test_models_of_another_kind():
    with pytest.raises(ValueError, match="block: got 'moe' in tiny"):
        ScMoEBlock(replace(SPEC, block="moe"), SETTINGS)
    with pytest.raises(ValueError, match="allowed an MlaSpec with q_lora_rank >= 1"):
        LanguageModel(replace(SPEC, attention=GqaSpec(n_heads=4, n_kv_heads=2, head_dim=8)), SETTINGS)
    with pytest.raises(ValueError, match="allowed an MlaSpec with q_lora_rank >= 1"):
        LanguageModel(tiny_spec(q_lora_rank=0), SETTINGS)
    with pytest.raises(ValueError, match=r"mtp: got MtpSpec\(n_layers=1, ffn='moe'\)"):
        MtpHead(replace(SPEC, mtp=MtpSpec(n_layers=1, ffn="moe")), SETTINGS)


def test_recording_where_nothing_is_routed():
    with pytest.raises(ValueError, match="got Linear without a Router"):
        RoutingRecorder(torch.nn.Linear(2, 2))


def test_a_model_whose_ffns_have_no_gate():
    with pytest.raises(ValueError, match="gated_ffn: got False in tiny; these layers have SwiGLU FFNs"):
        LanguageModel(replace(SPEC, gated_ffn=False), SETTINGS)
