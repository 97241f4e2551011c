"""An NVLink domain of 72 is one node: any part of it may be used, whole domains beyond it."""

import pytest

from hw_profiles.faults import InputFaults
from simulator.evaluate import evaluate, run_scenario
from simulator.scenario import build_scenario

BATCH = {"sequences_per_gpu": 32, "context_tokens": 2000}


def scenario(**changes):
    values = {"model": "longcat_flash", "machine": "gb200_nvl72", "n_gpus": 64, "layout": {"ep": 64}, "batch": BATCH}
    return build_scenario({**values, **changes})


def test_a_replica_in_part_of_a_domain_sends_nothing_over_nics():
    run = run_scenario(scenario())
    tiers = set(run.timeline["tier"].astype(str))
    assert "nvlink" in tiers
    assert "nic" not in tiers


@pytest.mark.parametrize("n_gpus", [1, 3, 16, 36, 64, 72, 144])
def test_attention_and_dense_ffns_may_be_split_as_the_part_in_use_allows(n_gpus):
    scenario(model="mixtral_8x7b", n_gpus=n_gpus, layout={"attention_tp": 16 if n_gpus in {16, 64} else 1})


def test_a_tp_group_may_not_straddle_domains():
    with pytest.raises(InputFaults, match=r"layout\.attention_tp: got 16; allowed a divisor of 72, or a multiple"):
        scenario(n_gpus=144, layout={"attention_tp": 16, "ep": 8})


def test_an_ep_group_may_not_straddle_domains():
    with pytest.raises(InputFaults) as caught:
        scenario(n_gpus=144, layout={"ep": 16})
    assert str(caught.value) == (
        "layout.ep: got 16; allowed a divisor of 72, or a multiple of 72; "
        "let groups fill whole nodes, or nodes hold whole groups"
    )


def test_a_tp_group_may_fill_whole_nodes_unless_their_links_are_crowded():
    of_two = {"attention_tp": 16, "dense_tp": 16, "ep": 16}
    scenario(machine="h200_sxm", model="longcat_flash", n_gpus=32, layout=of_two)
    with pytest.raises(InputFaults, match=r"layout\.dense_tp: got 16 over shared links \(.*\); allowed up to 8"):
        scenario(machine="h200_sxm", model="longcat_flash", n_gpus=1024, layout=of_two,
                 machine_overrides={"fabric.oversubscription": 2.0})  # fmt: skip


def test_beyond_one_domain_whole_domains_are_used():
    with pytest.raises(InputFaults, match="n_gpus: got 128; allowed up to 72, or a multiple of 72"):
        scenario(n_gpus=128, layout={"ep": 64})


@pytest.mark.parametrize("machine", ["b200_sxm", "mi300x", "rtx_pro_6000"])
def test_the_other_new_machines_run_qwen3_on_two_nodes(machine):
    answer = evaluate(scenario(machine=machine, model="qwen3_235b", n_gpus=16, layout={"ep": 16}))
    assert answer.feasible
    assert {"nvlink", "nic"} <= set(answer.metrics["bytes"])
