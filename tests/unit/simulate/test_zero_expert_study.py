"""Zero-computation experts over policies and K_e, on the tiny model: top-3 of 8 FFN and 4 zero experts."""

import pytest

from hw_profiles.faults import InputFaults
from simulator.zero_experts import zero_expert_study


@pytest.fixture
def tiny_toml(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text('model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 16\nlayout = { ep = 8 }\n', encoding="utf-8")
    return str(path)


def test_policies_side_by_side(tiny_toml):
    table = zero_expert_study(tiny_toml, means=(1, 2)).set_index(["policy", "mean"])
    skip, remap0 = table.loc[("skip", 1.0)], table.loc[("remap0", 1.0)]
    assert remap0["load_imbalance"] == pytest.approx((3 / 8 + 2 - 2 / 8) / (3 / 8))  # two of three rows on expert 0
    assert remap0["hottest_rank"] == 0
    assert skip["load_imbalance"] == pytest.approx(1.0)
    assert skip["flops"] < table.loc[("skip", 2.0)]["flops"]
    assert len(table) == 6  # two policies with two means, none and k8 once
    assert (table["reason"] == "").all()


def test_a_spread_that_cannot_be_is_a_row_with_its_reason(tiny_toml):
    (row,) = zero_expert_study(tiny_toml, means=(2,), stds=(9,), policies=("skip",)).to_dict("records")
    assert row["reason"].startswith("routing.ffn_experts.std: got 9; allowed")


def test_other_faults_are_faults(tiny_toml):
    with pytest.raises(InputFaults, match="schedule"):
        zero_expert_study(tiny_toml, ["schedule=none"])
