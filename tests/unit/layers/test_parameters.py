"""Weights of the modules at full size, counted on the meta device, against the published arithmetic."""

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from unit.layers.tiny import longcat_flash_spec

from workloads.layers.language_model import LanguageModel
from workloads.layers.mtp import MtpHead
from workloads.layers.settings import LayerSettings
from workloads.zoo import count_parameters, longcat_flash

H, L = 6144, 28  # hidden size, layers; longcat.md 1.1
MLA = H * 1536 + 1536 * 64 * 192 + H * (512 + 64) + 512 * 64 * (128 + 128) + 64 * 128 * H + (1536 + 512)
FFN, EXPERT, ROUTER, VOCABULARY = 3 * H * 12288, 3 * H * 2048, 768 * H + 768, 131072 * H
LAYER = 2 * MLA + 2 * FFN + ROUTER + 4 * H + 512 * EXPERT
PUBLISHED_TOTAL_B = 560.665
PUBLISHED_ACTIVE_B = {0: 18.694, 8: 27.150, 12: 31.377}


def n_parameters(module):
    """Everything that a checkpoint stores: parameters and the correction bias."""
    return sum(weight.numel() for weight in module.state_dict().values())


@pytest.fixture(scope="module")
def model():
    with torch.device("meta"):
        return LanguageModel(longcat_flash_spec(), LayerSettings())


@pytest.mark.parametrize(
    ("part", "expected"),
    [("attention_0", MLA), ("attention_1", MLA), ("ffn_0", FFN), ("ffn_1", FFN), ("moe.router", ROUTER),
     ("moe.experts", 512 * EXPERT), ("", LAYER)],
)  # fmt: skip
def test_each_part_of_a_layer_has_its_weights(model, part, expected):
    assert n_parameters(model.layers[0].get_submodule(part)) == expected


def test_a_layer_without_experts_has_638_874_368_weights(model):
    block = model.layers[0]
    assert n_parameters(block) - n_parameters(block.moe.experts) == 638_874_368


def test_the_model_has_560_665_billion_weights(model):
    assert n_parameters(model) == L * LAYER + 2 * VOCABULARY + H
    assert round(n_parameters(model) / 1e9, 3) == PUBLISHED_TOTAL_B


def test_the_spec_counts_the_modules_weights_to_the_last_one(model):
    assert count_parameters(longcat_flash()).total == n_parameters(model)
    with torch.device("meta"):
        head = MtpHead(longcat_flash(), LayerSettings())
    assert count_parameters(longcat_flash()).mtp == n_parameters(head)


@pytest.mark.parametrize("ffn_experts", PUBLISHED_ACTIVE_B)
def test_a_token_activates_the_published_number(model, ffn_experts):
    """All but the input lookup and the experts it does not choose (longcat.md 1.2)."""
    experts = sum(n_parameters(block.moe.experts) for block in model.layers)
    active = n_parameters(model) - n_parameters(model.embed) - experts + L * ffn_experts * EXPERT
    assert round(active / 1e9, 3) == PUBLISHED_ACTIVE_B[ffn_experts]


def test_the_mtp_head_has_0_3926_billion_weights():
    with torch.device("meta"):
        head = MtpHead(longcat_flash_spec(), LayerSettings())
    assert n_parameters(head) == MLA + FFN + 2 * H * H + 5 * H
    assert round(n_parameters(head) / 1e9, 4) == 0.3926
